// recipes/kto.ts: Kahneman-Tversky optimisation with LoRA, step by step (Ethayarajh et al. 2024, arXiv:2402.01306).
//
//   npx tsx recipes/kto.ts MODEL DATA [OUT]
//
// MODEL is a name of `tunesmith models`, a Hugging Face id, a folder or a .gguf file; DATA holds one {"prompt", "completion", "label"} a line, text with true
// for a good answer and false for a bad one. What stands here is what `train({ method: { kind: 'kto' } })` does at heart. `train()` also checks the data,
// plans memory and time, saves checkpoints and resumes.
import { mkdtempSync, readFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tunesmith from '../src/index.ts'; // in a project of yours: from 'tunesmith'

const [name, data, given] = process.argv.slice(2);
if (name === undefined || data === undefined) throw new Error('usage: recipes/kto.ts MODEL DATA [OUT]');
const out = given ?? mkdtempSync(join(tmpdir(), 'tunesmith-kto-'));
const BETA = 0.1; // how hard answers are pulled apart
const EPOCHS = 3;
const BATCH = 8; // answers of a step
const RATE = 2e-4;
const CLIP = 1; // largest norm of a gradient

// 1. The model: where its weights lie, how it turns text into token ids, and its chat template.
const model = await tunesmith.findModel(name);
const source = tunesmith.openModelSource(model.path);
if (source.text === undefined) throw new Error(`${name} has no tokenizer`);
const { tokenizer, template } = tunesmith.openText(source.text, { now: new Date() });
if (template === undefined) throw new Error(`${name} has no chat template`);

// 2. The answers as the model sees them, with labels on the answer and the token that ends it; and each prompt with the answer of the row before it, which
// does not belong there: how likely such answers become says how far the whole model has gone.
interface Row {
  readonly prompt: string;
  readonly completion: string;
  readonly label: boolean;
}
const render = (prompt: string, answer: string) => {
  const messages = [
    { role: 'user', content: prompt },
    { role: 'assistant', content: answer },
  ] as const;
  return tunesmith.renderExamples(messages, undefined, { tokenizer, template, trainOn: 'last' }).examples[0]!;
};
const rows = readFileSync(data, 'utf8')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => JSON.parse(line) as Row)
  .map(({ prompt, completion, label }, i, all) => ({
    isGood: label,
    example: render(prompt, completion),
    stranger: render(prompt, all.at(i - 1)!.completion),
  }));

// 3. Every fifth row is held out.
const heldOut = rows.filter((_, i) => i % 5 === 4);
const trained = rows.filter((_, i) => i % 5 !== 4);

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

// 5. The reference is the model as it is now: its log-probabilities are computed once, and kept.
type Example = (typeof rows)[number]['example'];
const logp = async (example: Example) => {
  const { loss, tokens } = await tunesmith.meanLoss(net, [example]);
  return -loss * tokens;
};
const reference = new Map<Example, number>();
for (const { example, stranger } of rows) for (const one of [example, stranger]) reference.set(one, await logp(one));
const gain = async (example: Example) => (await logp(example)) - reference.get(example)!;

// 6. The loop. A good answer is to gain more than the model moves on the whole, a bad one less: the loss is 1 - sigmoid(+-beta (gain - divergence)).
const sum = (values: Float64Array) => values.reduce((a, b) => a + b, 0);
const totalSteps = Math.ceil((EPOCHS * trained.length) / BATCH);
for (let step = 1; step <= totalSteps; step++) {
  const batch = Array.from({ length: BATCH }, (_, i) => trained[((step - 1) * BATCH + i) % trained.length]!);
  let divergence = 0;
  for (const { stranger } of batch) divergence += (await gain(stranger)) / BATCH;
  divergence = Math.max(0, divergence);

  let loss = 0;
  let sums: tunesmith.StepSums | undefined;
  for (const { example, isGood } of batch) {
    const [part] = tunesmith.microBatches([example], { pack: true, targetTokens: 1 });
    // The forward pass gives -log p of each token; what the gradient of each counts is known only then, and is said to the backward pass.
    const weigh = (nll: Float64Array) => {
      const sign = isGood ? 1 : -1;
      const worth = 1 / (1 + Math.exp(-sign * BETA * (-sum(nll) - reference.get(example)! - divergence)));
      loss += (1 - worth) / BATCH;
      return new Float32Array(nll.length).fill((sign * BETA * worth * (1 - worth)) / BATCH);
    };
    sums = tunesmith.reduce(net, sums, await tunesmith.weighedMicroStep(net, part!, step, weigh));
  }

  // The weights hold the mean over answers already, so nothing is left to be divided.
  const total: tunesmith.StepSums = { ...sums!, tokens: 1 };
  const norm = await tunesmith.gradientNorm(net, total);
  if (!Number.isFinite(loss + norm)) throw new Error(`the loss is ${loss} at step ${step}: lower RATE`);
  const clip = Math.min(1, CLIP / (norm + 1e-6));
  tunesmith.applyUpdate(net, state, total, { optimizer, step, lr: RATE, gradScale: clip });
  console.log(`step ${step} of ${totalSteps}: loss ${loss.toFixed(4)}, divergence ${divergence.toFixed(3)}`);
}

// What good and bad answers gained, on average, in nats.
const mean = async (isGood: boolean) => {
  const own = heldOut.filter((row) => row.isGood === isGood);
  let all = 0;
  for (const { example } of own) all += (await gain(example)) / own.length;
  return all.toFixed(2);
};
console.log(`held-out answers: good ones gained ${await mean(true)} nats, bad ones ${await mean(false)}`);

// 7. The adapter, as a folder that peft loads too.
await tunesmith.saveAdapter(net, out, model.hubId);
await engine.close();
console.log(`adapter in ${out}`);
