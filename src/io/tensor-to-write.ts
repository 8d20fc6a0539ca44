import type { Shape } from '../tensor/tensor.ts';
import { storedBytes } from './blocks.ts';
import type { StoredType } from './stored.ts';

/** A tensor on its way into a file. */
export interface TensorToWrite<T extends StoredType = StoredType> {
  readonly name: string;
  readonly type: T;
  /** Row-major, outermost first. */
  readonly shape: Shape;
  /**
   * Its bytes, little-endian; a function is called when they are written, so that only one tensor need be in memory, and of one that gives them
   * piece by piece only one piece.
   */
  readonly data: ArrayBufferView | (() => ArrayBufferView | Iterable<Uint8Array>);
}

/** A tensor whose bytes are fetched from elsewhere when they are written. */
export interface TensorToFetch<T extends StoredType = StoredType> extends Omit<TensorToWrite<T>, 'data'> {
  readonly fetch: () => Promise<ArrayBufferView>;
}

/** The bytes of a tensor on its way into a file, piece by piece; together as many as its type and shape ask for. */
export function* piecesOf(tensor: TensorToWrite): Generator<Uint8Array> {
  const given = typeof tensor.data === 'function' ? tensor.data() : tensor.data;
  const pieces = ArrayBuffer.isView(given) ? [new Uint8Array(given.buffer, given.byteOffset, given.byteLength)] : given;
  let bytes = 0;
  for (const piece of pieces) {
    bytes += piece.length;
    yield piece;
  }
  const expected = storedBytes(tensor.type, tensor.shape);
  if (bytes !== expected) {
    const what = `${tensor.name}: ${tensor.type} [${tensor.shape}]`;
    throw new Error(`internal: ${bytes} bytes for ${what}, which takes ${expected ?? 'whole blocks'}`);
  }
}
