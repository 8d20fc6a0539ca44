import { BLOCKS } from './blocks.ts';
import { floatsToBytes, halfOf } from './half.ts';
import { type EncodedKType, encodeK } from './quantize-k.ts';

/** The types that we encode. */
export type EncodedType = 'F32' | 'F16' | 'BF16' | 'Q4_0' | 'Q5_0' | 'Q5_1' | 'Q8_0' | EncodedKType;

/**
 * Rounds values into the bytes of a file type. The blocks of 32 have the very bytes that ggml's reference gives; of those of 256 the scales are
 * searched by the same criteria.
 *
 * @param values whole blocks
 */
export function quantize(type: EncodedType, values: Float32Array): Uint8Array {
  if (type === 'F32' || type === 'F16' || type === 'BF16') return floatsToBytes(values, type);
  const block = BLOCKS[type];
  const blocks = values.length / block.values;
  if (!Number.isInteger(blocks)) throw new Error(`internal: ${values.length} values are no whole blocks of ${type}`);
  const out = new Uint8Array(blocks * block.bytes);
  const encode = ENCODERS[type];
  for (let b = 0; b < blocks; b++) encode(values, b * block.values, out, b * block.bytes);
  return out;
}

type Encoder = (x: Float32Array, at: number, out: Uint8Array, p: number) => void;

const ENCODERS: Readonly<Record<Exclude<EncodedType, 'F32' | 'F16' | 'BF16'>, Encoder>> = {
  Q4_0: encodeQ4,
  Q5_0: encodeQ5,
  Q5_1: encodeQ51,
  Q8_0: encodeQ8,
  Q4_K: encodeK('Q4_K'),
  Q5_K: encodeK('Q5_K'),
  Q6_K: encodeK('Q6_K'),
};

const { fround } = Math;

/** The value of the largest magnitude among 32, with its sign. */
function extreme(x: Float32Array, at: number): number {
  let found = 0;
  for (let i = at; i < at + 32; i++) if (Math.abs(x[i]!) > Math.abs(found)) found = x[i]!;
  return found;
}

function writeHalf(out: Uint8Array, p: number, value: number): void {
  const bits = halfOf(value);
  out[p] = bits & 255;
  out[p + 1] = bits >> 8;
}

/** d (q - 8): the extreme value falls on q = 0. */
function encodeQ4(x: Float32Array, at: number, out: Uint8Array, p: number): void {
  const d = fround(extreme(x, at) / -8);
  const inverse = d === 0 ? 0 : fround(1 / d);
  writeHalf(out, p, d);
  const level = (i: number) => Math.min(15, Math.trunc(fround(fround(x[i]! * inverse) + 8.5)));
  for (let j = 0; j < 16; j++) out[p + 2 + j] = level(at + j) | (level(at + j + 16) << 4);
}

/** d (q - 16), the fifth bits in a word of their own. */
function encodeQ5(x: Float32Array, at: number, out: Uint8Array, p: number): void {
  const d = fround(extreme(x, at) / -16);
  const inverse = d === 0 ? 0 : fround(1 / d);
  writeHalf(out, p, d);
  pack5(out, p + 2, (j) => Math.min(31, Math.trunc(fround(fround(x[at + j]! * inverse) + 16.5))));
}

/** d q + m. */
function encodeQ51(x: Float32Array, at: number, out: Uint8Array, p: number): void {
  let min = x[at]!;
  let max = x[at]!;
  for (let i = at; i < at + 32; i++) {
    min = Math.min(min, x[i]!);
    max = Math.max(max, x[i]!);
  }
  const d = fround(fround(max - min) / 31);
  const inverse = d === 0 ? 0 : fround(1 / d);
  writeHalf(out, p, d);
  writeHalf(out, p + 2, min);
  pack5(out, p + 4, (j) => Math.trunc(fround(fround(fround(x[at + j]! - min) * inverse) + 0.5)));
}

function pack5(out: Uint8Array, p: number, level: (j: number) => number): void {
  let high = 0;
  for (let j = 0; j < 16; j++) {
    const low = level(j);
    const up = level(j + 16);
    out[p + 4 + j] = (low & 15) | ((up & 15) << 4);
    high |= ((low >> 4) << j) | ((up >> 4) << (j + 16));
  }
  for (let i = 0; i < 4; i++) out[p + i] = (high >>> (8 * i)) & 255;
}

/** d q, halves rounded away from zero. */
function encodeQ8(x: Float32Array, at: number, out: Uint8Array, p: number): void {
  const d = fround(Math.abs(extreme(x, at)) / 127);
  const inverse = d === 0 ? 0 : fround(1 / d);
  writeHalf(out, p, d);
  for (let j = 0; j < 32; j++) {
    const scaled = fround(x[at + j]! * inverse);
    out[p + 2 + j] = Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5);
  }
}
