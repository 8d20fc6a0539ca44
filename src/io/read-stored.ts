import { TunesmithError } from '../errors/index.ts';
import { sizeOf } from '../tensor/tensor.ts';
import { BLOCKS } from './blocks.ts';
import { dequantize } from './dequantize.ts';
import { readFully, withFile } from './files.ts';
import { quoted } from './json-checks.ts';
import { roundThrough } from './rounding.ts';
import type { ChangedRows, StoredTensor } from './stored.ts';

/** Read at a time: small enough for the processor's cache, large enough to keep the disk busy. */
const CHUNK_BYTES = 1 << 20;

/** What becomes of a run of values that was just read: `bytes` holds `count` of them, and the first is number `value` of those asked for. */
type Sink = (bytes: Uint8Array, value: number, count: number) => void;

/**
 * Reads a tensor from its file as float32, straight into the target: no second copy is held.
 *
 * @param into receives the values, row-major; made if not given
 * @throws FILE_NOT_FOUND, FILE_UNREADABLE, FILE_CUT_SHORT; GGUF_TENSOR if rows do not divide by `permutedHeads`
 */
export function readStored(tensor: StoredTensor, into?: Float32Array): Float32Array {
  return readStoredRows(tensor, 0, rowsOf(tensor), into);
}

/**
 * Reads rows (slices of the first axis) of a tensor as float32; of a tensor with `permutedHeads` these are Hugging Face's rows.
 *
 * A transposed tensor's rows are those of its shape.
 *
 * @param firstRow counts from 0
 * @param into receives the values; made if not given
 * @throws as {@link readStored}
 */
export function readStoredRows(
  tensor: StoredTensor,
  firstRow: number,
  rows: number,
  into?: Float32Array,
): Float32Array {
  checkRows(tensor, firstRow, rows);
  const width = sizeOf(tensor.shape.slice(1));
  const target = into ?? new Float32Array(rows * width);
  if (target.length !== rows * width) {
    throw new Error(`internal: ${target.length} places for ${rows * width} values of ${tensor.name}`);
  }
  if (rows * width === 0) return target;
  if (tensor.changed !== undefined) return readChanged(tensor.changed, firstRow, rows, target);
  if (tensor.isTransposed === true) readColumns(tensor, firstRow, rows, target);
  else readRows(tensor, firstRow, rows, target);
  const { added = 0 } = tensor;
  if (added !== 0) for (const [i, value] of target.entries()) target[i] = value + added;
  if (tensor.rounded !== undefined) roundThrough(tensor.rounded, target, width);
  return target;
}

function readChanged(
  { under, ids, values }: ChangedRows,
  firstRow: number,
  rows: number,
  target: Float32Array,
): Float32Array {
  const width = target.length / rows;
  const stored = Math.max(0, Math.min(rows, rowsOf(under) - firstRow));
  readStoredRows(under, Math.min(firstRow, rowsOf(under)), stored, target.subarray(0, stored * width));
  for (const [i, id] of ids.entries()) {
    const at = id - firstRow;
    if (at >= 0 && at < rows) target.set(values.subarray(i * width, (i + 1) * width), at * width);
  }
  return target;
}

function readRows(tensor: StoredTensor, firstRow: number, rows: number, target: Float32Array): void {
  if (tensor.type === 'F32' && tensor.permutedHeads === undefined) {
    const start = tensor.offset + firstRow * sizeOf(tensor.shape.slice(1)) * 4;
    const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
    withFile(tensor.path, (file) => readFully(file, bytes, start, tensor.path));
    return;
  }
  eachRun(tensor, firstRow, rows, (bytes, value, count) => dequantize(tensor.type, bytes, 0, target, value, count));
}

/** Reads rows of a matrix whose rows are the columns of the file: all of it goes by, chunk by chunk. */
function readColumns(tensor: StoredTensor, firstRow: number, rows: number, target: Float32Array): void {
  const [all, width] = tensor.shape as [number, number];
  const chunk = new Float32Array(CHUNK_BYTES);
  eachRun({ ...tensor, shape: [width, all] }, 0, width, (bytes, value, count) => {
    dequantize(tensor.type, bytes, 0, chunk, 0, count);
    for (let i = 0; i < count; i++) {
      const row = ((value + i) % all) - firstRow;
      if (row >= 0 && row < rows) target[row * width + Math.floor((value + i) / all)] = chunk[i]!;
    }
  });
}

