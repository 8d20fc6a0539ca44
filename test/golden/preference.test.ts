import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Called, cli, type Line, temporaryFolder } from '../support/cli.ts';
import { writeRows } from '../support/golden-rows.ts';

// TRL's own logs, made by oracle/make_preference_goldens.py. Relative to max(|x|, 0.01).
const TOLERANCE = { loss: 5e-5, norm: 1e-3, metric: 1e-3 };

interface Trainer {
  readonly config: Readonly<Record<string, string | number | boolean>>;
  readonly steps: readonly Readonly<Record<string, number>>[];
}
interface Ids {
  readonly prompt: readonly number[];
}
interface Golden {
  readonly rows: readonly (Ids & { readonly chosen: readonly number[]; readonly rejected: readonly number[] })[];
  readonly kto_rows: readonly (Ids & { readonly completion: readonly number[]; readonly label: boolean })[];
  readonly bos: number;
  readonly eos: number;
  readonly trainers: Readonly<Record<string, Trainer>>;
}

const here = import.meta.dirname;
const golden = JSON.parse(readFileSync(path.join(here, 'preference', 'preference.json'), 'utf8')) as Golden;
const llama = path.join(here, 'llama');
const temporary = temporaryFolder();
const { bos, eos } = golden;

/** The pairs, as each of TRL's trainers tokenises them. */
const pairs = (begin: readonly number[]) =>
  golden.rows.map(({ prompt, chosen, rejected }) => ({
    prompt_ids: [...begin, ...prompt],
    chosen_ids: [...chosen, eos],
    rejected_ids: [...rejected, eos],
  }));
const marked = golden.kto_rows.map(({ prompt, completion, label }) => ({
  prompt_ids: prompt,
  completion_ids: [...completion, eos],
  label,
}));
const FILES = {
  pairs: writeRows(path.join(temporary, 'pairs.jsonl'), pairs([])),
  begun: writeRows(path.join(temporary, 'begun.jsonl'), pairs([bos])),
  marked: writeRows(path.join(temporary, 'marked.jsonl'), marked),
};

/** The flags that a trainer's config stands for. */
function flagsOf(name: string, { config }: Trainer): (string | number)[] {
  const method = name.split('-')[0]!;
  if (method === 'reward') {
    const head = path.join(here, 'preference', 'reward-head.safetensors');
    return ['--method', 'reward', '--data', FILES.pairs, '--weights', 'full', '--reward-head', head];
  }
  const data = method === 'dpo' ? FILES.pairs : method === 'kto' ? FILES.marked : FILES.begun;
  const flags = { loss_type: '--loss', beta: '--beta', gamma: '--gamma', cpo_alpha: '--cpo-alpha', label_smoothing: '--label-smoothing' };
  const own = Object.entries(flags).flatMap(([key, flag]) => (config[key] === undefined ? [] : [flag, String(config[key])]));
  // The reference run of SimPO is made without the loss of the chosen answers.
  return ['--method', method, '--data', data, ...own];
}

function train(name: string, trainer: Trainer, extra: readonly (string | number)[] = []): Promise<Called> {
  return cli([
    ...['train', '--model', path.join(llama, 'model')],
    ...(trainer.config.peft === false ? [] : ['--init-adapter', path.join(llama, 'adapter')]),
    ...flagsOf(name, trainer),
    ...['--valid', 'none', '--lr', Number(trainer.config.lr), '--schedule', 'constant', '--warmup', 0, '--clip', 0],
    ...['--batch', 4, '--steps', trainer.steps.length, '--no-shuffle', '--save-every', 100, '--threads', 1],
    ...['--out', temporary, '--name', `${name}-${extra.join('')}`, ...extra],
  ]);
}

function expectNear(what: string, actual: number | undefined, expected: number, tolerance: number): void {
  if (actual === undefined) throw new Error(`no ${what}`);
  const distance = Math.abs(actual - expected) / Math.max(Math.abs(expected), 0.01);
  expect(distance, `${what}: ${actual} against ${expected}`).toBeLessThanOrEqual(tolerance);
}

type Step = Line & { readonly loss: number; readonly gradNorm: number; readonly metrics: Record<string, number> };

function expectSteps({ exit, lines, stderr }: Called, { steps }: Trainer): void {
  expect(exit, stderr).toBe(0);
  const taken = lines.filter(({ type }) => type === 'step') as Step[];
  expect(taken).toHaveLength(steps.length);
  for (const [i, expected] of steps.entries()) {
    const { loss, gradNorm, metrics } = taken[i]!;
    expectNear(`loss of step ${i + 1}`, loss, expected.loss!, TOLERANCE.loss);
    expectNear(`norm of step ${i + 1}`, gradNorm, expected.grad_norm!, TOLERANCE.norm);
    for (const [key, value] of Object.entries(expected)) {
      if (!/^(rewards|logps)\/|^(kl|nll_loss|log_odds_ratio|log_odds_chosen|accuracy|margin|(min|mean|max)_reward)$/.test(key)) continue;
      // What our apo_zero_unpaired does not need it does not compute.
      if (key === 'kl' && metrics.kl === undefined && value === 0) continue;
      expectNear(`${key} of step ${i + 1}`, metrics[key], value, TOLERANCE.metric);
    }
  }
}

const methods = Object.entries(golden.trainers);

describe('preferences, held against TRL', () => {
  test.each(methods)('%s', async (name, trainer) => {
    expectSteps(await train(name, trainer), trainer);
  });

  test.each([
    ['row by row', ['--micro-batch', 1]],
    ['padded', ['--no-pack']],
  ])('micro-batches do not change the figures: %s', async (_, how) => {
    const trainer = golden.trainers['dpo-sigmoid']!;
    expectSteps(await train('dpo-sigmoid', trainer, how), trainer);
  });
});
