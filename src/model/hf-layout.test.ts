import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { readSafetensorsHeader, readStored, readStoredRaw, readStoredRows, writeSafetensors } from '../io/index.ts';
import { transposed } from './hf-layout.ts';
import { openModelSource } from './source.ts';

const folder = mkdtempSync(join(tmpdir(), 'tunesmith-layout-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const GPT2 = join(import.meta.dirname, '..', '..', 'test', 'golden', 'gpt2', 'model');

describe('a folder of GPT-2 as the hub has it', () => {
  const bare = join(folder, 'bare');
  cpSync(GPT2, bare, { recursive: true });
  const { tensors } = readSafetensorsHeader(join(GPT2, 'model.safetensors'));
  const renamed = tensors.map((t) => {
    const name = t.name.replace('transformer.', '');
    return { name, type: 'F32' as const, shape: t.shape, data: readStoredRaw(t) };
  });
  const buffer = { name: 'h.0.attn.bias', type: 'F32' as const, shape: [1, 1, 4, 4], data: new Float32Array(16) };
  writeSafetensors(join(bare, 'model.safetensors'), [...renamed, buffer]);

  test('is read without its prefix, and its buffers are left out', () => {
    const [whole, short] = [openModelSource(GPT2), openModelSource(bare)];
    expect([...short.tensors.keys()].sort()).toEqual([...whole.tensors.keys()].sort());
    const name = 'transformer.h.1.attn.c_attn.weight';
    expect(readStored(short.tensors.get(name)!)).toEqual(readStored(whole.tensors.get(name)!));
  });

  test('has its matrices as [out, in]', () => {
    const stored = tensors.find((t) => t.name === 'transformer.h.1.mlp.c_fc.weight')!;
    const own = openModelSource(GPT2).tensors.get(stored.name)!;
    const [rows, columns] = stored.shape as [number, number];
    expect(own.shape).toEqual([columns, rows]);
    expect(readStored(own)).toEqual(transposed(readStored(stored), rows, columns));
  });
});

test('rows of a transposed tensor are columns of the file, with what is added', () => {
  const matrices = fc.record({
    rows: fc.integer({ min: 1, max: 6 }),
    columns: fc.integer({ min: 1, max: 6 }),
    added: fc.integer({ min: -2, max: 2 }),
  });
  fc.assert(
    fc.property(matrices, ({ rows, columns, added }) => {
      const file = join(folder, 'matrix.safetensors');
      const values = Float32Array.from({ length: rows * columns }, (_, i) => i * i - 3);
      writeSafetensors(file, [{ name: 'm', type: 'F32', shape: [rows, columns], data: values }]);
      const [stored] = readSafetensorsHeader(file).tensors;
      const turned = { ...stored!, shape: [columns, rows], isTransposed: true, added };
      const expected = transposed(values, rows, columns).map((x) => x + added);
      expect(readStored(turned)).toEqual(expected);
      const last = columns - 1;
      expect(readStoredRows(turned, last, 1)).toEqual(expected.subarray(last * rows));
    }),
  );
});
