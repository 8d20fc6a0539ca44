import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { configFlags } from '../../src/cli/fields.ts';
import { temporaryFolder } from '../support/cli.ts';
import { writeRows } from '../support/golden-rows.ts';
import { type Flags, train, writeToys } from '../support/toy-runs.ts';

/** One engine for all runs of the file: starting a process for each would take most of the time. */
vi.mock('../../src/engine/index.ts', async (importActual) => {
  const actual = await importActual<typeof import('../../src/engine/index.ts')>();
  const shared = await actual.openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
  return { ...actual, openOrt: () => ({ ...shared, close: async () => {} }) };
});

const toys = writeToys(temporaryFolder());
const other = path.join(toys.folder, 'elsewhere');
mkdirSync(other);
const pairs = writeRows(path.join(toys.folder, 'pairs.jsonl'), [{ prompt: 'Hello there', completion: 'Hi.' }]);
const bots = writeRows(path.join(toys.folder, 'bots.jsonl'), [
  {
    messages: [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Ho' },
    ],
  },
  {
    messages: [
      { role: 'user', content: 'A <|im_end|> b' },
      { role: 'assistant', content: 'Ho' },
    ],
  },
]);

const labelled = writeRows(
  path.join(toys.folder, 'labelled.jsonl'),
  ['spam', 'ham', 'ham', 'ham'].map((label, i) => ({ text: `Hello ${i}`, label })),
);

const preferred = writeRows(
  path.join(toys.folder, 'preferred.jsonl'),
  [1, 2, 3, 4].map((i) => ({ prompt: `Hello ${i}`, chosen: `Hi, ${i}.`, rejected: `Go away ${'now '.repeat(i)}` })),
);
/** Mostly good, so that answers of other rows become likelier too. */
const marked = writeRows(
  path.join(toys.folder, 'marked.jsonl'),
  [1, 2, 3, 4].map((i) => ({ prompt: `Hello ${i}`, completion: `Hi, ${i}.`, label: i < 4 })),
);
const prefers = (method: string): Flags => ({ method, data: preferred, batch: 4 });

type Change = readonly [flag: string, value: string | number | true, beside?: Flags];

/** Each option with a value that is not its default, and what stands beside it in both runs, where it needs something. */
const CHANGES: readonly Change[] = [
  ['rank', 4],
  ['alpha', 8],
  ['dropout', 0.2],
  ['targets', 'q_proj,v_proj'],
  ['layers', '1'],
  ['weights', 'full'],
  ['weights', 'dora'],
  ['weights', 'vera'],
  ['weights', 'ia3'],
  ['layers', '1', { weights: 'full' }],
  ['freeze', 'embed', { weights: 'full' }],
  ['freeze', 'norms', { weights: 'full' }],
  ['base-weights', 'nf4'],
  ['base-weights', 'int8'],
  ['rs-lora', true],
  ['rank-pattern', 'down_proj=2'],
  ['alpha-pattern', 'down_proj=2'],
  ['init', 'pissa', { rank: 4 }],
  ['init', 'olora', { rank: 4 }],
  ['d-initial', 0.5, { weights: 'vera' }],
  ['feedforward', 'v_proj,down_proj', { weights: 'ia3' }],
  ['modules-to-save', 'norm'],
  ['lr', 3e-3],
  ['schedule', 'constant'],
  ['schedule', 'wsd'],
  ['schedule', 'inverse-sqrt'],
  ['min-lr', 0.5],
  ['decay', 0.9, { schedule: 'wsd' }],
  ['optimizer', 'adamw-8bit', { rank: 128 }],
  ['optimizer', 'sgd'],
  ['optimizer', 'adafactor'],
  ['optimizer', 'lion'],
  ['momentum', 0.5, { optimizer: 'sgd' }],
  ['nesterov', true, { optimizer: 'sgd' }],
  ['parameter-scale', true, { optimizer: 'adafactor' }],
  ['lora-plus-ratio', 8],
  ['neftune-alpha', 5],
  ['warmup', 3],
  ['weight-decay', 0.5],
  ['weight-decay', 0.5, { optimizer: 'sgd' }],
  ['beta1', 0.5],
  ['beta2', 0.9],
  ['beta2', 0.5, { optimizer: 'lion' }],
  ['eps', 1e-2],
  ['clip', 0.1],
  ['batch', 3],
  ['class-weights', 'balanced', { method: 'classify', data: labelled, batch: 4 }],
  ['loss', 'hinge', prefers('dpo')],
  ['loss', 'apo_zero_unpaired', { method: 'kto', data: marked, batch: 4 }],
  ['loss', 'ipo', prefers('cpo')],
  ['beta', 0.5, prefers('dpo')],
  ['beta', 0.5, prefers('kto')],
  ['beta', 0.5, prefers('orpo')],
  ['beta', 0.5, prefers('cpo')],
  ['beta', 0.5, prefers('simpo')],
  ['label-smoothing', 0.2, prefers('dpo')],
  ['label-smoothing', 0.2, prefers('cpo')],
  ['label-smoothing', 0.2, prefers('simpo')],
  ['rpo-alpha', 1, prefers('dpo')],
  ['cpo-alpha', 0.5, prefers('cpo')],
  ['gamma', 1, prefers('simpo')],
  ['center', 0.5, prefers('reward')],
  ['ema', 0.9],
  ['ema', 0.9, { weights: 'full' }],
  ['steps', 3],
  ['epochs', 2, { steps: undefined }],
  ['seed', 1],
  ['no-shuffle', true],
  ['train-on', 'last'],
  ['system', 'You are Ada.'],
  ['max-length', 100, { allow: 'DATA_ANSWERS_CUT' }],
  ['on-long', 'drop', { 'max-length': 100, allow: 'DATA_ANSWERS_CUT' }],
  ['format', 'raw', { data: pairs, batch: 1 }],
  ['valid', 0.3],
  ['patience', 1, { valid: 0.3, 'eval-every': 1, lr: 0.5, steps: 8 }],
  ['eval-every', 2, { valid: 0.3 }],
  ['save-every', 1],
  ['keep', 0, { 'save-every': 1 }],
  ['log', 'tensorboard'],
  ['out', other],
];

