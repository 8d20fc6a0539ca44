import { sizeOf } from '../tensor/tensor.ts';
import type { MergedModel } from './merge.ts';

/** Values that are in memory at a time, about. */
const PIECE_VALUES = 1 << 20;

/** Turns rows of values into the bytes of a file. */
export type Encode = (values: Float32Array) => Uint8Array;

/**
 * The bytes of a merged tensor, some rows at a time.
 *
 * @param heads the heads whose rows are to be interleaved, as llama.cpp wants them: of each head, row j of the first half becomes row 2 j, row j of
 *   the second half row 2 j + 1
 */
export function* encodedPieces(
  model: MergedModel,
  name: string,
  encode: Encode,
  heads?: number,
): Generator<Uint8Array> {
  const shape = model.shapes.get(name) ?? [];
  const rows = shape[0] ?? 1;
  const width = sizeOf(shape.slice(1));
  const unit = heads === undefined ? 1 : rows / heads;
  const count = Math.max(1, Math.floor(PIECE_VALUES / width / unit)) * unit;
  for (let first = 0; first < rows; first += count) {
    const values = model.rows(name, first, Math.min(count, rows - first));
    yield encode(heads === undefined ? values : interleaved(values, unit, width));
  }
}

/** Rows of whole heads in llama.cpp's order. */
export function interleaved(values: Float32Array, headRows: number, width: number): Float32Array {
  const half = headRows / 2;
  const out = new Float32Array(values.length);
  for (let row = 0; row * width < values.length; row++) {
    const head = Math.floor(row / headRows) * headRows;
    const j = row - head;
    const from = (head + (j % 2) * half + (j >> 1)) * width;
    out.set(values.subarray(from, from + width), row * width);
  }
  return out;
}
