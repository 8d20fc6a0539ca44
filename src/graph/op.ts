import type { StoredTensor } from '../io/stored.ts';
import type { Shape } from '../tensor/tensor.ts';
import type { Builder } from './builder.ts';
import type { TensorType, Value } from './graph.ts';

/** A value of the reference evaluation: float64 (or exact integers), row-major. */
export interface RefTensor {
  readonly shape: Shape;
  readonly data: Float64Array;
}

/** What an emission may write: ONNX nodes and constants. Names are those of ONNX and of ONNX Runtime's contrib operators. */
export interface Emitter {
  readonly device: 'cpu' | 'webgpu';
  /** Adds a node and returns its output's name; further outputs are called by that name and one of `suffixes` each. */
  node(
    opType: string,
    inputs: readonly string[],
    attrs?: OnnxAttrs,
    domain?: string,
    suffixes?: readonly string[],
  ): string;
  f32(values: Float32Array | readonly number[], shape: Shape): string;
  i64(values: readonly number[]): string;
  /**
   * Constants of a stored matrix [O, I]: codes u8 [O, blocks, bytes] or, as `rows`, [O, bytes], scales [O, blocks] and, where its blocks are not
   * symmetric, offsets [O, blocks].
   */
  quantized(tensors: readonly StoredTensor[], layout: 'blocks' | 'rows'): QuantizedNames;
}

/** See {@link Emitter.quantized}. */
export interface QuantizedNames {
  readonly bits: 4 | 8;
  readonly codes: string;
  readonly scales: string;
  readonly offsets: string | undefined;
}

/** Reads a stored tensor as float32. */
export type ReadStored = (tensor: StoredTensor) => Float32Array;

/** Attributes of an ONNX node; a number is an integer, `{ float }` a float. */
export type OnnxAttrs = Readonly<Record<string, number | string | readonly number[] | { readonly float: number }>>;

/** Everything that the system knows about one operator. */
export interface Op<A> {
  /** Type of the output; throws an `internal:` error for inputs that do not fit. */
  shape(inputs: readonly TensorType[], attrs: A): TensorType;
  /**
   * Vector-Jacobian product: the gradient of each input, given that of the output; undefined where none flows.
   * `wanted[i]` says whether the gradient of input i is needed at all.
   */
  readonly vjp: Vjp<A> | 'integer' | 'source' | 'inference-only';
  /** The input that an engine may write the output over, where the output of the graph is this operator's. */
  readonly inPlace?: number;
  /** Writes the operator as ONNX and returns the name of its output. */
  emit(e: Emitter, inputs: readonly string[], attrs: A, types: readonly TensorType[], out: TensorType): string;
  /** Evaluates in float64: slow, obviously right. */
  reference(inputs: readonly RefTensor[], attrs: A, out: TensorType, read: ReadStored): Float64Array;
}

/** See {@link Op.vjp}. */
export type Vjp<A> = (
  g: Builder,
  dy: Value,
  inputs: readonly Value[],
  y: Value,
  attrs: A,
  wanted: readonly boolean[],
) => readonly (Value | undefined)[];
