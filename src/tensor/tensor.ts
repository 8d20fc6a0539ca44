/** Element types that cross the engine boundary. Weights at rest have their own types, see io/stored.ts. */
export type DType = 'f32' | 'i32' | 'i64' | 'u8' | 'bool';

/** Axis lengths, outermost first. A scalar has none. */
export type Shape = readonly number[];

/** A dense row-major tensor in the memory of this process. */
export interface HostTensor {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data: Float32Array | Int32Array | BigInt64Array | Uint8Array;
}

/** Bytes of one element. */
export const DTYPE_BYTES: Readonly<Record<DType, number>> = { f32: 4, i32: 4, i64: 8, u8: 1, bool: 1 };

/** Number of elements of a shape. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((n, d) => n * d, 1);
}

/** Wraps float32 data; the shape's size must equal the data's length. */
export function f32(data: Float32Array | readonly number[], shape: Shape): HostTensor {
  const array = data instanceof Float32Array ? data : Float32Array.from(data);
  if (array.length !== sizeOf(shape)) throw new Error(`internal: ${array.length} values for shape [${shape}]`);
  return { dtype: 'f32', shape, data: array };
}

/** Wraps int32 data; the shape's size must equal the data's length. */
export function i32(data: Int32Array | readonly number[], shape: Shape): HostTensor {
  const array = data instanceof Int32Array ? data : Int32Array.from(data);
  if (array.length !== sizeOf(shape)) throw new Error(`internal: ${array.length} values for shape [${shape}]`);
  return { dtype: 'i32', shape, data: array };
}
