import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { openPeft } from '../../src/model/peft.ts';
import { openModelSource } from '../../src/model/source.ts';
import { cli, temporaryFolder } from '../support/cli.ts';
import { type Flags, resume, train, trainArgs, writeToys } from '../support/toy-runs.ts';

/** One engine for all runs of the file: starting a process for each would take most of the time. */
vi.mock('../../src/engine/index.ts', async (importActual) => {
  const actual = await importActual<typeof import('../../src/engine/index.ts')>();
  const shared = await actual.openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
  return { ...actual, openOrt: () => ({ ...shared, close: async () => {} }) };
});

const toys = writeToys(temporaryFolder());
const { config } = openModelSource(toys.model);
const FLAGS: Flags = {
  steps: 4,
  batch: 12,
  'save-every': 2,
  schedule: 'constant',
  warmup: 0,
  'no-shuffle': true,
  valid: 0.2,
};

const METHODS: readonly (readonly [name: string, flags: Flags])[] = [
  [
    'rsLoRA with patterns',
    { 'rs-lora': true, 'rank-pattern': 'q_proj=2', 'alpha-pattern': 'mlp.up_proj=7', dropout: 0.1 },
  ],
  ['LoRA beside norms and embedding', { 'modules-to-save': 'embed_tokens,norm', targets: 'attention' }],
  ['LoRA on every second layer', { layers: 'every:2' }],
  ['DoRA', { weights: 'dora' }],
  ['DoRA with dropout', { weights: 'dora', rank: 4, dropout: 0.1 }],
  ['VeRA', { weights: 'vera', rank: 8, dropout: 0.1 }],
  ['(IA)^3', { weights: 'ia3' }],
  ['PiSSA', { init: 'pissa', rank: 4, dropout: 0.1 }],
  ['OLoRA', { init: 'olora', rank: 4, targets: 'mlp' }],
  ['full weights in part', { weights: 'full', layers: 'last:1', freeze: 'embed' }],
];

describe.each(METHODS)('%s', (_, flags) => {
  const isAdapter = flags.weights !== 'full';

  test('begins as the base model', async () => {
    const [plain, own] = await Promise.all([
      train(toys, { ...FLAGS, steps: 1 }),
      train(toys, { ...FLAGS, ...flags, dropout: undefined, steps: 1 }),
    ]);
    expect(own.losses[0]! / plain.losses[0]!).toBeCloseTo(1, 6);
  });

  test('goes on to the same bits after an interruption', async () => {
    const straight = await train(toys, { ...FLAGS, ...flags });
    const run = `${straight.run}-interrupted`;
    cpSync(straight.run, run, { recursive: true });
    const first = path.join(run, 'checkpoints', 'step-000002');
    const { eventBytes } = JSON.parse(readFileSync(path.join(first, 'progress.json'), 'utf8')) as {
      eventBytes: number;
    };
    for (const folder of ['last', 'best', 'checkpoints/step-000004'])
      rmSync(path.join(run, folder), { recursive: true });
    const events = path.join(run, 'events.jsonl');
    writeFileSync(events, readFileSync(events).subarray(0, eventBytes));
    const { exit, stderr } = await resume(run);
    expect(exit, stderr).toBe(0);
    for (const file of readdirSync(path.join(straight.run, 'last'))) {
      const [one, other] = [straight.run, run].map((folder) => readFileSync(path.join(folder, 'last', file)));
      expect(one!.equals(other!), file).toBe(true);
    }
  });

  if (!isAdapter) return;
  test('is what another run starts from', async () => {
    const [whole, half] = [
      await train(toys, { ...FLAGS, ...flags, dropout: undefined }),
      await train(toys, { ...FLAGS, ...flags, dropout: undefined, steps: 3 }),
    ];
    const adapter = path.join(half.run, 'last');
    openPeft(adapter, config);
    const next = await train(toys, { ...FLAGS, steps: 1, 'init-adapter': adapter });
    expect(next.losses[0]! / whole.losses[3]!).toBeCloseTo(1, 6);
    const scored = await cli([
      'score',
      '--model',
      toys.model,
      '--adapter',
      adapter,
      '--data',
      toys.chats,
      '--threads',
      1,
    ]);
    const total = scored.lines.find(({ type }) => type === 'total') as unknown as { nll: number; tokens: number };
    expect(Number.isFinite(total.nll), scored.stderr).toBe(true);
  });
});

describe('what has no effect is refused', () => {
  test.each([
    [{ weights: 'ia3', rank: 4 }, /CLI_OPTION_CONFLICT --rank has no effect on weights ia3/],
    [{ weights: 'ia3', dropout: 0.1 }, /CLI_OPTION_CONFLICT --dropout has no effect on weights ia3/],
    [{ weights: 'vera', alpha: 4 }, /CLI_OPTION_CONFLICT --alpha has no effect on weights vera/],
    [{ weights: 'dora', init: 'pissa' }, /CLI_OPTION_CONFLICT --init has no effect on weights dora/],
    [{ freeze: 'embed' }, /CLI_OPTION_CONFLICT --freeze has no effect on weights lora/],
    [{ weights: 'full', freeze: 'head' }, /CLI_OPTION_CONFLICT --freeze head: .* one tensor/],
    [{ 'rank-pattern': 'o_prj=3' }, /ADAPTER_TARGETS pattern "o_prj"/],
    [{ 'rank-pattern': 'o_proj=1.5' }, /CLI_OPTION_VALUE the rank of o_proj/],
    [{ 'rank-pattern': 'o_proj' }, /CLI_OPTION_VALUE --rank-pattern/],
    [{ 'modules-to-save': 'lm_head' }, /ADAPTER_TARGETS "lm_head" is one tensor with the embedding/],
    [{ 'modules-to-save': 'q_proj' }, /ADAPTER_UNSUPPORTED .*q_proj cannot train in full/],
    [{ init: 'pissa', rank: 33 }, /CLI_OPTION_VALUE rank 33 is more than the 32 directions/],
    [{ weights: 'full', layers: 'last:9' }, /ADAPTER_TARGETS layers "last:9"/],
  ] as const)('%j', async (flags, message) => {
    const { exit, stderr } = await cli(trainArgs(toys, 'refused', flags as Flags));
    expect(exit).toBe(2);
    expect(stderr).toMatch(message);
  });

  test('a method that is not that of the adapter to start from', async () => {
    const { run } = await train(toys, { ...FLAGS, steps: 1, weights: 'ia3' });
    const from = { 'init-adapter': path.join(run, 'last') };
    for (const [flags, message] of [
      [{ ...from, weights: 'lora' }, /ADAPTER_MISMATCH .*of the method ia3, not lora.*--weights ia3/s],
      [{ ...from, dropout: 0.1 }, /CLI_OPTION_CONFLICT --dropout has no effect on an adapter of the method ia3/],
      [{ ...from, 'modules-to-save': 'norm' }, /CLI_OPTION_CONFLICT .*the adapter brings its own/],
    ] as const) {
      const { exit, stderr } = await cli(trainArgs(toys, 'refused', flags));
      expect(exit).toBe(2);
      expect(stderr).toMatch(message);
    }
  });
});
