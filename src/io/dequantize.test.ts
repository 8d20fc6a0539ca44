import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dequantize } from './dequantize.ts';
import { floatsToBytes } from './half.ts';
import { readStored, readStoredRaw } from './read-stored.ts';
import { readSafetensorsHeader } from './safetensors.ts';
import type { StoredType } from './stored.ts';

const golden = readSafetensorsHeader(
  fileURLToPath(new URL('../../test/golden/gguf-blocks.safetensors', import.meta.url)),
);
const tensorOf = (name: string) => {
  const found = golden.tensors.find((tensor) => tensor.name === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
};
const bitsOf = (values: Float32Array) => [...new Uint32Array(values.buffer, values.byteOffset, values.length)];

const TYPES = [
  'F16',
  'BF16',
  'Q4_0',
  'Q4_1',
  'Q5_0',
  'Q5_1',
  'Q8_0',
  'Q2_K',
  'Q3_K',
  'Q4_K',
  'Q5_K',
  'Q6_K',
  'IQ4_NL',
  'IQ4_XS',
] as const satisfies StoredType[];

describe('dequantize', () => {
  it.each(TYPES)('gives the bits of gguf-py for %s', (type) => {
    const raw = readStoredRaw(tensorOf(`${type}.raw`));
    const expected = readStored(tensorOf(`${type}.f32`));
    const got = new Float32Array(expected.length);
    dequantize(type, raw, 0, got, 0, got.length);
    expect(bitsOf(got)).toEqual(bitsOf(expected));
  });

  it.each(TYPES)('reads %s at any offset of source and target', (type) => {
    const raw = readStoredRaw(tensorOf(`${type}.raw`));
    const expected = readStored(tensorOf(`${type}.f32`));
    const shifted = new Uint8Array(raw.length + 3);
    shifted.set(raw, 3);
    const got = new Float32Array(expected.length + 5).fill(7);
    dequantize(type, shifted, 3, got, 5, expected.length);
    expect(bitsOf(got.subarray(5))).toEqual(bitsOf(expected));
    expect([...got.subarray(0, 5)]).toEqual([7, 7, 7, 7, 7]);
  });

  it('reads the wide types', () => {
    const got = new Float32Array(2);
    dequantize('F64', new Uint8Array(new Float64Array([0.1, -1e300]).buffer), 0, got, 0, 2);
    expect([...got]).toEqual([Math.fround(0.1), -Infinity]);
    dequantize('I64', new Uint8Array(new BigInt64Array([-5n, 2n ** 40n]).buffer), 0, got, 0, 2);
    expect([...got]).toEqual([-5, 2 ** 40]);
    dequantize('I32', new Uint8Array(new Int32Array([-5, 7]).buffer), 0, got, 0, 2);
    expect([...got]).toEqual([-5, 7]);
    dequantize('U8', Uint8Array.of(0, 255), 0, got, 0, 2);
    expect([...got]).toEqual([0, 255]);
    dequantize('F32', new Uint8Array(new Float32Array([1.5, -2]).buffer), 0, got, 0, 2);
    expect([...got]).toEqual([1.5, -2]);
  });
});

describe('floatsToBytes', () => {
  it('gives back every half and every bfloat16 bit pattern that is a number', () => {
    for (const type of ['F16', 'BF16'] as const) {
      const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);
      const values = new Float32Array(65536);
      dequantize(type, new Uint8Array(patterns.buffer), 0, values, 0, 65536);
      const back = new Uint16Array(floatsToBytes(values, type).buffer);
      const wrong = [...patterns].filter((p) => !Number.isNaN(values[p]) && back[p] !== p);
      expect(wrong).toEqual([]);
    }
  });

  it.each(['F16', 'BF16'] as const)('rounds to the nearest %s, ties to even', (type) => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const bits = new Uint16Array(floatsToBytes(Float32Array.of(value), type).slice().buffer)[0]!;
        const near = [bits - 1, bits, bits + 1].map((b) => {
          const out = new Float32Array(1);
          dequantize(type, new Uint8Array(Uint16Array.of(b).buffer), 0, out, 0, 1);
          return Math.abs(out[0]! - value);
        });
        const finite = near.filter(Number.isFinite);
        if (!Number.isFinite(near[1])) return; // too large for the type
        expect(near[1]).toBe(Math.min(...finite));
        if (near.filter((d) => d === near[1]).length > 1 && near[1] !== 0) expect(bits % 2).toBe(0);
      }),
      { numRuns: 2000 },
    );
  });
});
