import { type Shape, sizeOf } from '../tensor/tensor.ts';
import { BLOCKS } from './blocks.ts';
import { dequantize } from './dequantize.ts';
import { readStoredRaw, readStoredRows } from './read-stored.ts';
import { ROUNDINGS, type Rounding } from './rounding.ts';
import type { StoredTensor, StoredType } from './stored.ts';

/** A matrix in memory as it lies in its file, or rounded to few bits; rows are widened to float32 when they are needed. */
export interface AtRest {
  readonly shape: Shape;
  readonly form: StoredType | Rounding;
  readonly bytes: Uint8Array;
  /** Of blocks along each row; only of what was rounded here. */
  readonly scales: Float32Array;
}

/** Values that are widened at a time while a tensor is rounded. */
const CHUNK_VALUES = 1 << 20;

/**
 * Reads a matrix without widening it: the file's own bytes, or what its `rounded` says.
 *
 * @throws as {@link readStoredRaw}
 */
export function readAtRest(tensor: StoredTensor): AtRest {
  const [rows, width] = matrixOf(tensor.shape);
  if (tensor.rounded === undefined) {
    const bytes = tensor.isTransposed === true ? turned(tensor) : readStoredRaw(tensor);
    return { shape: tensor.shape, form: tensor.type, bytes, scales: new Float32Array() };
  }
  const { scalesOf, bytesOf, round } = ROUNDINGS[tensor.rounded];
  const bytes = new Uint8Array(rows * bytesOf(width));
  const scales = new Float32Array(rows * scalesOf(width));
  const step = Math.max(1, Math.floor(CHUNK_VALUES / width));
  const { rounded: form, ...plain } = tensor;
  for (let row = 0; row < rows; row += step) {
    const values = readStoredRows(plain, row, Math.min(step, rows - row));
    round(values, width, { bytes, scales, row });
  }
  return { shape: tensor.shape, form, bytes, scales };
}

/** Widens rows into `target`, to the very bits that {@link readStoredRows} gives. */
export function widenRows(matrix: AtRest, firstRow: number, rows: number, target: Float32Array, to = 0): void {
  const { form, bytes, scales } = matrix;
  const [all, width] = matrixOf(matrix.shape);
  if (firstRow < 0 || firstRow + rows > all)
    throw new Error(`internal: rows ${firstRow} to ${firstRow + rows} of ${all}`);
  if (form === 'nf4' || form === 'int8') {
    ROUNDINGS[form].widen({ bytes, scales, row: firstRow }, width, target.subarray(to, to + rows * width));
  } else {
    const block = BLOCKS[form];
    dequantize(form, bytes, ((firstRow * width) / block.values) * block.bytes, target, to, rows * width);
  }
}

/** Some of the rows, sharing the memory of all. */
export function rowsAtRest(matrix: AtRest, firstRow: number, rows: number): AtRest {
  const [all, width] = matrixOf(matrix.shape);
  const { bytes, scales } = matrix;
  const part = <T extends Uint8Array | Float32Array>(data: T): T =>
    data.subarray((firstRow * data.length) / all, ((firstRow + rows) * data.length) / all) as T;
  return { ...matrix, shape: [rows, width], bytes: part(bytes), scales: part(scales) };
}

function matrixOf(shape: Shape): readonly [rows: number, width: number] {
  if (shape.length !== 2) throw new Error(`internal: [${shape}] is no matrix`);
  return shape as unknown as readonly [number, number];
}

/** The bytes of a matrix whose file holds its columns as rows; its values lie one by one. */
function turned(tensor: StoredTensor): Uint8Array {
  const { isTransposed: _, ...plain } = tensor;
  const { bytes: each } = BLOCKS[tensor.type];
  const [rows, width] = matrixOf(tensor.shape);
  const source = readStoredRaw(plain);
  const target = new Uint8Array(source.length);
  for (let i = 0; i < sizeOf(tensor.shape); i++) {
    const from = ((i % width) * rows + Math.floor(i / width)) * each;
    for (let b = 0; b < each; b++) target[i * each + b] = source[from + b]!;
  }
  return target;
}

/** Bytes of a matrix at rest. */
export function restBytes({ shape, bytes, rounded }: StoredTensor): number {
  if (rounded === undefined) return bytes;
  const [rows, width] = matrixOf(shape);
  const { bytesOf, scalesOf } = ROUNDINGS[rounded];
  return rows * (bytesOf(width) + 4 * scalesOf(width));
}
