import type { OpName } from '../../src/graph/index.ts';

/**
 * How far a float32 result may lie from the float64 one, in units of 2^-24 (half a unit in the last place, what one correctly
 * rounded operation may be off): of the element itself and of the tensor's largest element. `floor` is an absolute bound.
 */
export interface Tolerance {
  readonly relative: number;
  readonly largest: number;
  readonly floor: number;
}

const UNIT = 2 ** -24;

/** Below it, float32's exponential has overflowed or its result is denormal: exp(89) is infinite, so silu(-89) is 0 and not -2e-37. */
const UNDERFLOW = 3e-37;

const within = (relative: number, largest = 0, floor = UNDERFLOW): Tolerance => ({ relative, largest, floor });
const EXACT = within(0, 0, 0);
const ROUNDED = within(1);

/** Operators that only move numbers are exact, one rounding is one unit, sums are measured against the largest element. */
const ON_CPU: Readonly<Record<OpName, Tolerance>> = {
  input: EXACT,
  fill: ROUNDED,
  causalMask: EXACT,
  visibleMask: EXACT,
  add: ROUNDED,
  sub: ROUNDED,
  mul: ROUNDED,
  div: ROUNDED,
  neg: EXACT,
  exp: within(4),
  log: within(4),
  sqrt: ROUNDED,
  abs: EXACT,
  sign: EXACT,
  toBytes: EXACT,
  cast: EXACT,
  sigmoid: within(4),
  silu: within(4),
  siluFast: within(0, 20),
  reshape: EXACT,
  transpose: EXACT,
  slice: EXACT,
  pad: EXACT,
  concat: EXACT,
  reduceSum: within(40), // 3,000 numbers in a few running sums
  reduceMax: EXACT,
  cumSum: within(4, 4),
  argMax: EXACT,
  topMask: EXACT,
  expand: EXACT,
  softmax: within(4),
  matMul: within(0, 4),
  rmsNorm: within(6),
  rmsScale: within(4),
  rope: within(0, 3),
  gather: EXACT,
  scatterAdd: within(1, 1),
  permuteRows: EXACT,
  spreadRows: EXACT,
  cachedAttention: within(0, 6),
  cachedRows: within(0, 3), // exact where nothing is turned
  quantizedLinear: within(0, 0.02 / UNIT), // rounds its input to 8 bits
  quantizedRows: within(2, 1),
};

/** What WGSL allows: exp 3 + 2|x| units in the last place, log 2^-21 near 1, division 2.5 units and square roots by way of it. */
const ON_WEBGPU: Readonly<Partial<Record<OpName, Tolerance>>> = {
  exp: within(330),
  log: within(6, 0, 2 ** -21),
  div: within(5),
  sqrt: within(6),
  sigmoid: within(330),
  silu: within(330),
  softmax: within(40),
  rmsNorm: within(12),
  rmsScale: within(12),
};

/** The bound of one operator's result. */
export function toleranceOf(op: OpName, device: 'cpu' | 'webgpu'): Tolerance {
  return (device === 'webgpu' ? ON_WEBGPU[op] : undefined) ?? ON_CPU[op];
}

/** Gradients are a few operations, of which one may cancel: they are measured against the largest element. */
export const GRADIENT: Readonly<Record<'cpu' | 'webgpu', Tolerance>> = {
  cpu: within(0, 12),
  webgpu: within(0, 40),
};

/** A decoder layer and its gradients, some 80 and 170 operations deep. */
export const LAYER: Tolerance = within(0, 60);

/** The element that is furthest out of bounds, in words; undefined where all are within. */
export function outOfBounds(got: ArrayLike<number>, want: Float64Array, { relative, largest, floor }: Tolerance) {
  const max = want.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  let worst: { readonly excess: number; readonly message: string } | undefined;
  want.forEach((v, i) => {
    const bound = floor + UNIT * (relative * Math.abs(v) + largest * max);
    const error = Math.abs(got[i]! - v);
    const excess = error / (bound + Number.MIN_VALUE);
    if (error <= bound || (worst !== undefined && excess <= worst.excess)) return;
    worst = { excess, message: `element ${i} is ${got[i]}, not ${v}: off by ${error}, allowed ${bound}` };
  });
  return worst?.message;
}
