// llama.cpp in a process of its own. One JSON request a line on stdin, {"context":n,"decode":n}, one answer a line on stdout,
// {"prefill":tokens/s,"decode":tokens/s}. Arguments: the GGUF file and the number of threads.
import { createInterface } from 'node:readline';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

const [modelPath, threads] = process.argv.slice(2);
const llama = await getLlama({
  gpu: false,
  build: 'never',
  skipDownload: true,
  progressLogs: false,
  maxThreads: Number(threads),
  logLevel: LlamaLogLevel.error,
});
const model = await llama.loadModel({ modelPath });
console.log(JSON.stringify({ ready: true }));

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  console.log(JSON.stringify(await measure(request)));
}

async function measure({ context: length, decode }) {
  const context = await model.createContext({
    contextSize: length + decode + 8,
    batchSize: 512,
    threads: { ideal: Number(threads), min: Number(threads) },
  });
  const sequence = context.getSequence();
  const ids = Array.from({ length }, (_, i) => ((i * 37) % 40000) + 100);
  let start = performance.now();
  await sequence.evaluateWithoutGeneratingNewTokens(ids);
  const prefill = (1000 * length) / (performance.now() - start);
  const times = [];
  start = performance.now();
  for await (const _token of sequence.evaluate([7], { temperature: 0, yieldEogToken: true })) {
    times.push(performance.now() - start);
    start = performance.now();
    if (times.length === decode) break;
  }
  await context.dispose();
  return { prefill, decode: 1000 / median(times) };
}

function median(times) {
  return times.toSorted((a, b) => a - b)[times.length >> 1];
}
