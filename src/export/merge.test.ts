import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { readStored } from '../io/index.ts';
import { openPeft } from '../model/peft.ts';
import { openModelSource } from '../model/source.ts';
import { mergedTensor, openMerged } from './merge.ts';
import { encodedPieces, interleaved } from './pieces.ts';

const golden = fileURLToPath(new URL('../../test/golden/llama', import.meta.url));
const source = openModelSource(path.join(golden, 'model'));
const adapter = openPeft(path.join(golden, 'adapter'), source.config);
const Q = 'model.layers.0.self_attn.q_proj.weight';

test('a merged weight is W + scale B A', () => {
  const plain = mergedTensor(openMerged(source, undefined), Q);
  const merged = openMerged(source, adapter);
  const a = adapter.tensors.get('base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight')!;
  const b = adapter.tensors.get('base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight')!;
  const [rank, width] = a.shape as [number, number];
  const aValues = readStored(a);
  const bValues = readStored(b);
  const { scale } = adapter.spec.modules[0]!.get('self_attn.q_proj') as { scale: number };
  const got = mergedTensor(merged, Q);
  for (const [row, column] of [
    [0, 0],
    [3, 5],
    [7, 31],
  ] as const) {
    let product = 0;
    for (let r = 0; r < rank; r++) product += bValues[row * rank + r]! * aValues[r * width + column]!;
    const at = row * width + column;
    expect(got[at]).toBe(Math.fround(plain[at]! + scale * product));
    expect(got[at]).not.toBe(plain[at]);
  }
});

test('a tensor that no adapter touches stays as it is', () => {
  const merged = openMerged(source, adapter);
  expect(merged.isChanged('model.norm.weight')).toBe(false);
  expect(mergedTensor(merged, 'model.norm.weight')).toEqual(readStored(source.tensors.get('model.norm.weight')!));
});

test('rows that are read in parts are the rows of the whole', () => {
  const merged = openMerged(source, adapter);
  const all = mergedTensor(merged, Q);
  const width = merged.shapes.get(Q)![1]!;
  expect(merged.rows(Q, 3, 2)).toEqual(all.slice(3 * width, 5 * width));
});

test('heads are interleaved as llama.cpp has them', () => {
  // Two heads of four rows, one value wide.
  expect([...interleaved(Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7), 4, 1)]).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
  const merged = openMerged(source, adapter);
  const encode = (values: Float32Array) => new Uint8Array(values.buffer.slice(0));
  const pieces = Buffer.concat([...encodedPieces(merged, Q, encode, source.config.heads)]);
  const values = new Float32Array(pieces.buffer.slice(pieces.byteOffset, pieces.byteOffset + pieces.length));
  const [rows, width] = merged.shapes.get(Q) as [number, number];
  expect(values).toEqual(interleaved(mergedTensor(merged, Q), rows / source.config.heads, width));
});
