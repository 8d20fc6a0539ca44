import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { readSafetensorsHeader } from '../../src/io/index.ts';
import { cli, linesOf, temporaryFolder } from '../support/cli.ts';
import { expectClose, lossesOf } from '../support/close.ts';
import { type Flags, resume, train, trainArgs, writeToys } from '../support/toy-runs.ts';

/** One engine for all runs of the file: starting a process for each would take most of the time. */
vi.mock('../../src/engine/index.ts', async (importActual) => {
  const actual = await importActual<typeof import('../../src/engine/index.ts')>();
  const shared = await actual.openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
  return { ...actual, openOrt: () => ({ ...shared, close: async () => {} }) };
});

const toys = writeToys(temporaryFolder());
const FLAGS = { steps: 6, batch: 4, 'save-every': 3, keep: 5 };

/** The flags that choose it, and the types of the state that a checkpoint then holds. */
const OPTIMISERS: readonly (readonly [name: string, flags: Flags, types: readonly string[]])[] = [
  ['adamw', { optimizer: 'adamw', 'weight-decay': 0.1 }, ['F32']],
  ['adamw-8bit', { optimizer: 'adamw-8bit', rank: 128 }, ['F32', 'U8']],
  ['adamw-8bit on all weights', { optimizer: 'adamw-8bit', weights: 'full', 'weight-decay': 0.1 }, ['F32', 'U8']],
  ['sgd', { optimizer: 'sgd', nesterov: true }, ['F32']],
  ['sgd without momentum', { optimizer: 'sgd', momentum: 0 }, []],
  ['adafactor', { optimizer: 'adafactor', 'parameter-scale': true }, ['F32']],
  ['adafactor on all weights', { optimizer: 'adafactor', weights: 'full' }, ['F32']],
  ['lion', { optimizer: 'lion' }, ['F32']],
  ['NEFTune and LoRA+', { 'neftune-alpha': 5, 'lora-plus-ratio': 4 }, ['F32']],
];

const weightsOf = (run: string) => {
  const last = path.join(run, 'last');
  const { tensors } = readSafetensorsHeader(
    path.join(last, run.includes('full') ? 'model.safetensors' : 'adapter_model.safetensors'),
  );
  return readFileSync(tensors[0]!.path);
};

describe('a run that goes on from a checkpoint ends with the same bits', () => {
  test.each(OPTIMISERS)('%s', async (name, flags, types) => {
    const full = flags.weights === 'full' ? 'full-' : '';
    const first = path.join(toys.folder, `${full}${name.replace(/\W/g, '-')}`);
    const straight = await cli(trainArgs(toys, path.basename(first), { ...FLAGS, ...flags }));
    expect(straight.exit, straight.stderr).toBe(0);
    const state = readSafetensorsHeader(path.join(first, 'checkpoints', 'step-000003', 'optimizer.safetensors'));
    expect([...new Set(state.tensors.map(({ type }) => type))].sort()).toEqual(types);

    const second = `${first}-again`;
    cpSync(first, second, { recursive: true });
    for (const gone of ['checkpoints/step-000006', 'best', 'last'])
      rmSync(path.join(second, gone), { recursive: true });
    const events = path.join(second, 'events.jsonl');
    const whole = readFileSync(events, 'utf8');
    writeFileSync(events, whole.slice(0, whole.indexOf('{"type":"done"')));
    const again = await resume(second);
    expect(again.exit, again.stderr).toBe(0);
    expect(lossesOf(linesOf(readFileSync(events, 'utf8')))).toEqual(lossesOf(straight.lines));
    expect(weightsOf(second).equals(weightsOf(first))).toBe(true);
  });
});

test('NEFTune draws noise for each row, however rows are put into micro-batches', async () => {
  const flags = { 'neftune-alpha': 5, lr: 1e-3 };
  const whole = await train(toys, { ...flags, 'micro-batch': 8 });
  const parts = await train(toys, { ...flags, 'micro-batch': 1 });
  const padded = await train(toys, { ...flags, 'micro-batch': 3, 'no-pack': true });
  for (const other of [parts, padded]) {
    for (const [i, loss] of other.losses.entries()) expectClose(loss, whole.losses[i], 1e-6);
  }
});

describe('an option that the choice would ignore is refused before anything is read', () => {
  test.each([
    [{ optimizer: 'sgd', beta2: 0.9 }, '--beta2 has no effect on --optimizer sgd, only on adamw, adamw-8bit, lion.'],
    [{ optimizer: 'lion', eps: 1e-6 }, '--eps has no effect on --optimizer lion, only on adamw, adamw-8bit.'],
    [{ momentum: 0.5 }, '--momentum has no effect on --optimizer adamw, only on sgd.'],
    [{ 'no-nesterov': true }, '--nesterov has no effect on --optimizer adamw, only on sgd.'],
    [{ 'parameter-scale': true }, '--parameter-scale has no effect on --optimizer adamw, only on adafactor.'],
    [{ optimizer: 'sgd', momentum: 0, nesterov: true }, '--nesterov has no effect with --momentum 0.'],
    [{ decay: 0.5 }, '--decay has no effect on --schedule cosine, only on wsd.'],
    [
      { schedule: 'constant', 'min-lr': 0.1 },
      '--min-lr has no effect on --schedule constant, only on linear, cosine, wsd.',
    ],
    [{ weights: 'full', 'lora-plus-ratio': 4 }, '--lora-plus-ratio has no effect with --weights full.'],
  ] as const)('%j', async (flags, message) => {
    const { exit, stderr } = await cli(trainArgs(toys, 'refused', { ...flags, data: 'no-such-file.jsonl' }));
    expect(exit).toBe(2);
    expect(stderr).toContain(`CLI_OPTION_CONFLICT`);
    expect(stderr).toContain(message);
  });
});
