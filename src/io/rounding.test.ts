import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/support/cli.ts';
import { readAtRest, restBytes, rowsAtRest, widenRows } from './at-rest.ts';
import { writeAtomic } from './atomic.ts';
import { floatsToBytes } from './half.ts';
import { readStoredRows } from './read-stored.ts';
import { NF4_LEVELS, type Rounding, roundThrough } from './rounding.ts';
import type { StoredTensor } from './stored.ts';

const folder = temporaryFolder();
const matrix = fc
  .record({ rows: fc.integer({ min: 1, max: 5 }), width: fc.integer({ min: 1, max: 150 }), seed: fc.nat() })
  .map(({ rows, width, seed }) => ({
    shape: [rows, width] as const,
    values: Float32Array.from({ length: rows * width }, (_, i) => Math.sin(seed + i * i) * 2 ** ((seed + i) % 9)),
  }));

function stored(
  type: 'F32' | 'BF16',
  { shape, values }: { shape: readonly number[]; values: Float32Array },
): StoredTensor {
  const path = join(folder, `${type}.bin`);
  const bytes = floatsToBytes(values, type);
  writeAtomic(path, bytes);
  return { name: 'w', type, shape, path, offset: 0, bytes: bytes.length };
}

describe.each(['nf4', 'int8'] as const)('%s', (rounded: Rounding) => {
  it('reads the same from the file, at rest, in parts and transposed', () => {
    fc.assert(
      fc.property(matrix, fc.boolean(), (given, isTransposed) => {
        const tensor: StoredTensor = { ...stored('F32', given), rounded, isTransposed };
        const [rows, width] = given.shape;
        const expected = readStoredRows(tensor, 0, rows);
        const rest = readAtRest(tensor);
        expect(rest.bytes.byteLength + rest.scales.byteLength).toBe(restBytes(tensor));
        for (let row = 0; row < rows; row++) {
          const own = expected.subarray(row * width, (row + 1) * width);
          const [one, part] = [new Float32Array(width + 1), new Float32Array(width)];
          widenRows(rest, row, 1, one, 1);
          widenRows(rowsAtRest(rest, row, 1), 0, 1, part);
          expect(one.subarray(1)).toEqual(own);
          expect(part).toEqual(own);
          expect(readStoredRows(tensor, row, 1)).toEqual(own);
        }
      }),
    );
  });

  it('is no further off than half a step of its block', () => {
    const step = rounded === 'nf4' ? 0.152 : 0.5 / 127;
    fc.assert(
      fc.property(matrix, ({ shape: [, width], values }) => {
        const after = values.slice();
        roundThrough(rounded, after, width);
        for (const [i, value] of values.entries()) {
          const start = i - ((i % width) % 64);
          const block = values.subarray(start, Math.min(start + 64, (Math.floor(i / width) + 1) * width));
          const most = block.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
          expect(Math.abs(after[i]! - value)).toBeLessThanOrEqual(step * most * 1.000001);
        }
      }),
    );
  });

  it('keeps zeros, and what it rounded once', () => {
    const zeros = new Float32Array(130);
    roundThrough(rounded, zeros, 65);
    expect(zeros.every((value) => value === 0)).toBe(true);
    fc.assert(
      fc.property(matrix, ({ shape: [, width], values }) => {
        roundThrough(rounded, values, width);
        const again = values.slice();
        roundThrough(rounded, again, width);
        if (rounded === 'nf4') expect(again).toEqual(values);
        else for (const [i, value] of again.entries()) expect(value).toBeCloseTo(values[i]!, 3);
      }),
    );
  });
});

describe('nf4', () => {
  it('takes the nearest level', () => {
    const values = Float32Array.from({ length: 64 }, (_, i) => (i === 0 ? -1 : i / 64));
    const after = values.slice();
    roundThrough('nf4', after, 64);
    for (const [i, value] of after.entries()) {
      const nearest = NF4_LEVELS.toSorted((a, b) => Math.abs(a - values[i]!) - Math.abs(b - values[i]!))[0]!;
      expect(value).toBeCloseTo(nearest, 6);
    }
  });
});

describe('readAtRest', () => {
  it('transposes what the file has turned, and refuses rows that are not there', () => {
    const values = Float32Array.from({ length: 12 }, (_, i) => i);
    const tensor: StoredTensor = { ...stored('BF16', { shape: [4, 3], values }), isTransposed: true };
    const target = new Float32Array(12);
    widenRows(readAtRest(tensor), 0, 4, target);
    expect([...target]).toEqual([0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
    expect(() => widenRows(readAtRest(tensor), 3, 2, target)).toThrow('internal:');
  });
});
