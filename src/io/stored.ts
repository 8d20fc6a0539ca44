import type { Shape } from '../tensor/tensor.ts';
import type { Rounding } from './rounding.ts';

/** How numbers lie in a weight file: safetensors dtypes and GGUF block types. */
export type StoredType =
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'F64'
  | 'I64'
  | 'I32'
  | 'U8'
  | 'Q4_0'
  | 'Q4_1'
  | 'Q5_0'
  | 'Q5_1'
  | 'Q8_0'
  | 'Q2_K'
  | 'Q3_K'
  | 'Q4_K'
  | 'Q5_K'
  | 'Q6_K'
  | 'IQ4_NL'
  | 'IQ4_XS';

/**
 * Where a tensor lies on disk. Plain data: it can be sent to another process, which then reads the bytes itself,
 * so that weights are never held twice.
 */
export interface StoredTensor {
  readonly name: string;
  readonly type: StoredType;
  /** Row-major, outermost first (GGUF dimensions are already reversed into this order). */
  readonly shape: Shape;
  readonly path: string;
  /** Byte offset in the file. */
  readonly offset: number;
  readonly bytes: number;
  /**
   * Set for the Q and K projections of llama-family GGUF files: the number of heads whose rows llama.cpp's converter interleaved.
   * Reading puts the rows back into Hugging Face order.
   */
  readonly permutedHeads?: number;
  /** The file holds the matrix as [columns, rows] of this shape. Only for types whose values lie one by one. */
  readonly isTransposed?: boolean;
  /** Added to each value that is read. */
  readonly added?: number;
  /** Values are rounded as they are read, row by row: the model is one of these weights, wherever it is read. */
  readonly rounded?: Rounding;
  /** Some rows are not those of the file. The tensor is of type F32, whatever lies beneath. */
  readonly changed?: ChangedRows;
}

/** Rows of a matrix that take the place of those of a file, or stand behind them. */
export interface ChangedRows {
  /** What the file has. */
  readonly under: StoredTensor;
  readonly ids: readonly number[];
  /** [ids.length, width] */
  readonly values: Float32Array;
}

/**
 * A matrix of which some rows are others than in its file.
 *
 * @param rows of the new matrix: those beyond the file's must be among `ids`
 */
export function withRows(
  under: StoredTensor,
  rows: number,
  ids: readonly number[],
  values: Float32Array,
): StoredTensor {
  const { name, path, offset } = under;
  const shape = [rows, ...under.shape.slice(1)];
  const bytes = 4 * shape.reduce((n, d) => n * d, 1);
  return { name, type: 'F32', shape, path, offset, bytes, changed: { under, ids, values } };
}
