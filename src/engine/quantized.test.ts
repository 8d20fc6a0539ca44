import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createBuilder, finishGraph } from '../graph/index.ts';
import { storedBytes } from '../io/blocks.ts';
import { floatsToBytes } from '../io/half.ts';
import type { StoredTensor, StoredType } from '../io/stored.ts';
import { fillNormal, fillUniform } from '../math/random.ts';
import { f32, i32 } from '../tensor/tensor.ts';
import { type Engine, openOrtHere, openReference } from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'tunesmith-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A file of random blocks whose scales and minima are of one size. */
function stored(type: StoredType, shape: readonly [number, number], seed: number): StoredTensor {
  const bytes = storedBytes(type, shape)!;
  const path = join(folder, `${type}-${shape}-${seed}`);
  const data = new Uint8Array(bytes);
  if (type === 'F16') {
    const values = fillNormal(new Float32Array(shape[0] * shape[1]), 0, 1, { seed, purpose: 'values' });
    data.set(floatsToBytes(values, 'F16'));
  } else {
    fillUniform(new Float32Array(bytes), 0, 256, { seed, purpose: 'codes' }).forEach((x, i) => {
      data[i] = Math.floor(x);
    });
    const size = { Q4_0: 18, Q4_1: 20, Q8_0: 34 }[type as string]!;
    for (let at = 0; at < bytes; at += size) {
      data.set(floatsToBytes(Float32Array.of(0.02 + (data[at]! / 256) * 0.02), 'F16'), at);
      if (type === 'Q4_1') data.set(floatsToBytes(Float32Array.of(-0.4 + (data[at + 2]! / 256) * 0.3), 'F16'), at + 2);
    }
  }
  writeFileSync(path, data);
  return { name: type, type, shape, path, offset: 0, bytes };
}

async function evaluate(engine: Engine, tensors: readonly StoredTensor[], n: number) {
  const columns = tensors[0]!.shape[1]!;
  const g = createBuilder();
  const graph = finishGraph(g, {
    product: g.quantizedLinear(g.input('x', [n, columns]), { tensors }),
    rows: g.quantizedRows(g.input('index', [3], 'i32'), { tensors }),
  });
  const x = fillNormal(new Float32Array(n * columns), 0, 1, { seed: 1, purpose: 'x' });
  const inputs = { x: engine.upload(f32(x, [n, columns])), index: engine.upload(i32([5, 0, 19], [3])) };
  const { product, rows } = engine.run(engine.compile(graph), inputs);
  return { product: [...(await engine.read(product!)).data], rows: [...(await engine.read(rows!)).data] };
}

function relativeError(actual: readonly (number | bigint)[], expected: readonly (number | bigint)[]): number {
  let off = 0;
  let size = 0;
  expected.forEach((e, i) => {
    off += (Number(actual[i]) - Number(e)) ** 2;
    size += Number(e) ** 2;
  });
  return Math.sqrt(off / size);
}

describe('stored matrices as constants', () => {
  const cases: [StoredType, number][] = [
    ['Q4_0', 1e-6],
    ['Q4_1', 1e-6],
    ['Q8_0', 1e-6],
    ['F16', 1e-2],
  ];
  it.each(cases)('%s multiplies and gives rows as the widened weights do', async (type, rowError) => {
    const tensors = [stored(type, [12, 96], 1), stored(type, [20, 96], 2)];
    for (const driver of ['c-api', 'binding'] as const) {
      const ort = await openOrtHere({ device: 'cpu', threads: 1, optimize: 'on', driver });
      for (const n of [1, 7]) {
        const expected = await evaluate(openReference(), tensors, n);
        const actual = await evaluate(ort, tensors, n);
        expect(relativeError(actual.product, expected.product)).toBeLessThan(1.5e-2);
        expect(relativeError(actual.rows, expected.rows)).toBeLessThan(rowError);
      }
      await ort.close();
    }
  });
});
