import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dequantize } from './dequantize.ts';
import { type EncodedType, quantize } from './quantize.ts';
import { readStored, readStoredRaw } from './read-stored.ts';
import { readSafetensorsHeader } from './safetensors.ts';

const golden = readSafetensorsHeader(
  fileURLToPath(new URL('../../test/golden/gguf-quantised.safetensors', import.meta.url)),
);
const tensor = (name: string) => golden.tensors.find((t) => t.name === name)!;
const values = readStored(tensor('values'));

function error(type: EncodedType, bytes: Uint8Array, x: Float32Array, from = 0, to = x.length): number {
  const decoded = new Float32Array(x.length);
  dequantize(type, bytes, 0, decoded, 0, x.length);
  let squares = 0;
  for (let i = from; i < to; i++) squares += (decoded[i]! - x[i]!) ** 2;
  return Math.sqrt(squares / (to - from));
}

describe('quantisation', () => {
  test.each(['Q4_0', 'Q5_0', 'Q5_1', 'Q8_0'] as const)("%s has the bytes of ggml's reference", (type) => {
    expect(Buffer.from(quantize(type, values)).equals(readStoredRaw(tensor(type)))).toBe(true);
  });

  test.each([
    ['Q4_K', 1.1],
    ['Q5_K', 1.3],
    ['Q6_K', 1.1],
  ] as const)("%s is as exact as ggml's reference, and no row far worse", (type, worst) => {
    const ours = quantize(type, values);
    const reference = readStoredRaw(tensor(type));
    let ratios = 0;
    for (let row = 0; row < values.length / 256; row++) {
      const [from, to] = [row * 256, row * 256 + 256];
      const got = error(type, ours, values, from, to);
      const wanted = error(type, reference, values, from, to);
      const largest = Math.max(...values.subarray(from, to).map(Math.abs));
      expect(got, `row ${row}`).toBeLessThanOrEqual(wanted * worst + 1e-4 * largest);
      ratios += wanted > 1e-4 * largest ? got / wanted : 1;
    }
    expect(ratios / (values.length / 256)).toBeLessThan(1.03);
  });

  test.each([
    ['Q4_0', 0.13],
    ['Q5_0', 0.066],
    ['Q5_1', 0.066],
    ['Q8_0', 0.008],
    ['Q4_K', 0.14],
    ['Q5_K', 0.07],
    ['Q6_K', 0.033],
  ] as const)('%s is never off by more than %f of the largest magnitude of its block', (type, share) => {
    const block = fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: 256, maxLength: 256 });
    fc.assert(
      fc.property(block, (list) => {
        const x = Float32Array.from(list);
        const decoded = new Float32Array(256);
        dequantize(type, quantize(type, x), 0, decoded, 0, 256);
        const largest = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        for (let i = 0; i < 256; i++) expect(Math.abs(decoded[i]! - x[i]!)).toBeLessThanOrEqual(share * largest + 1e-6);
      }),
      { numRuns: 50 },
    );
  });
});
