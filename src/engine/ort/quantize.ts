import type { KEPT_CODES } from '../../graph/index.ts';
import { BLOCKS } from '../../io/blocks.ts';
import { halfTable } from '../../io/half.ts';
import { readStoredRaw, readStoredRows } from '../../io/read-stored.ts';
import type { StoredTensor, StoredType } from '../../io/stored.ts';

/** A matrix [O, I] in blocks of 32 along the rows: value = scale * (code - zero) + offset, where zero is 8 or 128. */
export interface Quantized {
  readonly bits: 4 | 8;
  /** [O, blocks, 16 or 32]; the code of an even column of 4 bits stands in the low half of its byte. */
  readonly codes: Uint8Array;
  /** [O, blocks] */
  readonly scales: Float32Array;
  /** [O, blocks]; only where blocks are not symmetric. */
  readonly offsets: Float32Array | undefined;
}

const BLOCK = 32;
/** Values that are widened at a time when a tensor is quantised here. */
const CHUNK_VALUES = 1 << 20;

/**
 * Reads tensors that stand one above the other as one quantised matrix. Blocks of 4 and 8 bits keep their codes; everything else is rounded to
 * 8 bits, with the largest magnitude of each block as 127.
 */
export function quantizeStored(tensors: readonly StoredTensor[]): Quantized {
  const type = tensors[0]!.type;
  if (tensors.some((t) => t.type !== type)) throw new Error(`internal: ${tensors.map((t) => t.type)} in one matrix`);
  const columns = tensors[0]!.shape[1]!;
  const rows = tensors.reduce((sum, t) => sum + t.shape[0]!, 0);
  const blocks = rows * Math.ceil(columns / BLOCK);
  const bits = type === 'Q4_0' || type === 'Q4_1' ? 4 : 8;
  const target: Quantized = {
    bits,
    codes: new Uint8Array((blocks * BLOCK * bits) / 8),
    scales: new Float32Array(blocks),
    offsets: type === 'Q4_1' ? new Float32Array(blocks) : undefined,
  };
  let block = 0;
  for (const tensor of tensors) {
    const unpack = UNPACK[type];
    if (unpack === undefined) roundTensor(tensor, target, block);
    else unpack(readStoredRaw(tensor), target, block);
    block += tensor.shape[0]! * Math.ceil(columns / BLOCK);
  }
  return target;
}

/** Types in symmetric blocks of 32. */
export type BlockType = 'Q4_0' | 'Q8_0';

/** Bits of a code. */
export function bitsOf(type: BlockType): 4 | 8 {
  return type === 'Q4_0' ? 4 : 8;
}

/** Bytes that the codes of a block take. */
export function codeBytes(type: BlockType): number {
  return 4 * bitsOf(type);
}

/** Blocks as they lie in a GGUF file, as codes and scales. */
export function unpackBlocks(type: BlockType, source: Uint8Array): Pick<Quantized, 'codes' | 'scales'> {
  const blocks = source.length / BLOCKS[type].bytes;
  const codes = new Uint8Array(blocks * codeBytes(type));
  const target = { bits: bitsOf(type), codes, scales: new Float32Array(blocks), offsets: undefined };
  UNPACK[type](source, target, 0);
  return target;
}

type Unpack = (source: Uint8Array, target: Quantized, firstBlock: number) => void;

const UNPACK: Readonly<Record<(typeof KEPT_CODES)[number], Unpack>> & Partial<Record<StoredType, Unpack>> = {
  Q4_0: (source, target, first) => unpack4(source, target, first, false),
  Q4_1: (source, target, first) => unpack4(source, target, first, true),
  Q8_0: unpack8,
};

/** ggml stores values j and j + 16 of a block in one byte; here values 2 j and 2 j + 1 share it. */
function unpack4(source: Uint8Array, { codes, scales, offsets }: Quantized, first: number, hasMin: boolean): void {
  const half = halfTable();
  const bytes = hasMin ? 20 : 18;
  for (let b = 0; b < source.length / bytes; b++) {
    let p = b * bytes;
    const scale = half[source[p]! | (source[p + 1]! << 8)]!;
    scales[first + b] = scale;
    // d q + m is d (q - 8) + (m + 8 d).
    if (hasMin) offsets![first + b] = half[source[p + 2]! | (source[p + 3]! << 8)]! + 8 * scale;
    p += bytes - 16;
    const to = (first + b) * 16;
    for (let j = 0; j < 8; j++) {
      const even = source[p + 2 * j]!;
      const odd = source[p + 2 * j + 1]!;
      codes[to + j] = (even & 15) | ((odd & 15) << 4);
      codes[to + 8 + j] = (even >> 4) | (odd & 240);
    }
  }
}

function unpack8(source: Uint8Array, { codes, scales }: Quantized, first: number): void {
  const half = halfTable();
  for (let b = 0; b < source.length / 34; b++) {
    const p = b * 34;
    scales[first + b] = half[source[p]! | (source[p + 1]! << 8)]!;
    for (let j = 0; j < BLOCK; j++) codes[(first + b) * BLOCK + j] = source[p + 2 + j]! ^ 128;
  }
}

function roundTensor(tensor: StoredTensor, { codes, scales }: Quantized, firstBlock: number): void {
  const [rows, columns] = tensor.shape as readonly [number, number];
  const perRow = Math.ceil(columns / BLOCK);
  const step = Math.max(1, Math.floor(CHUNK_VALUES / columns));
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row);
    const values = readStoredRows(tensor, row, count);
    for (let i = 0; i < count; i++) {
      for (let b = 0; b < perRow; b++) {
        const block = values.subarray(i * columns + b * BLOCK, i * columns + Math.min(columns, (b + 1) * BLOCK));
        const at = firstBlock + (row + i) * perRow + b;
        scales[at] = roundBlock(block, codes.subarray(at * BLOCK, (at + 1) * BLOCK));
      }
    }
  }
}

function roundBlock(values: Float32Array, codes: Uint8Array): number {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  const scale = Math.fround(largest / 127);
  codes.fill(128);
  if (scale > 0) for (const [j, value] of values.entries()) codes[j] = Math.round(value / scale) + 128;
  return scale;
}