/**
 * Reads a tensor's bytes as they are stored; rows of a tensor with `permutedHeads` are put back into Hugging Face order.
 *
 * @throws as {@link readStored}
 */
export function readStoredRaw(tensor: StoredTensor, into?: Uint8Array): Uint8Array {
  const target = into ?? new Uint8Array(tensor.bytes);
  if (target.length !== tensor.bytes) {
    throw new Error(`internal: ${target.length} places for ${tensor.bytes} bytes of ${tensor.name}`);
  }
  const { isTransposed, added, rounded, changed } = tensor;
  if (isTransposed === true || added !== undefined || rounded !== undefined || changed !== undefined) {
    throw new Error(`internal: the bytes of ${tensor.name} are not those of its values`);
  }
  if (tensor.permutedHeads === undefined) {
    withFile(tensor.path, (file) => readFully(file, target, tensor.offset, tensor.path));
    return target;
  }
  const block = BLOCKS[tensor.type];
  eachRun(tensor, 0, rowsOf(tensor), (bytes, value) => target.set(bytes, (value / block.values) * block.bytes));
  return target;
}

function rowsOf(tensor: StoredTensor): number {
  return tensor.shape[0] ?? 1;
}

function checkRows(tensor: StoredTensor, first: number, rows: number): void {
  if (
    !(Number.isInteger(first) && Number.isInteger(rows) && first >= 0 && rows >= 0 && first + rows <= rowsOf(tensor))
  ) {
    throw new Error(`internal: rows ${first} to ${first + rows} of ${tensor.name}, which has ${rowsOf(tensor)}`);
  }
}

/** Reads rows `first` to `first + rows`, in chunks of whole blocks, in the order of the file. */
function eachRun(tensor: StoredTensor, first: number, rows: number, sink: Sink): void {
  if (tensor.permutedHeads !== undefined) {
    eachPermutedRow(tensor, tensor.permutedHeads, first, rows, sink);
    return;
  }
  const block = BLOCKS[tensor.type];
  const width = sizeOf(tensor.shape.slice(1));
  const start = (first * width) / block.values;
  const blocks = (rows * width) / block.values;
  if (!Number.isInteger(start) || !Number.isInteger(blocks)) {
    throw new Error(`internal: ${tensor.name} cannot be cut into those rows`);
  }
  const perChunk = Math.min(blocks, Math.floor(CHUNK_BYTES / block.bytes));
  const chunk = new Uint8Array(perChunk * block.bytes);
  withFile(tensor.path, (file) => {
    for (let done = 0; done < blocks; done += perChunk) {
      const count = Math.min(perChunk, blocks - done);
      const bytes = chunk.subarray(0, count * block.bytes);
      readFully(file, bytes, tensor.offset + (start + done) * block.bytes, tensor.path);
      sink(bytes, done * block.values, count * block.values);
    }
  });
}

/**
 * llama.cpp's converter sees each head's rows as [2, half] and swaps the two axes, so that row j of the head's first half stands in the file at 2 j and
 * row j of the second at 2 j + 1. Reads head by head and hands every row to its old place.
 */
function eachPermutedRow(tensor: StoredTensor, heads: number, first: number, rows: number, sink: Sink): void {
  const headRows = rowsOf(tensor) / heads;
  const rowBytes = tensor.bytes / rowsOf(tensor);
  if (!Number.isInteger(headRows / 2) || !Number.isInteger(rowBytes)) {
    const message = `tensor ${quoted(tensor.name)} has ${rowsOf(tensor)} rows, which ${heads} heads cannot share.`;
    throw new TunesmithError('GGUF_TENSOR', { message, file: tensor.path });
  }
  const half = headRows / 2;
  const width = sizeOf(tensor.shape.slice(1));
  const bytes = new Uint8Array(headRows * rowBytes);
  withFile(tensor.path, (file) => {
    for (let head = Math.floor(first / headRows); head * headRows < first + rows; head++) {
      readFully(file, bytes, tensor.offset + head * bytes.length, tensor.path);
      for (let i = 0; i < headRows; i++) {
        const row = head * headRows + (i % 2) * half + (i >> 1) - first;
        if (row >= 0 && row < rows) {
          sink(bytes.subarray(i * rowBytes, (i + 1) * rowBytes), row * width, width);
        }
      }
    }
  });
}
