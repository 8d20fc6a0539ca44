// recipes/sft.ts: supervised fine-tuning from code. Run: npx tsx recipes/sft.ts [MODEL DATA]
//
// Without arguments it teaches a toy model to count, in seconds. With them it fine-tunes any model on any rows:
// npx tsx recipes/sft.ts smollm2-135m-instruct examples/support/train.jsonl
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineRun, score, train } from '../src/index.ts';

const [
  model = join(import.meta.dirname, '../test/golden/llama/model'),
  data = join(import.meta.dirname, 'counting.jsonl'),
] = process.argv.slice(2);

const run = defineRun({
  model,
  data: { train: data, valid: 0.25 },
  weights: { kind: 'lora', rank: 8, alpha: 16 },
  train: { epochs: 8, batch: 8, lr: 1e-2 },
  output: { out: mkdtempSync(join(tmpdir(), 'tunesmith-sft-')) },
});

let best = '';
let report = { before: Number.NaN, after: Number.NaN };
for await (const event of train(run)) {
  if (event.type === 'step') console.log(`step ${event.step}: loss ${event.loss.toFixed(4)}`);
  if (event.type === 'report') report = event;
  if (event.type === 'done') best = event.best;
}
console.log(
  `rows that were used for nothing else: loss ${report.before.toFixed(4)} before, ${report.after.toFixed(4)} after`,
);
if (!(report.after < report.before)) throw new Error('it did not learn');

// The adapter is a PEFT folder: it can be scored, answered with, or loaded by peft as it is.
for await (const line of score({ path: model, adapter: best }, [data])) {
  if (line.type === 'total') console.log(`all rows with the adapter: perplexity ${line.perplexity.toFixed(2)}`);
}
