import { BLOCKS } from './blocks.ts';
import { halfTable } from './half.ts';

/** Block types of 256 values: the K-quants of ggml, and IQ4_XS. */
export type KType = 'Q2_K' | 'Q3_K' | 'Q4_K' | 'Q5_K' | 'Q6_K' | 'IQ4_XS';

/** Decodes whole blocks of 256 values; see {@link dequantize}, which checks the bounds. */
export function dequantizeK(
  type: KType,
  source: Uint8Array,
  from: number,
  target: Float32Array,
  to: number,
  blocks: number,
): void {
  const decode = DECODERS[type];
  const { bytes } = BLOCKS[type];
  const half = halfTable();
  for (let b = 0; b < blocks; b++) decode(source, from + b * bytes, target, to + b * 256, half);
}

type Decoder = (src: Uint8Array, p: number, dst: Float32Array, o: number, half: Float32Array) => void;

const DECODERS: Readonly<Record<KType, Decoder>> = {
  Q2_K: decodeQ2K,
  Q3_K: decodeQ3K,
  Q4_K: decodeQ4K,
  Q5_K: decodeQ5K,
  Q6_K: decodeQ6K,
  IQ4_XS: decodeIQ4XS,
};

/** The 16 levels of IQ4_NL and IQ4_XS, as ggml defines them. */
export const IQ4_LEVELS: readonly number[] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/** 16 scales and mins of 4 bits, 64 bytes of 2-bit values, d, dmin: d s q - dmin m. */
function decodeQ2K(src: Uint8Array, p: number, dst: Float32Array, o: number, half: Float32Array): void {
  const d = half[src[p + 80]! | (src[p + 81]! << 8)]!;
  const dmin = half[src[p + 82]! | (src[p + 83]! << 8)]!;
  for (let group = 0; group < 16; group++, o += 16) {
    const scale = src[p + group]!;
    const step = d * (scale & 15);
    const min = dmin * (scale >> 4);
    const shift = group & 6;
    const q = p + 16 + (group >> 3) * 32 + (group & 1) * 16;
    for (let j = 0; j < 16; j++) dst[o + j] = step * ((src[q + j]! >> shift) & 3) - min;
  }
}

/** 32 bytes of high bits, 64 bytes of low 2 bits, 16 scales of 6 bits in 12 bytes, d: d (s - 32) (q - 4). */
function decodeQ3K(src: Uint8Array, p: number, dst: Float32Array, o: number, half: Float32Array): void {
  const d = half[src[p + 108]! | (src[p + 109]! << 8)]!;
  const scales = p + 96;
  for (let group = 0; group < 16; group++, o += 16) {
    const low = group < 8 ? src[scales + group]! & 15 : src[scales + group - 8]! >> 4;
    const high = (src[scales + 8 + (group & 3)]! >> (2 * (group >> 2))) & 3;
    const step = d * ((low | (high << 4)) - 32);
    const shift = group & 6;
    const bit = group >> 1;
    const q = p + 32 + (group >> 3) * 32 + (group & 1) * 16;
    const h = p + (group & 1) * 16;
    for (let j = 0; j < 16; j++) {
      dst[o + j] = step * (((src[q + j]! >> shift) & 3) + ((src[h + j]! >> bit) & 1) * 4 - 4);
    }
  }
}

/** The scale of 32 values, 6 bits: the first four lie in whole bytes, the others are split over two. */
function scaleOf(src: Uint8Array, s: number, i: number): number {
  return i < 4 ? src[s + i]! & 63 : (src[s + i + 4]! & 15) | ((src[s + i - 4]! >> 6) << 4);
}

/** The minimum of 32 values, packed as {@link scaleOf}. */
function minOf(src: Uint8Array, s: number, i: number): number {
  return i < 4 ? src[s + i + 4]! & 63 : (src[s + i + 4]! >> 4) | ((src[s + i]! >> 6) << 4);
}

