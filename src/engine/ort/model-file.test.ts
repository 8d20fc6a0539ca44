import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../../../test/support/cli.ts';
import { createBuilder, finishGraph } from '../../graph/index.ts';
import { standIns } from './axes.ts';
import { type ModelFileOptions, modelFiles } from './model-file.ts';
import { openModelFile } from './open-file.ts';
import type { FileWeight, WeightForm } from './reduced-weights.ts';

const folder = temporaryFolder();
const [rows, length] = standIns(2, [4, 64]) as [number, number];
const WIDTH = 64;
const VALUES = Float32Array.from({ length: 4 * WIDTH }, (_, i) => Math.sin(i));

/** Rows of an embedding by ids [B, L], and their products with it: [B, L, 4]. */
function lookup(form: WeightForm): [ReturnType<typeof finishGraph>, Omit<ModelFileOptions, 'name'>] {
  const g = createBuilder();
  const ids = g.reshape(g.input('ids', [rows, length], 'i64'), [rows * length]);
  const table = g.input('table', [4, WIDTH]);
  const products = g.matMul(g.gather(table, ids), table, { transB: true });
  const graph = finishGraph(g, { y: g.reshape(products, [rows, length, 4]) });
  const read = (first: number, count: number) => VALUES.subarray(first * WIDTH, (first + count) * WIDTH);
  const weights = new Map<string, FileWeight>([['table', { shape: [4, WIDTH], form, rows: read }]]);
  const axes = [
    { name: 'rows', length: rows, from: { input: 'ids', axis: 0 } },
    { name: 'length', length, from: { input: 'ids', axis: 1 } },
  ];
  return [graph, { axes, weights }];
}

async function run(name: string, form: WeightForm, mostBytes?: number) {
  const [graph, options] = lookup(form);
  const files = modelFiles(graph, { ...options, name, ...(mostBytes === undefined ? {} : { mostBytes }) });
  for (const file of files) {
    const bytes = Buffer.concat([...file.pieces()]);
    expect(bytes.length).toBe(file.bytes);
    writeFileSync(path.join(folder, file.name), bytes);
  }
  const opened = openModelFile(path.join(folder, name), 1);
  const ids = { dtype: 'i64', shape: [2, 3], data: BigInt64Array.of(0n, 1n, 2n, 3n, 2n, 1n) } as const;
  try {
    const { y } = await opened.run({ ids, unknown: ids });
    return { names: files.map((file) => file.name), y: y!.data as Float32Array, shape: y!.shape };
  } finally {
    await opened.close();
  }
}

const dot = (a: number, b: number) =>
  VALUES.subarray(a * WIDTH, (a + 1) * WIDTH).reduce((sum, v, i) => sum + v * VALUES[b * WIDTH + i]!, 0);
const EXPECTED = [0, 1, 2, 3, 2, 1].flatMap((a) => [0, 1, 2, 3].map((b) => dot(a, b)));

describe('a model file', () => {
  test.each([
    ['F32', 1e-5],
    ['F16', 1e-2],
    ['Q8_0', 0.1],
    ['Q4_0', 3],
  ] as const)('with weights as %s runs at any length of its open axes', async (form, tolerance) => {
    const { y, shape } = await run(`${form}.onnx`, form);
    expect(shape).toEqual([2, 3, 4]);
    EXPECTED.forEach((value, i) => {
      expect(Math.abs(y[i]! - value)).toBeLessThan(tolerance);
    });
  });

  test('too large for one file finds its weights beside it', async () => {
    const { names, y } = await run('large.onnx', 'Q8_0', 100);
    expect(names).toEqual(['large.onnx', 'large.onnx_data', 'large.onnx_data_1']);
    expect(Math.abs(y[0]! - EXPECTED[0]!)).toBeLessThan(0.1);
  });

  test('that is none is told as such', async () => {
    writeFileSync(path.join(folder, 'broken.onnx'), 'broken');
    const opened = openModelFile(path.join(folder, 'broken.onnx'), 1);
    await expect(opened.run({})).rejects.toThrow(/is not run by ONNX Runtime/);
    await opened.close();
  });
});
