// transformers.js in a process of its own, to hold exports against. One JSON request a line on stdin, one JSON answer a line on stdout:
//   {"folder":path,"generate":[messages],"count":n}  {"texts":[...]}, the most likely answers; a string in place of messages is continued
//   {"folder":path,"classify":[texts]}               {"labels":[[{"label","score"}]]}, every label of each text
import { createInterface } from 'node:readline';
import { env, LogLevel, pipeline } from '@huggingface/transformers';

env.allowRemoteModels = false;
env.logLevel = LogLevel?.ERROR ?? env.logLevel;

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  const task = request.classify === undefined ? 'text-generation' : 'text-classification';
  const pipe = await pipeline(task, request.folder);
  const answer = request.classify === undefined ? await generated(pipe, request) : await classified(pipe, request);
  await pipe.dispose();
  console.log(JSON.stringify(answer));
}

async function generated(pipe, { generate: prompts, count }) {
  const texts = [];
  for (const prompt of prompts) {
    const options = { max_new_tokens: count, do_sample: false, return_full_text: false };
    const [{ generated_text: answer }] = await pipe(prompt, options);
    texts.push(typeof answer === 'string' ? answer : answer.at(-1).content);
  }
  return { texts };
}

async function classified(pipe, { classify: texts }) {
  return { labels: await pipe(texts, { top_k: null }) };
}
