// recipes/grpo.ts: group relative policy optimisation with LoRA, step by step (Shao et al. 2024, arXiv:2402.03300).
//
//   npx tsx recipes/grpo.ts MODEL DATA [OUT]
//
// MODEL is a name of `tunesmith models`, a Hugging Face id, a folder or a .gguf file; DATA holds one {"prompt", "answer"} of text a line, such as
// examples/sums/train.jsonl. The model draws several answers to each prompt, a function says what each is worth, and the model moves towards those that
// are worth more than the others of their group. What stands here is what `train({ method: { kind: 'grpo' } })` does at heart. `train()` also tries the
// reward on junk, plans memory and time, saves checkpoints, resumes, measures on held-out prompts, and knows the other losses and rewards.
import { mkdtempSync, readFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tunesmith from '../src/index.ts'; // in a project of yours: from 'tunesmith'

const [name, data, given] = process.argv.slice(2);
if (name === undefined || data === undefined) throw new Error('usage: recipes/grpo.ts MODEL DATA [OUT]');
const out = given ?? mkdtempSync(join(tmpdir(), 'tunesmith-grpo-'));
const STEPS = 30;
const BATCH = 8; // prompts of a step
const GROUP = 8; // answers to each
const MAX_TOKENS = 16;
const RATE = 5e-4;
const CLIP = 1; // largest norm of a gradient

// 1. What an answer is worth: half for its length, which has to be that of the right one, and half for its letters. Put yours here.
const reward = (answer: string, right: string): number => {
  const near = Math.max(0, 1 - Math.abs(answer.length - right.length) / right.length);
  const same = [...right].filter((letter, i) => answer[i] === letter).length / right.length;
  return near / 2 + same / 2;
};

// 2. The model: where its weights lie, how it turns text into token ids, and its chat template.
const model = await tunesmith.findModel(name);
const source = tunesmith.openModelSource(model.path);
if (source.text === undefined) throw new Error(`${name} has no tokenizer`);
const { tokenizer, template } = tunesmith.openText(source.text, { now: new Date() });
if (template === undefined) throw new Error(`${name} has no chat template`);

// 3. The prompts as the model sees them: all that stands before the first label of an answer.
interface Row {
  readonly prompt: string;
  readonly answer: string;
}
const rows = readFileSync(data, 'utf8')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => JSON.parse(line) as Row)
  .map(({ prompt, answer }) => {
    const messages = [
      { role: 'user', content: prompt },
      { role: 'assistant', content: answer },
    ] as const;
    const { ids, labels } = tunesmith.renderExamples(messages, undefined, { tokenizer, template, trainOn: 'last' })
      .examples[0]!;
    return {
      answer,
      ids: [
        ...ids.slice(
          0,
          labels.findIndex((label) => label >= 0),
        ),
      ],
    };
  });

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

// 5. The loop.
for (let step = 1; step <= STEPS; step++) {
  const asked = Array.from({ length: BATCH }, (_, i) => rows[((step - 1) * BATCH + i) % rows.length]!);

  // GROUP answers to each prompt. The same array for each of them: its keys and values are computed once.
  const drawn = await tunesmith.drawAnswers(
    net,
    asked.flatMap(({ ids }) => new Array<number[]>(GROUP).fill(ids)),
    { tokenizer, template, maxTokens: MAX_TOKENS, temperature: 1, first: (step - 1) * BATCH * GROUP },
  );
  const rewards = drawn.map(({ text }, i) => reward(text, asked[Math.floor(i / GROUP)]!.answer));
  const mean = rewards.reduce((a, b) => a + b, 0) / rewards.length;
  const tokens = drawn.reduce((n, { ids }) => n + ids.length, 0);

  let sums: tunesmith.StepSums | undefined;
  for (const [g, { ids: prompt }] of asked.entries()) {
    const answers = drawn.slice(g * GROUP, (g + 1) * GROUP);
    // What each answer is worth against the others of its group. A group whose answers are all worth the same teaches nothing.
    const own = rewards.slice(g * GROUP, (g + 1) * GROUP);
    const middle = own.reduce((a, b) => a + b, 0) / GROUP;
    const spread = Math.sqrt(own.reduce((sum, x) => sum + (x - middle) ** 2, 0) / (GROUP - 1));
    if (spread < 1e-8) continue;
    const examples = answers.map(({ ids }) => ({
      ids: Int32Array.from([...prompt, ...ids]),
      labels: Int32Array.from([...prompt.map(() => -100), ...ids]),
    }));
    // The loss is the mean over all tokens of -ratio * advantage. The answers were drawn from the model as it stands, so that every ratio is 1 and the
    // derivative by log p of a token is -advantage / tokens: the gradient of its -log p counts advantage / tokens.
    const weights = answers.flatMap(({ ids }, i) => ids.map(() => (own[i]! - middle) / (spread + 1e-4) / tokens));
    const [part] = tunesmith.microBatches(examples, { pack: true, targetTokens: 1, together: GROUP });
    const micro = await tunesmith.weighedMicroStep(net, part!, step, () => Float32Array.from(weights));
    sums = tunesmith.reduce(net, sums, micro);
  }
  console.log(
    `step ${step} of ${STEPS}: reward ${mean.toFixed(3)}, ${(tokens / drawn.length).toFixed(1)} tokens an answer`,
  );
  if (sums === undefined) continue;
  const total: tunesmith.StepSums = { ...sums, tokens: 1 };
  const norm = await tunesmith.gradientNorm(net, total);
  if (!Number.isFinite(norm)) throw new Error(`the gradient is ${norm} at step ${step}: lower RATE`);
  const clip = Math.min(1, CLIP / (norm + 1e-6));
  tunesmith.applyUpdate(net, state, total, { optimizer, step, lr: RATE, gradScale: clip });
}

// 6. The adapter, as a folder that peft loads too.
await tunesmith.saveAdapter(net, out, model.hubId);
await engine.close();
console.log(`adapter in ${out}`);
