import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { readSafetensorsHeader, readStored } from '../../src/io/index.ts';
import { cli, temporaryFolder } from '../support/cli.ts';
import { expectClose } from '../support/close.ts';
import { type Trained, train, writeToys } from '../support/toy-runs.ts';

/** One engine for all runs of the file: starting a process for each would take most of the time. */
vi.mock('../../src/engine/index.ts', async (importActual) => {
  const actual = await importActual<typeof import('../../src/engine/index.ts')>();
  const shared = await actual.openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
  return { ...actual, openOrt: () => ({ ...shared, close: async () => {} }) };
});

const toys = writeToys(temporaryFolder());

const adapterFile = ({ run }: Trained) => path.join(run, 'last', 'adapter_model.safetensors');

/** Distance of two adapters relative to the first. */
function adapterDistance(a: Trained, b: Trained): number {
  const others = new Map(readSafetensorsHeader(adapterFile(b)).tensors.map((t) => [t.name, readStored(t)]));
  let [distance, size] = [0, 0];
  for (const stored of readSafetensorsHeader(adapterFile(a)).tensors) {
    const other = others.get(stored.name);
    for (const [i, x] of readStored(stored).entries()) {
      distance += (x - (other?.[i] ?? Number.NaN)) ** 2;
      size += x ** 2;
    }
  }
  return Math.sqrt(distance / size);
}

describe('training', () => {
  test('eight micro-batches of one row equal one of eight rows, packed equals padded', async () => {
    const whole = await train(toys, { 'micro-batch': 8 });
    for (const flags of [{ 'micro-batch': 1 }, { 'micro-batch': 8, 'no-pack': true }, { 'micro-batch': 3 }] as const) {
      const parts = await train(toys, flags);
      for (const [i, loss] of parts.losses.entries()) expectClose(loss, whole.losses[i], 1e-6);
      expect(adapterDistance(whole, parts)).toBeLessThan(1e-5);
    }
  });

  test('with dropout too, since a mask belongs to a row', async () => {
    const whole = await train(toys, { dropout: 0.2, 'micro-batch': 8 });
    const plain = await train(toys, { 'micro-batch': 8 });
    expect(adapterDistance(whole, plain)).toBeGreaterThan(1e-2);
    for (const flags of [{ 'micro-batch': 1 }, { 'micro-batch': 8, 'no-pack': true }, { 'micro-batch': 3 }] as const) {
      const parts = await train(toys, { ...flags, dropout: 0.2 });
      for (const [i, loss] of parts.losses.entries()) expectClose(loss, whole.losses[i], 1e-6);
      expect(adapterDistance(whole, parts)).toBeLessThan(1e-5);
    }
  });

  test('the same seed gives the same bits, in files without times or paths', async () => {
    const [a, b] = [await train(toys, { dropout: 0.1 }), await train(toys, { dropout: 0.1 })];
    expect(b.losses).toEqual(a.losses);
    for (const file of ['adapter_model.safetensors', 'adapter_config.json']) {
      for (const folder of ['last', 'best', 'checkpoints/step-000004']) {
        const text = readFileSync(path.join(a.run, folder, file));
        expect(text.equals(readFileSync(path.join(b.run, folder, file)))).toBe(true);
        expect(text.includes(toys.folder)).toBe(false);
      }
    }
  });

  test('a new adapter leaves the model as it is', async () => {
    const { losses, run } = await train(toys, { steps: 1, lr: '1e-30', batch: 12 });
    const score = async (...more: string[]) => {
      const { lines } = await cli(['score', '--model', toys.model, '--data', toys.chats, '--threads', 1, ...more]);
      return lines.at(-1) as unknown as { nll: number; tokens: number };
    };
    const base = await score();
    const adapted = await score('--adapter', path.join(run, 'last'));
    expectClose(adapted.nll, base.nll, 1e-7);
    expectClose(losses[0] ?? Number.NaN, base.nll / base.tokens, 1e-6);
  });
});
