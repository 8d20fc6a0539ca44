// recipes/dpo.ts: direct preference optimisation with LoRA, step by step (Rafailov et al. 2023, arXiv:2305.18290).
//
//   npx tsx recipes/dpo.ts MODEL DATA [OUT]
//
// MODEL is a name of `tunesmith models`, a Hugging Face id, a folder or a .gguf file; DATA holds one {"prompt", "chosen", "rejected"} of text a line.
// What stands here is what `train({ method: { kind: 'dpo' } })` does at heart. `train()` also checks the data, plans memory and time, saves
// checkpoints, resumes, and knows the other losses.
import { mkdtempSync, readFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tunesmith from '../src/index.ts'; // in a project of yours: from 'tunesmith'

const [name, data, given] = process.argv.slice(2);
if (name === undefined || data === undefined) throw new Error('usage: recipes/dpo.ts MODEL DATA [OUT]');
const out = given ?? mkdtempSync(join(tmpdir(), 'tunesmith-dpo-'));
const BETA = 0.1; // how hard answers are pulled apart
const EPOCHS = 3;
const BATCH = 8; // pairs of a step
const RATE = 2e-4;
const CLIP = 1; // largest norm of a gradient

// 1. The model: where its weights lie, how it turns text into token ids, and its chat template.
const model = await tunesmith.findModel(name);
const source = tunesmith.openModelSource(model.path);
if (source.text === undefined) throw new Error(`${name} has no tokenizer`);
const { tokenizer, template } = tunesmith.openText(source.text, { now: new Date() });
if (template === undefined) throw new Error(`${name} has no chat template`);

// 2. The pairs, rendered as the model sees them: each answer after the prompt, with labels on the answer and the token that ends it.
interface Row {
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
}
const render = (prompt: string, answer: string) => {
  const messages = [
    { role: 'user', content: prompt },
    { role: 'assistant', content: answer },
  ] as const;
  return tunesmith.renderExamples(messages, undefined, { tokenizer, template, trainOn: 'last' }).examples[0]!;
};
const pairs = readFileSync(data, 'utf8')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => JSON.parse(line) as Row)
  .map(({ prompt, chosen, rejected }) => ({ chosen: render(prompt, chosen), rejected: render(prompt, rejected) }));

// 3. Every fifth pair is held out.
const heldOut = pairs.filter((_, i) => i % 5 === 4);
const trained = pairs.filter((_, i) => i % 5 !== 4);

// 4. The network. LoRA's B begins as zero, so that training begins at the base model.
const engine = tunesmith.openOrt({ device: 'cpu', threads: availableParallelism(), optimize: 'on' });
const net = tunesmith.createLora(engine, source, { rank: 16, alpha: 32, dropout: 0, targets: 'all-linear' });
const optimizer = {
  constants: { name: 'adamw', beta1: 0.9, beta2: 0.999, eps: 1e-8 },
  weightDecay: 0,
  loraPlusRatio: 1,
  seed: 0,
} as const;
const state = tunesmith.initialState(net, optimizer);

// 5. The reference is the model as it is now: the log-probabilities of all answers are computed once, and kept.
type Pair = (typeof pairs)[number];
const logp = async (example: Pair['chosen']) => {
  const { loss, tokens } = await tunesmith.meanLoss(net, [example]);
  return -loss * tokens;
};
const gap = async (pair: Pair) => (await logp(pair.chosen)) - (await logp(pair.rejected));
const reference = new Map<Pair, number>();
for (const pair of pairs) reference.set(pair, await gap(pair));

// A pair is told apart when its margin over the reference's is above 0.
const accuracy = async () => {
  let right = 0;
  for (const pair of heldOut) if ((await gap(pair)) > reference.get(pair)!) right++;
  return right / heldOut.length;
};

// 6. The loop. The loss of a pair is -log sigmoid(beta (gap - reference gap)).
const totalSteps = Math.ceil((EPOCHS * trained.length) / BATCH);
for (let step = 1; step <= totalSteps; step++) {
  const batch = Array.from({ length: BATCH }, (_, i) => trained[((step - 1) * BATCH + i) % trained.length]!);
  let loss = 0;
  let sums: tunesmith.StepSums | undefined;
  for (const pair of batch) {
    // Both answers of a pair share a micro-batch, the chosen one first. The forward pass gives -log p of each of their tokens; what the gradient of each
    // counts is known only then, and is said to the backward pass.
    const [part] = tunesmith.microBatches([pair.chosen, pair.rejected], { pack: true, targetTokens: 1, together: 2 });
    const own = pair.chosen.labels.subarray(1).filter((label) => label >= 0).length;
    const weigh = (nll: Float64Array) => {
      const sum = (values: Float64Array) => values.reduce((a, b) => a + b, 0);
      const margin = sum(nll.subarray(own)) - sum(nll.subarray(0, own)) - reference.get(pair)!;
      loss += Math.log1p(Math.exp(-BETA * margin)) / BATCH;
      const slope = BETA / (1 + Math.exp(BETA * margin)) / BATCH;
      return Float32Array.from(nll, (_, token) => (token < own ? slope : -slope));
    };
    sums = tunesmith.reduce(net, sums, await tunesmith.weighedMicroStep(net, part!, step, weigh));
  }

  // The weights hold the mean over pairs already, so nothing is left to be divided.
  const total: tunesmith.StepSums = { ...sums!, tokens: 1 };
  const norm = await tunesmith.gradientNorm(net, total);
  if (!Number.isFinite(loss + norm)) throw new Error(`the loss is ${loss} at step ${step}: lower RATE`);
  const clip = Math.min(1, CLIP / (norm + 1e-6));
  tunesmith.applyUpdate(net, state, total, { optimizer, step, lr: RATE, gradScale: clip });
  console.log(`step ${step} of ${totalSteps}: loss ${loss.toFixed(4)}, gradient ${norm.toFixed(3)}`);
}

const share = await accuracy();
console.log(`held-out pairs told apart: ${(100 * share).toFixed(0)} %`);

// 7. The adapter, as a folder that peft loads too.
await tunesmith.saveAdapter(net, out, model.hubId);
await engine.close();
console.log(`adapter in ${out}`);
