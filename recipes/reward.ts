// recipes/reward.ts: a reward model with LoRA, step by step (Ouyang et al. 2022, arXiv:2203.02155).
//
//   npx tsx recipes/reward.ts MODEL DATA [OUT]
//
// MODEL is a name of `tunesmith models`, a Hugging Face id, a folder or a .gguf file; DATA holds one {"prompt", "chosen", "rejected"} of text a line.
// What stands here is what `train({ method: { kind: 'reward' } })` does at heart. `train()` also checks the data, plans memory and time, saves
// checkpoints, resumes, learns margins and ranked lists, and says how well calibrated the rewards are.
import { mkdtempSync, readFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tunesmith from '../src/index.ts'; // in a project of yours: from 'tunesmith'

const [name, data, given] = process.argv.slice(2);
if (name === undefined || data === undefined) throw new Error('usage: recipes/reward.ts MODEL DATA [OUT]');
const out = given ?? mkdtempSync(join(tmpdir(), 'tunesmith-reward-'));
const EPOCHS = 3;
const BATCH = 8; // pairs of a step
const RATE = 1e-3;
const CLIP = 1; // largest norm of a gradient

// 1. The model: where its weights lie, how it turns text into token ids, and its chat template.
const model = await tunesmith.findModel(name);
const source = tunesmith.openModelSource(model.path);
if (source.text === undefined) throw new Error(`${name} has no tokenizer`);
const { tokenizer, template } = tunesmith.openText(source.text, { now: new Date() });
if (template === undefined) throw new Error(`${name} has no chat template`);

// 2. The pairs, rendered up to the token that ends the answer: there the head reads what the answer is worth. No token has a label.
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
  const { ids, labels } = tunesmith.renderExamples(messages, undefined, { tokenizer, template, trainOn: 'last' })
    .examples[0]!;
  const end = labels.findLastIndex((label) => label >= 0) + 1;
  return { ids: ids.slice(0, end), labels: new Int32Array(end).fill(-100), classes: [] };
};
const pairs = readFileSync(data, 'utf8')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => JSON.parse(line) as Row)
  .map(({ prompt, chosen, rejected }) => [render(prompt, chosen), render(prompt, rejected)] as const);

// 3. Every fifth pair is held out.
const heldOut = pairs.filter((_, i) => i % 5 === 4);
const trained = pairs.filter((_, i) => i % 5 !== 4);

// 4. The network: LoRA, whose B begins as zero, and a new head in the place of the one that predicts tokens.
const engine = tunesmith.openOrt({ device: 'cpu', threads: availableParallelism(), optimize: 'on' });
const net = tunesmith.createLora(engine, source, {
  rank: 16,
  alpha: 32,
  dropout: 0,
  targets: 'all-linear',
  head: 'reward',
});
const optimizer = {
  constants: { name: 'adamw', beta1: 0.9, beta2: 0.999, eps: 1e-8 },
  weightDecay: 0,
  loraPlusRatio: 1,
  seed: 0,
} as const;
const state = tunesmith.initialState(net, optimizer);

// A pair is told apart when the better answer gets more.
const accuracy = async () => {
  const rewards = await tunesmith.rewardsOf(
    net,
    heldOut.flat().map((example) => ({ example })),
  );
  return heldOut.filter((_, i) => rewards[2 * i]! > rewards[2 * i + 1]!).length / heldOut.length;
};
const report = async (when: string) =>
  console.log(`held-out pairs told apart, ${when}: ${(100 * (await accuracy())).toFixed(0)} %`);
await report('before');

// 5. The loop. The loss of a pair is -log sigmoid(reward of the chosen answer - that of the rejected one).
const totalSteps = Math.ceil((EPOCHS * trained.length) / BATCH);
for (let step = 1; step <= totalSteps; step++) {
  const batch = Array.from({ length: BATCH }, (_, i) => trained[((step - 1) * BATCH + i) % trained.length]!);
  let loss = 0;
  let sums: tunesmith.StepSums | undefined;
  // Both answers of a pair share a micro-batch, the chosen one first. The forward pass gives the reward of each; the derivative of the loss by each is
  // known only then, and is said to the backward pass.
  for (const part of tunesmith.microBatches(batch.flat(), { pack: true, targetTokens: 512, together: 2 })) {
    const weigh = (rewards: Float64Array) => {
      const slopes = new Float32Array(rewards.length);
      for (let i = 0; i < rewards.length; i += 2) {
        const difference = rewards[i]! - rewards[i + 1]!;
        loss += Math.log1p(Math.exp(-difference)) / BATCH;
        slopes[i] = -1 / (1 + Math.exp(difference)) / BATCH;
        slopes[i + 1] = -slopes[i]!;
      }
      return slopes;
    };
    sums = tunesmith.reduce(net, sums, await tunesmith.weighedMicroStep(net, part, step, weigh));
  }

  // The weights hold the mean over pairs already, so nothing is left to be divided.
  const total: tunesmith.StepSums = { ...sums!, tokens: 1 };
  const norm = await tunesmith.gradientNorm(net, total);
  if (!Number.isFinite(loss + norm)) throw new Error(`the loss is ${loss} at step ${step}: lower RATE`);
  const clip = Math.min(1, CLIP / (norm + 1e-6));
  tunesmith.applyUpdate(net, state, total, { optimizer, step, lr: RATE, gradScale: clip });
  console.log(`step ${step} of ${totalSteps}: loss ${loss.toFixed(4)}, gradient ${norm.toFixed(3)}`);
}
await report('after');

// 6. The adapter and its head, as a folder that peft loads as a sequence classifier with one label.
await tunesmith.saveAdapter(net, out, model.hubId);
await engine.close();
console.log(`reward model in ${out}`);
