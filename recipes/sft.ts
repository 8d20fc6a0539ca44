// recipes/sft.ts: supervised fine-tuning of a chat model with LoRA, step by step.
//
//   npx tsx recipes/sft.ts [MODEL] [DATA] [OUT]
//
// MODEL is a name of `tunesmith models`, a Hugging Face id, a folder or a .gguf file; DATA holds one {"messages": [...]} a line. What stands here
// is what `train()` does at heart. `train()` also checks the data, plans memory and time, saves checkpoints, resumes, and stops early.
import { mkdtempSync, readFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tunesmith from '../src/index.ts'; // in a project of yours: from 'tunesmith'

const examplesOfTunesmith = join(import.meta.dirname, '../examples/support/train.jsonl');
const [name = 'smollm2-135m-instruct', data = examplesOfTunesmith, given] = process.argv.slice(2);
const out = given ?? mkdtempSync(join(tmpdir(), 'tunesmith-sft-'));
const EPOCHS = 2;
const BATCH = 8; // rows of a step
const PEAK_RATE = 1e-3;
const WARMUP = 4; // steps
const CLIP = 1; // largest norm of a gradient

// 1. The model: where its weights lie, how it turns text into token ids, and its chat template.
const model = await tunesmith.findModel(name);
const source = tunesmith.openModelSource(model.path);
if (source.text === undefined) throw new Error(`${name} has no tokenizer`);
const { tokenizer, template } = tunesmith.openText(source.text, { now: new Date() });
if (template === undefined) throw new Error(`${name} has no chat template`);

// 2. The rows, rendered as the model sees them. An example is ids and labels: where a label is -100 there is no loss. Only the assistant's
// answers, and the token that ends each, are learned; the questions are only read.
const rows = readFileSync(data, 'utf8')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => JSON.parse(line) as { readonly messages: readonly tunesmith.Message[] });
const render = ({ messages }: (typeof rows)[number]) =>
  tunesmith.renderExamples(messages, undefined, { tokenizer, template, trainOn: 'all' }).examples;

// 3. Every fifth row is held out: the loss on rows that were learned says little about rows that were not.
const heldOut = rows.filter((_, i) => i % 5 === 4);
const trained = rows.filter((_, i) => i % 5 !== 4).flatMap(render);

// 4. The network: the base model's weights, which stay as they are, and beside each linear layer W two narrow matrices A and B, which train:
// W x + alpha / rank * B A x. B begins as zero, so training begins at the base model.
const engine = tunesmith.openOrt({ device: 'cpu', threads: availableParallelism(), optimize: 'on' });
const net = tunesmith.createLora(engine, source, { rank: 16, alpha: 32, dropout: 0, targets: 'all-linear' });

// 5. AdamW keeps two running means for each number that trains: of its gradient, and of the gradient's square.
const optimizer = {
  constants: { name: 'adamw', beta1: 0.9, beta2: 0.999, eps: 1e-8 },
  weightDecay: 0,
  loraPlusRatio: 1,
  seed: 0,
} as const;
const state = tunesmith.initialState(net, optimizer);

const before = await tunesmith.meanLoss(net, heldOut.flatMap(render));
console.log(`held-out rows, before: ${before.loss.toFixed(4)} nats per token`);

// 6. The loop.
const totalSteps = Math.ceil((EPOCHS * trained.length) / BATCH);
for (let step = 1; step <= totalSteps; step++) {
  const batch = Array.from({ length: BATCH }, (_, i) => trained[((step - 1) * BATCH + i) % trained.length]!);

  // Micro-batches bound the memory: a few rows at a time go forward and backward, and their gradients are added up.
  let sums: tunesmith.StepSums | undefined;
  for (const part of tunesmith.microBatches(batch, { pack: true, targetTokens: 384 })) {
    sums = tunesmith.reduce(net, sums, tunesmith.microStep(net, part, step));
  }

  // One division, by the tokens of the whole step: each token counts the same, however the rows were cut into micro-batches.
  const { loss, tokens } = await tunesmith.meanOfStep(sums!);
  const norm = await tunesmith.gradientNorm(net, sums!);
  if (!Number.isFinite(loss + norm)) throw new Error(`the loss is ${loss} at step ${step}: lower PEAK_RATE`);
  const clip = Math.min(1, CLIP / (norm + 1e-6));

  // The rate rises over the first steps and then falls along a cosine.
  const rest = Math.max(0, step - 1 - WARMUP) / Math.max(1, totalSteps - WARMUP);
  const lr = PEAK_RATE * Math.min(step / WARMUP, (1 + Math.cos(Math.PI * rest)) / 2);
  tunesmith.applyUpdate(net, state, sums!, { optimizer, step, lr, gradScale: clip / tokens });
  console.log(
    `step ${step} of ${totalSteps}: loss ${loss.toFixed(4)}, gradient ${norm.toFixed(3)}, rate ${lr.toExponential(1)}`,
  );
}

const after = await tunesmith.meanLoss(net, heldOut.flatMap(render));
console.log(`held-out rows, after: ${after.loss.toFixed(4)} nats per token`);
if (!(after.loss < before.loss)) throw new Error('it did not learn');

// 7. The adapter, as a folder that peft loads too.
await tunesmith.saveAdapter(net, out, model.hubId);
await engine.close();
console.log(`adapter in ${out}`);

// 8. What it answers now, and what it answered before, to a question that it never saw.
const session = await tunesmith.openModel({ path: model.path, adapter: out });
const sampling = { maxTokens: 64, temperature: 0, seed: 0, stop: [], precision: 'exact' } as const;
const messages = heldOut[0]!.messages.slice(0, -1);
console.log(`\n${messages.at(-1)?.content}`);
for (const base of [true, false]) {
  const { signal } = new AbortController();
  for await (const event of session.generate([{ kind: 'messages', messages }], { ...sampling, base, signal })) {
    if (event.type === 'result') console.log(`${base ? 'base' : 'tuned'}: ${event.text}`);
  }
}
await session.close();
