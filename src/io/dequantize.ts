import { BLOCKS } from './blocks.ts';
import { halfTable } from './half.ts';
import { dequantizeK, IQ4_LEVELS } from './k-quants.ts';
import type { StoredType } from './stored.ts';

/**
 * Decodes `values` numbers of any stored type into float32. Every product inside a block is exact in float64, so each value is rounded once,
 * to the very bits that ggml's reference gives.
 *
 * @param source bytes of the file, from `from`
 * @param values a whole number of blocks
 */
export function dequantize(
  type: StoredType,
  source: Uint8Array,
  from: number,
  target: Float32Array,
  to: number,
  values: number,
): void {
  const block = BLOCKS[type];
  const blocks = values / block.values;
  if (!Number.isInteger(blocks) || from + blocks * block.bytes > source.length || to + values > target.length) {
    throw new Error(`internal: ${values} values of ${type} do not fit between source and target`);
  }
  switch (type) {
    case 'F32':
      new Uint8Array(target.buffer, target.byteOffset + to * 4, values * 4).set(
        source.subarray(from, from + values * 4),
      );
      return;
    case 'F16':
      decodeF16(source, from, target, to, values);
      return;
    case 'BF16':
      decodeBF16(source, from, target, to, values);
      return;
    case 'U8':
      target.set(source.subarray(from, from + values), to);
      return;
    case 'F64':
    case 'I64':
    case 'I32':
      decodeWide(type, source, from, target, to, values);
      return;
    case 'Q4_1':
      if ((source.byteOffset + from) % 4 === 0) decodeQ41(source, from, target, to, blocks);
      else decodeQ4(source, from, target, to, blocks, true);
      return;
    case 'Q4_0':
      decodeQ4(source, from, target, to, blocks, false);
      return;
    case 'Q5_0':
    case 'Q5_1':
      decodeQ5(source, from, target, to, blocks, type === 'Q5_1');
      return;
    case 'Q8_0':
      decodeQ8(source, from, target, to, blocks);
      return;
    case 'IQ4_NL':
      decodeIQ4NL(source, from, target, to, blocks);
      return;
    default:
      dequantizeK(type, source, from, target, to, blocks);
  }
}

function decodeF16(src: Uint8Array, from: number, dst: Float32Array, to: number, values: number): void {
  const half = halfTable();
  for (let i = 0, p = from; i < values; i++, p += 2) dst[to + i] = half[src[p]! | (src[p + 1]! << 8)]!;
}

function decodeBF16(src: Uint8Array, from: number, dst: Float32Array, to: number, values: number): void {
  const bits = new Uint32Array(dst.buffer, dst.byteOffset + to * 4, values);
  for (let i = 0, p = from; i < values; i++, p += 2) bits[i] = (src[p]! << 16) | (src[p + 1]! << 24);
}

function decodeWide(
  type: 'F64' | 'I64' | 'I32',
  src: Uint8Array,
  from: number,
  dst: Float32Array,
  to: number,
  n: number,
): void {
  const view = new DataView(src.buffer, src.byteOffset + from);
  for (let i = 0; i < n; i++) {
    if (type === 'F64') dst[to + i] = view.getFloat64(i * 8, true);
    else if (type === 'I32') dst[to + i] = view.getInt32(i * 4, true);
    else dst[to + i] = Number(view.getBigInt64(i * 8, true));
  }
}

/** Q4_0 is d (q - 8), Q4_1 is d q + m. The low nibbles are the block's first half. */
function decodeQ4(src: Uint8Array, from: number, dst: Float32Array, to: number, blocks: number, hasMin: boolean): void {
  const half = halfTable();
  const bias = hasMin ? 0 : 8;
  let p = from;
  for (let o = to; o < to + 32 * blocks; o += 32) {
    const d = half[src[p]! | (src[p + 1]! << 8)]!;
    const m = hasMin ? half[src[p + 2]! | (src[p + 3]! << 8)]! : -0; // x + -0 is x, its sign included
    p += hasMin ? 4 : 2;
    for (let j = o; j < o + 16; j++) {
      const q = src[p++]!;
      dst[j] = d * ((q & 15) - bias) + m;
      dst[j + 16] = d * ((q >> 4) - bias) + m;
    }
  }
}

/** Q4_1 read as words, which takes 0.6 of the time of {@link decodeQ4}: training widens such blocks all the time. */
function decodeQ41(src: Uint8Array, from: number, dst: Float32Array, to: number, blocks: number): void {
  const half = halfTable();
  const words = new Uint32Array(src.buffer, src.byteOffset + from, 5 * blocks);
  let p = 0;
  for (let o = to; o < to + 32 * blocks; o += 32) {
    const head = words[p++]!;
    const d = half[head & 0xffff]!;
    const m = half[head >>> 16]!;
    for (let j = o; j < o + 16; j += 4) {
      const q = words[p++]!;
      dst[j] = d * (q & 15) + m;
      dst[j + 16] = d * ((q >>> 4) & 15) + m;
      dst[j + 1] = d * ((q >>> 8) & 15) + m;
      dst[j + 17] = d * ((q >>> 12) & 15) + m;
      dst[j + 2] = d * ((q >>> 16) & 15) + m;
      dst[j + 18] = d * ((q >>> 20) & 15) + m;
      dst[j + 3] = d * ((q >>> 24) & 15) + m;
      dst[j + 19] = d * (q >>> 28) + m;
    }
  }
}

/** As Q4_0 and Q4_1, with a fifth bit per value in a 32-bit word. */
function decodeQ5(src: Uint8Array, from: number, dst: Float32Array, to: number, blocks: number, hasMin: boolean): void {
  const half = halfTable();
  const bias = hasMin ? 0 : 16;
  let p = from;
  let o = to;
  for (let b = 0; b < blocks; b++, o += 32) {
    const d = half[src[p]! | (src[p + 1]! << 8)]!;
    const m = hasMin ? half[src[p + 2]! | (src[p + 3]! << 8)]! : -0; // x + -0 is x, its sign included
    p += hasMin ? 4 : 2;
    const high = src[p]! | (src[p + 1]! << 8) | (src[p + 2]! << 16) | (src[p + 3]! << 24);
    p += 4;
    for (let j = 0; j < 16; j++) {
      const q = src[p++]!;
      dst[o + j] = d * (((q & 15) | (((high >>> j) & 1) << 4)) - bias) + m;
      dst[o + j + 16] = d * (((q >> 4) | (((high >>> (j + 16)) & 1) << 4)) - bias) + m;
    }
  }
}

function decodeQ8(src: Uint8Array, from: number, dst: Float32Array, to: number, blocks: number): void {
  const half = halfTable();
  let p = from;
  let o = to;
  for (let b = 0; b < blocks; b++) {
    const d = half[src[p]! | (src[p + 1]! << 8)]!;
    p += 2;
    for (let j = 0; j < 32; j++) dst[o++] = d * ((src[p++]! << 24) >> 24);
  }
}

function decodeIQ4NL(src: Uint8Array, from: number, dst: Float32Array, to: number, blocks: number): void {
  const half = halfTable();
  let p = from;
  let o = to;
  for (let b = 0; b < blocks; b++, o += 32) {
    const d = half[src[p]! | (src[p + 1]! << 8)]!;
    p += 2;
    for (let j = 0; j < 16; j++) {
      const q = src[p++]!;
      dst[o + j] = d * IQ4_LEVELS[q & 15]!;
      dst[o + j + 16] = d * IQ4_LEVELS[q >> 4]!;
    }
  }
}
