import type { Shape } from '../tensor/tensor.ts';
import { storedBytes } from './blocks.ts';
import type { StoredType } from './stored.ts';

/** A tensor on its way into a file. */
export interface TensorToWrite<T extends StoredType = StoredType> {
  readonly name: string;
  readonly type: T;
  /** Row-major, outermost first. */
  readonly shape: Shape;
  /** Its bytes, little-endian; a function is called when they are written, so that only one tensor need be in memory. */
  readonly data: ArrayBufferView | (() => ArrayBufferView);
}

/** The bytes of a tensor on its way into a file; as many as its type and shape ask for. */
export function bytesOf(tensor: TensorToWrite): Uint8Array {
  const view = typeof tensor.data === 'function' ? tensor.data() : tensor.data;
  const expected = storedBytes(tensor.type, tensor.shape);
  if (view.byteLength !== expected) {
    const what = `${tensor.name}: ${tensor.type} [${tensor.shape}]`;
    throw new Error(`internal: ${view.byteLength} bytes for ${what}, which takes ${expected ?? 'whole blocks'}`);
  }
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