describe('each option changes something', () => {
  const without = new Map<string, Promise<unknown>>();
  const baseline = (beside: Flags) => {
    const key = JSON.stringify([Object.entries(beside), 'steps' in beside]);
    const known = without.get(key) ?? outcome(beside);
    without.set(key, known);
    return known;
  };

  test.each(CHANGES)('--%s %s', async (...change) => {
    const [flag, value, beside = {}] = change as unknown as Change;
    expect(await outcome({ ...beside, [flag]: value })).not.toEqual(await baseline(beside));
  });

  test('--init-adapter is where it starts, and --dropout holds for it', async () => {
    const { run } = await train(toys, { rank: 4 });
    const from = { 'init-adapter': path.join(run, 'last') };
    const [fresh, plain, dropped] = [{}, from, { ...from, dropout: 0.2 }].map((flags) => outcome(flags));
    expect(await plain).not.toEqual(await fresh);
    expect(await dropped).not.toEqual(await plain);
  });

  test('--allow lets a finding pass', async () => {
    await expect(train(toys, { data: bots, batch: 1 })).rejects.toThrow('DATA_SPECIAL_TOKEN');
    await train(toys, { data: bots, batch: 1, steps: 1, allow: 'DATA_SPECIAL_TOKEN' });
  });

  test('--map and --shape say what the columns mean', async () => {
    const rows = ['Hi', 'Ho'].map((frage) => ({ frage, antwort: 'Well.', text: `${frage} there` }));
    const data = writeRows(path.join(toys.folder, 'columns.jsonl'), rows);
    const few = { data, batch: 1, steps: 1 };
    const asText = await train(toys, few);
    await expect(train(toys, { ...few, map: 'frage=prompt,antwort=completion' })).rejects.toThrow(
      'DATA_SHAPE_AMBIGUOUS',
    );
    const asPairs = await train(toys, { ...few, map: 'frage=prompt,antwort=completion', shape: 'prompt/completion' });
    expect(asPairs.losses).not.toEqual(asText.losses);
  });

  /** Options that say where, how fast, or from what, and those that have tests of their own. */
  const ELSEWHERE = [
    'model',
    'data',
    'name',
    'init-adapter',
    'method',
    'precision',
    'micro-batch',
    'pack',
    'threads',
    'memory',
    'device',
    'eval',
    'replay',
    'replay-ratio',
    'replay-prompts',
    'replay-samples',
    'forget-general-text',
    'forget-suite',
    'kl-weight',
    'from-scratch',
    'vocab',
    'router-loss',
    'map',
    'shape',
    'reward-head',
    // test/e2e/add-tokens.test.ts
    'add-tokens',
    // What grpo and rloo take: test/e2e/online.test.ts.
    ...['reward', 'group', 'max-tokens', 'temperature', 'epsilon', 'epsilon-high', 'iterations'],
    ...['scale-rewards', 'importance', 'mask-truncated', 'rollout-precision'],
  ];

  test('no option is forgotten', () => {
    const tested = [...CHANGES.map(([flag]) => flag.replace(/^no-/, '')), ...ELSEWHERE, 'allow', 'role'];
    expect(
      configFlags()
        .map(({ flag }) => flag)
        .filter((flag) => !tested.includes(flag)),
    ).toEqual([]);
  });
});

/** What a run did and left, without what differs between any two runs: names, times and speeds. */
async function outcome(flags: Flags): Promise<unknown> {
  const { lines, losses, run } = await train(toys, flags);
  const evals = lines.filter(({ type }) => type === 'eval');
  const folder = path.join(String(flags.out ?? toys.folder), path.basename(run));
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => !name.includes('tfevents'));
  return { losses, evals, files: files.sort(), place: path.dirname(folder) };
}
