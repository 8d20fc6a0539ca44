import type { Graph, RefTensor } from '../../src/graph/index.ts';
import { fillUniform } from '../../src/math/random.ts';
import { type DType, type HostTensor, type Shape, sizeOf } from '../../src/tensor/tensor.ts';

/** A test input: float32 numbers (or integers) held exactly, so that every engine computes on the same ones. */
export interface TestTensor extends RefTensor {
  readonly dtype: DType;
}

/** Test inputs by name. */
export type TestInputs = Readonly<Record<string, TestTensor>>;

/** Seeded uniform float32 numbers in [low, high). */
export function real(shape: Shape, low = -2, high = 2, seed = 1): TestTensor {
  const data = fillUniform(new Float32Array(sizeOf(shape)), low, high, { seed, purpose: `values/${shape}` });
  return { dtype: 'f32', shape, data: Float64Array.from(data) };
}

/** The given float32 numbers. */
export function exactly(shape: Shape, data: readonly number[]): TestTensor {
  return { dtype: 'f32', shape, data: Float64Array.from(Float32Array.from(data)) };
}

/** The given indices, as int32. */
export function indices(data: readonly number[]): TestTensor {
  return { dtype: 'i32', shape: [data.length], data: Float64Array.from(data) };
}

/** A dropout mask: 0, or 2 where half of the elements are kept. */
export function dropoutMask(shape: Shape, seed = 1): TestTensor {
  return { dtype: 'f32', shape, data: real(shape, 0, 2, seed).data.map((v) => 2 * Math.floor(v)) };
}

/** The same tensor as an engine takes it. */
export function toHost({ dtype, shape, data }: TestTensor): HostTensor {
  if (dtype === 'i32') return { dtype, shape, data: Int32Array.from(data) };
  return { dtype: 'f32', shape, data: Float32Array.from(data) };
}

/** Those of the inputs that a graph takes. */
export function inputsOf(graph: Graph, inputs: TestInputs): Record<string, TestTensor> {
  return Object.fromEntries(
    Object.keys(graph.inputs).map((name) => {
      const value = inputs[name];
      if (value === undefined) throw new Error(`the case gives no input ${name}`);
      return [name, value];
    }),
  );
}
