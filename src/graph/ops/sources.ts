import { type DType, type Shape, sizeOf } from '../../tensor/tensor.ts';
import type { Op } from '../op.ts';

/** A value that is given at run time. */
export const input: Op<{ readonly name: string; readonly dtype: DType; readonly shape: Shape }> = {
  shape: (_inputs, { dtype, shape }) => ({ dtype, shape }),
  vjp: 'source',
  emit: () => {
    throw new Error('internal: an input is not emitted');
  },
  reference: () => {
    throw new Error('internal: an input is not evaluated');
  },
};

/** One number repeated over a shape. */
export const fill: Op<{ readonly value: number; readonly shape: Shape }> = {
  shape: (_inputs, { shape }) => ({ dtype: 'f32', shape }),
  vjp: 'source',
  emit: (e, _inputs, { value, shape }) =>
    shape.length === 0 ? e.f32([value], []) : e.f32(new Float32Array(sizeOf(shape)).fill(value), shape),
  reference: (_inputs, { value, shape }) => new Float64Array(sizeOf(shape)).fill(value),
};

/** Added to scores that a query may not see. Finite: a softmax row of -Infinity alone is NaN. */
export const MASKED = -1e9;

/**
 * The additive causal mask [queries, keys]: 0 where key j is visible to query i, that is j <= i + offset
 * (and j > i + offset - window where there is a window), {@link MASKED} elsewhere.
 */
export const causalMask: Op<{
  readonly queries: number;
  readonly keys: number;
  readonly offset: number;
  readonly window: number;
}> = {
  shape: (_inputs, { queries, keys }) => ({ dtype: 'f32', shape: [queries, keys] }),
  vjp: 'source',
  emit: (e, _inputs, attrs) => e.f32(Float32Array.from(maskValues(attrs)), [attrs.queries, attrs.keys]),
  reference: (_inputs, attrs) => maskValues(attrs),
};

function maskValues(attrs: { queries: number; keys: number; offset: number; window: number }): Float64Array {
  const { queries, keys, offset, window } = attrs;
  const values = new Float64Array(queries * keys);
  for (let i = 0; i < queries; i++) {
    for (let j = 0; j < keys; j++) {
      const age = i + offset - j;
      values[i * keys + j] = age >= 0 && (window === 0 || age < window) ? 0 : MASKED;
    }
  }
  return values;
}
