import path from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { cli, temporaryFolder } from '../support/cli.ts';
import { train, writeToys } from '../support/toy-runs.ts';

/** One engine for all calls: starting a process for each would take most of the time. */
vi.mock('../../src/engine/index.ts', async (importActual) => {
  const actual = await importActual<typeof import('../../src/engine/index.ts')>();
  const shared = await actual.openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
  return { ...actual, openOrt: () => ({ ...shared, close: async () => {} }) };
});

const toys = writeToys(temporaryFolder());
let run: string;
beforeAll(async () => {
  ({ run } = await train(toys, { lr: 3e-2, 'alpha-pattern': 'down_proj=8' }));
});

async function lossOf(...model: readonly (string | number)[]): Promise<number> {
  const { lines, stderr } = await cli(['score', ...model, '--data', toys.chats, '--threads', 1]);
  const total = lines.find(({ type }) => type === 'total');
  expect(total, stderr).toBeDefined();
  return Number(total?.nll) / Number(total?.tokens);
}

async function refused(...args: readonly (string | number)[]): Promise<string> {
  const { exit, stderr } = await cli([...args]);
  expect(exit, stderr).toBe(2);
  return stderr;
}

describe('--strength', () => {
  test('leads from the base to what was trained', async () => {
    const [base, full] = [await lossOf(toys.model), await lossOf(run)];
    const course = [];
    for (const strength of [1e-4, 0.5, 1]) course.push(await lossOf(run, '--strength', strength));
    expect(course[0]).toBeCloseTo(base, 2);
    expect(course[1]).not.toBeCloseTo(full, 3);
    expect(course[2]).toBe(full);
  });

  test.each(['safetensors', 'peft'])('is exported into %s', async (to) => {
    const out = path.join(toys.folder, `at-half-${to}`);
    const quant = to === 'safetensors' ? ['--quant', 'f32'] : [];
    const { exit, stderr } = await cli(['export', run, '--to', to, '--out', out, '--strength', 0.5, ...quant]);
    expect(exit, stderr).toBe(0);
    const model = to === 'peft' ? [toys.model, '--adapter', out] : [out];
    expect(await lossOf(...model)).toBeCloseTo(await lossOf(run, '--strength', 0.5), 5);
  });

  test.each([
    [0, 'CLI_OPTION_VALUE'],
    [-1, 'CLI_OPTION_VALUE'],
    [3, 'CLI_OPTION_VALUE'],
  ])('%s is refused', async (strength, code) => {
    expect(await refused('score', run, '--data', toys.chats, `--strength=${strength}`)).toContain(code);
  });

  test('is refused where there is no adapter, or one that is no difference', async () => {
    expect(await refused('score', toys.model, '--data', toys.chats, '--strength', 0.5)).toContain('without an adapter');
    for (const flags of [{ weights: 'dora' }, { 'modules-to-save': 'norm' }]) {
      const { run: other } = await train(toys, flags);
      expect(await refused('score', other, '--data', toys.chats, '--strength', 0.5)).toContain('ADAPTER_STRENGTH');
    }
  });
});
