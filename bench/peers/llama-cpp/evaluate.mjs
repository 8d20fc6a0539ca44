// llama.cpp in a process of its own, to hold exports against. One JSON request a line on stdin, one JSON answer a line on stdout:
//   {"tokenize":text}               {"ids":[...]}, special tokens parsed, nothing added
//   {"probabilities":ids,"to":path} writes float32 [ids, vocabulary], the distribution after each id; {"vocabulary":n}
//   {"greedy":ids,"count":n}        {"ids":[...]}, the most likely continuation
// Arguments: the GGUF file, and an adapter's GGUF file.
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

const [modelPath, adapter] = process.argv.slice(2);
const llama = await getLlama({
  gpu: false,
  build: 'never',
  skipDownload: true,
  progressLogs: false,
  maxThreads: 2,
  logLevel: LlamaLogLevel.error,
});
const model = await llama.loadModel({ modelPath });
const lora = adapter === undefined ? {} : { lora: { adapters: [{ filePath: adapter }] } };
const context = await model.createContext({ contextSize: 256, batchSize: 256, ...lora });
const sequence = context.getSequence();
console.log(JSON.stringify({ ready: true }));

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  console.log(JSON.stringify(await answer(request)));
}

async function answer(request) {
  if (request.tokenize !== undefined) return { ids: model.tokenize(request.tokenize, true, 'trimLeadingSpace') };
  await sequence.clearHistory();
  return request.greedy === undefined ? probabilities(request) : greedy(request);
}

async function probabilities({ probabilities: ids, to }) {
  const input = ids.map((id) => [id, { generateNext: { probabilities: true } }]);
  const outputs = await sequence.controlledEvaluate(input);
  const size = outputs[0].next.probabilities.size;
  const rows = new Float32Array(ids.length * size);
  for (const [i, { next }] of outputs.entries()) {
    for (const [id, probability] of next.probabilities) rows[i * size + id] = probability;
  }
  writeFileSync(to, rows);
  return { vocabulary: size };
}

async function greedy({ greedy: ids, count }) {
  const made = [];
  for await (const id of sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })) {
    made.push(id);
    if (made.length === count) break;
  }
  return { ids: made };
}
