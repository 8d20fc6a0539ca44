import { defineRun } from 'tunesmith';

// The smallest: a model and a file. Everything else is chosen, printed and stored with the run.
export const smallest = defineRun({ model: 'smollm2-135m-instruct', data: 'support/train.jsonl' });

// The fuller: the same run with the usual choices spelled out. `tunesmith train` takes the default export; run it in this folder.
export default defineRun({
  model: 'smollm2-135m-instruct',
  data: { train: 'support/train.jsonl', valid: 'support/held-out.jsonl' },
  method: { kind: 'sft' },
  weights: { kind: 'lora', rank: 16, alpha: 32, targets: 'all-linear' },
  train: { epochs: 1, batch: 16, lr: 1e-3, schedule: 'cosine', warmup: 0.03, seed: 0 },
  output: { out: 'runs', name: 'ada' },
});