/** d, dmin, 8 scales and mins of 6 bits, 128 bytes of 4-bit values: d s q - dmin m. */
function decodeQ4K(src: Uint8Array, p: number, dst: Float32Array, o: number, half: Float32Array): void {
  const d = half[src[p]! | (src[p + 1]! << 8)]!;
  const dmin = half[src[p + 2]! | (src[p + 3]! << 8)]!;
  for (let pair = 0, q = p + 16; pair < 4; pair++, o += 64, q += 32) {
    const step0 = d * scaleOf(src, p + 4, 2 * pair);
    const min0 = dmin * minOf(src, p + 4, 2 * pair);
    const step1 = d * scaleOf(src, p + 4, 2 * pair + 1);
    const min1 = dmin * minOf(src, p + 4, 2 * pair + 1);
    for (let j = 0; j < 32; j++) {
      const byte = src[q + j]!;
      dst[o + j] = step0 * (byte & 15) - min0;
      dst[o + j + 32] = step1 * (byte >> 4) - min1;
    }
  }
}

/** As Q4_K, with 32 bytes of fifth bits before the values. */
function decodeQ5K(src: Uint8Array, p: number, dst: Float32Array, o: number, half: Float32Array): void {
  const d = half[src[p]! | (src[p + 1]! << 8)]!;
  const dmin = half[src[p + 2]! | (src[p + 3]! << 8)]!;
  const h = p + 16;
  for (let pair = 0, q = p + 48; pair < 4; pair++, o += 64, q += 32) {
    const step0 = d * scaleOf(src, p + 4, 2 * pair);
    const min0 = dmin * minOf(src, p + 4, 2 * pair);
    const step1 = d * scaleOf(src, p + 4, 2 * pair + 1);
    const min1 = dmin * minOf(src, p + 4, 2 * pair + 1);
    for (let j = 0; j < 32; j++) {
      const byte = src[q + j]!;
      const high = src[h + j]! >> (2 * pair);
      dst[o + j] = step0 * ((byte & 15) | ((high & 1) << 4)) - min0;
      dst[o + j + 32] = step1 * ((byte >> 4) | ((high & 2) << 3)) - min1;
    }
  }
}

/** 128 bytes of low 4 bits, 64 of high 2 bits, 16 signed scales, d: d s (q - 32). */
function decodeQ6K(src: Uint8Array, p: number, dst: Float32Array, o: number, half: Float32Array): void {
  const d = half[src[p + 208]! | (src[p + 209]! << 8)]!;
  for (let part = 0; part < 2; part++, o += 128) {
    const low = p + part * 64;
    const high = p + 128 + part * 32;
    for (let group = 0; group < 8; group++) {
      const step = d * ((src[p + 192 + part * 8 + group]! << 24) >> 24);
      const quarter = group >> 1;
      const l = low + (quarter & 1) * 32 + (group & 1) * 16;
      const h = high + (group & 1) * 16;
      const lowShift = (quarter >> 1) * 4;
      for (let j = 0; j < 16; j++) {
        const q = ((src[l + j]! >> lowShift) & 15) | (((src[h + j]! >> (2 * quarter)) & 3) << 4);
        dst[o + group * 16 + j] = step * (q - 32);
      }
    }
  }
}

/** d, 8 scales of 6 bits in 2 + 4 bytes, 128 bytes of indices into the IQ4 levels: d (s - 32) level. */
function decodeIQ4XS(src: Uint8Array, p: number, dst: Float32Array, o: number, half: Float32Array): void {
  const d = half[src[p]! | (src[p + 1]! << 8)]!;
  const highs = src[p + 2]! | (src[p + 3]! << 8);
  for (let group = 0, q = p + 8; group < 8; group++, o += 32, q += 16) {
    const low = (src[p + 4 + (group >> 1)]! >> (4 * (group & 1))) & 15;
    const step = d * ((low | (((highs >> (2 * group)) & 3) << 4)) - 32);
    for (let j = 0; j < 16; j++) {
      const byte = src[q + j]!;
      dst[o + j] = step * IQ4_LEVELS[byte & 15]!;
      dst[o + j + 16] = step * IQ4_LEVELS[byte >> 4]!;
    }
  }
}
