import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildMicroBatch, planMicroBatches } from '../data/index.ts';
import { openReference } from '../engine/index.ts';
import { fillNormal } from '../math/random.ts';
import { uploadAdapter } from '../model/adapter-handles.ts';
import { uploadBase } from '../model/base.ts';
import { headSlices, STRIP } from '../model/head-slices.ts';
import { openPeft } from '../model/peft.ts';
import { openModelSource } from '../model/source.ts';
import { f32, sizeOf } from '../tensor/tensor.ts';
import type { HeadMode } from './head.ts';
import { createNetwork } from './network.ts';
import { vocabularyHead } from './vocabulary-head.ts';

const engine = openReference();
const ids = Int32Array.from({ length: 40 }, (_, i) => (i * 7) % 90);
const [plan] = planMicroBatches([40], { pack: true, microBatch: 1 });
const batch = buildMicroBatch([{ ids, labels: ids }], plan!);

describe('the head in slices of the vocabulary', () => {
  it.each([
    ['llama', undefined],
    ['gpt2', undefined],
    ['gemma3', undefined],
    ['llama', 'rows'],
    ['llama-tied-rope3', 'rows-tied'],
  ])('is the whole head: %s %s', async (name, own) => {
    const goldens = join(import.meta.dirname, '../../test/golden');
    const source = openModelSource(join(goldens, name, 'model'));
    const peft = own && openPeft(join(goldens, 'adapters', own, 'adapter'), source.config);
    const adapter = peft ? uploadAdapter(engine, source, peft) : undefined;
    const { hiddenSize, vocabSize } = source.config;
    const base = uploadBase(engine, source.config, source.tensors);
    const shape = [batch.ids.length, hiddenSize];
    const x = engine.upload(f32(fillNormal(new Float32Array(sizeOf(shape)), 0, 3, { seed: 1, purpose: 'x' }), shape));
    const results = async (mode: HeadMode, slices: readonly number[]) => {
      const { nll, logits, dx, weights } = vocabularyHead(
        createNetwork({ engine, base, adapter }),
        batch,
        x,
        mode,
        slices,
      );
      const handles = [...nll, ...logits, ...(dx === undefined ? [] : [dx]), ...Object.values(weights)];
      return Promise.all(handles.map(async (handle) => [...(await engine.read(handle)).data].map(Number)));
    };
    for (const mode of ['loss', 'logits', 'gradient', 'gradient-and-norm'] as const) {
      const whole = await results(mode, [vocabSize]);
      const sliced = await results(mode, [37, vocabSize - 50, 13]);
      expect(sliced.length, mode).toBe(whole.length);
      if (own !== undefined && mode.startsWith('gradient')) expect(whole.at(-1)).toHaveLength(5 * hiddenSize);
      for (const [i, values] of whole.entries()) {
        const most = values.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
        for (const [j, value] of values.entries()) expect(Math.abs(sliced[i]![j]! - value)).toBeLessThan(1e-6 * most);
      }
    }
  });
});

describe('headSlices', () => {
  it('cuts the vocabulary into whole strips that are small enough, and not at all where it is small', () => {
    const sizes = fc.record({ vocab: fc.integer({ min: 1, max: 300_000 }), width: fc.integer({ min: 16, max: 8192 }) });
    fc.assert(
      fc.property(sizes, ({ vocab, width }) => {
        const bytes = 8 * 2 ** 20;
        const slices = headSlices(vocab, width, bytes);
        expect(slices.reduce((a, b) => a + b, 0)).toBe(vocab);
        if (4 * vocab * width <= bytes) expect(slices).toEqual([vocab]);
        for (const rows of slices.slice(0, -1)) expect(rows % STRIP).toBe(0);
        for (const rows of slices) expect(4 * width * (rows - STRIP)).toBeLessThanOrEqual(bytes);
      }),
    );
  });

  it('makes slices of one size where that can be', () => {
    expect(headSlices(49152, 576)).toEqual(new Array(16).fill(3072));
    expect(new Set(headSlices(128256, 2048)).size).toBeLessThanOrEqual(2);
  });
});
