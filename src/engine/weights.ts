// Shape legend: V rows of a matrix, D its width, N rows that are picked
import { type AtRest, readAtRest, rowsAtRest, widenRows } from '../io/at-rest.ts';
import { readStored } from '../io/read-stored.ts';
import { type HostTensor, sizeOf } from '../tensor/tensor.ts';
import type { Buffers } from './buffers.ts';
import type { RestingSource, RowsSource, StoredSource, ViewSource } from './engine.ts';

/** What a handle stands for. */
export type Held = HostTensor | AtRest;

/** Whether it must be widened before a program can read it. */
export function isAtRest(held: Held): held is AtRest {
  return 'form' in held;
}

/** Bytes that it takes. */
export function heldBytes(held: Held): number {
  return isAtRest(held) ? held.bytes.byteLength + held.scales.byteLength : held.data.byteLength;
}

/** A matrix at rest as a new tensor. */
export function widenAll(matrix: AtRest, tensor: HostTensor = newF32(matrix.shape)): HostTensor {
  widenRows(matrix, 0, matrix.shape[0]!, tensor.data as Float32Array);
  return tensor;
}

/** Reads weights from their files. @throws the errors of the files */
export function readWeights(source: StoredSource | RestingSource): Held {
  if ('resting' in source) return readAtRest(source.resting);
  const tensor = newF32(source.shape);
  let from = 0;
  for (const stored of source.stored) {
    const n = sizeOf(stored.shape);
    readStored(stored, (tensor.data as Float32Array).subarray(from, from + n));
    from += n;
  }
  return tensor;
}

/** [V, D] to the [N, D] that an index picks, written into a tensor. */
export function pickRows(held: Held, { index }: RowsSource, tensor: HostTensor): HostTensor {
  const rows = tensor.data as Float32Array;
  const [all, width] = held.shape as readonly [number, number];
  for (const [i, row] of index.entries()) {
    if (row < 0 || row >= all) throw new Error(`internal: row ${row} of ${all}`);
    if (isAtRest(held)) widenRows(held, row, 1, rows, i * width);
    else rows.set((held.data as Float32Array).subarray(row * width, (row + 1) * width), i * width);
  }
  return tensor;
}

/** Some of the rows in the same memory. */
export function viewRows(held: Held, { from, shape }: ViewSource): Held {
  if (isAtRest(held)) return rowsAtRest(held, from, shape[0]!);
  const width = held.shape[1]!;
  return { ...held, shape, data: (held.data as Float32Array).subarray(from * width, from * width + sizeOf(shape)) };
}

function newF32(shape: HostTensor['shape']): HostTensor {
  return { dtype: 'f32', shape, data: new Float32Array(sizeOf(shape)) };
}

/**
 * Widens the matrices at rest that a run reads. What the last such run read stays widened until another needs other matrices, so that no more is
 * ever widened than one program reads.
 */
export function createWidener(buffers: Buffers): (needed: readonly AtRest[]) => ReadonlyMap<AtRest, HostTensor> {
  const widened = new Map<AtRest, HostTensor>();
  return (needed) => {
    if (needed.length === 0) return widened;
    const wanted = new Set(needed);
    for (const [matrix, tensor] of widened) {
      if (wanted.has(matrix)) continue;
      buffers.give(tensor);
      widened.delete(matrix);
    }
    for (const matrix of wanted) {
      if (widened.has(matrix)) continue;
      widened.set(matrix, widenAll(matrix, buffers.take({ dtype: 'f32', shape: matrix.shape })));
    }
    return widened;
  };
}
