import { sizeOf } from '../../tensor/tensor.ts';
import type { Op } from '../op.ts';
import { broadcastStrides, walk } from '../shapes.ts';

type Axes = { readonly axes: readonly number[] };

function reduced(shape: readonly number[], axes: readonly number[]): number[] {
  return shape.map((d, i) => (axes.includes(i) ? 1 : d));
}

/** Sum over axes, which stay with length 1. */
export const reduceSum: Op<Axes> = {
  shape: ([a], { axes }) => ({ dtype: a!.dtype, shape: reduced(a!.shape, axes) }),
  vjp: (g, dy, [a]) => [g.expand(dy, a!.shape)],
  emit: (e, [a], { axes }) => e.node('ReduceSum', [a!, e.i64(axes)], { keepdims: 1 }),
  reference: ([a], _attrs, out) => {
    const result = new Float64Array(sizeOf(out.shape));
    walk(a!.shape, broadcastStrides(out.shape, a!.shape), (offset, i) => {
      result[offset]! += a!.data[i]!;
    });
    return result;
  },
};

/** Largest element over axes, which stay with length 1. Used to shift exponentials, so no gradient flows. */
export const reduceMax: Op<Axes> = {
  shape: ([a], { axes }) => ({ dtype: a!.dtype, shape: reduced(a!.shape, axes) }),
  vjp: 'integer',
  emit: (e, [a], { axes }) => e.node('ReduceMax', [a!, e.i64(axes)], { keepdims: 1 }),
  reference: ([a], _attrs, out) => {
    const result = new Float64Array(sizeOf(out.shape)).fill(Number.NEGATIVE_INFINITY);
    walk(a!.shape, broadcastStrides(out.shape, a!.shape), (offset, i) => {
      result[offset] = Math.max(result[offset]!, a!.data[i]!);
    });
    return result;
  },
};

/** Each element along the last axis is the sum of itself and those before it. */
export const cumSum: Op<Record<string, never>> = {
  shape: ([a]) => a!,
  vjp: 'inference-only',
  emit: (e, [a]) => e.node('CumSum', [a!, e.i64([-1])]),
  reference: ([a]) => {
    const width = a!.shape.at(-1)!;
    const result = Float64Array.from(a!.data);
    for (let i = 0; i < result.length; i++) if (i % width !== 0) result[i]! += result[i - 1]!;
    return result;
  },
};

/** Index of the first largest element along the last axis, which goes; as float32, since results are. */
export const argMax: Op<Record<string, never>> = {
  shape: ([a]) => ({ dtype: 'f32', shape: a!.shape.slice(0, -1) }),
  vjp: 'integer',
  emit: (e, [a], _attrs, [type]) => {
    if (e.device === 'cpu') return e.node('Cast', [e.node('ArgMax', [a!], { axis: -1, keepdims: 0 })], { to: 1 });
    // WebGPU turns no int64 into floats: the smallest index among the elements that equal the largest.
    const width = type!.shape.at(-1)!;
    const isLargest = e.node('GreaterOrEqual', [a!, e.node('ReduceMax', [a!, e.i64([-1])], { keepdims: 1 })]);
    const negated = e.f32(
      Float32Array.from({ length: width }, (_, i) => -i),
      [width],
    );
    const indices = e.node('Where', [isLargest, negated, e.f32([-width], [])]);
    return e.node('Neg', [e.node('ReduceMax', [indices, e.i64([-1])], { keepdims: 0 })]);
  },
  reference: ([a], _attrs, out) => {
    const width = a!.shape.at(-1)!;
    return new Float64Array(sizeOf(out.shape)).map((_, row) => {
      const x = a!.data.subarray(row * width, (row + 1) * width);
      return x.indexOf(x.reduce((m, v) => Math.max(m, v), Number.NEGATIVE_INFINITY));
    });
  },
};

/** What a value is lowered by once it is counted: more than values differ. */
const COUNTED = 1e30;

/** 1 for the `count` largest elements of each row [N, E], 0 for the others; of equal ones the first are taken. */
export const topMask: Op<{ readonly count: number }> = {
  shape: ([a]) => a!,
  vjp: 'integer',
  emit: (e, [a], { count }, [type]) => {
    const [rows, width] = type!.shape as [number, number];
    if (e.device === 'cpu') {
      const values = e.node('TopK', [a!, e.i64([count])], { axis: -1 }, '', ['.indices']);
      const [zeros, ones] = [
        e.f32(new Float32Array(rows * width), [rows, width]),
        e.f32(new Float32Array(rows * count).fill(1), [rows, count]),
      ];
      return e.node('ScatterElements', [zeros, `${values}.indices`, ones], { axis: 1 });
    }
    // WebGPU has no TopK: the largest is taken out so many times. Equal ones go together.
    let [left, mask] = [a!, undefined as string | undefined];
    for (let i = 0; i < count; i++) {
      const isLargest = e.node('GreaterOrEqual', [left, e.node('ReduceMax', [left, e.i64([-1])], { keepdims: 1 })]);
      const found = e.node('Where', [isLargest, e.f32([1], []), e.f32([0], [])]);
      mask = mask === undefined ? found : e.node('Add', [mask, found]);
      left = e.node('Sub', [left, e.node('Mul', [found, e.f32([COUNTED], [])])]);
    }
    return mask!;
  },
  reference: ([a], { count }) => {
    const width = a!.shape.at(-1)!;
    const result = new Float64Array(a!.data.length);
    for (let row = 0; row < result.length; row += width) {
      const order = Array.from({ length: width }, (_, i) => i).sort(
        (i, j) => a!.data[row + j]! - a!.data[row + i]! || i - j,
      );
      for (const i of order.slice(0, count)) result[row + i] = 1;
    }
    return result;
  },
};

/** Repeats axes of length 1 up to a shape. */
export const expand: Op<{ readonly shape: readonly number[] }> = {
  shape: ([a], { shape }) => ({ dtype: a!.dtype, shape }),
  vjp: (g, dy, [a]) => [g.sumTo(dy, a!.shape)],
  emit: (e, [a], { shape }) => e.node('Expand', [a!, e.i64(shape)]),
  reference: ([a], _attrs, out) => {
    const result = new Float64Array(sizeOf(out.shape));
    walk(out.shape, broadcastStrides(a!.shape, out.shape), (offset, i) => {
      result[i] = a!.data[offset]!;
    });
    return result;
  },
};

/** Softmax over the last axis. */
export const softmax: Op<Record<string, never>> = {
  shape: ([a]) => a!,
  vjp: (g, dy, _inputs, y) => [g.mul(y, g.sub(dy, g.reduceSum(g.mul(dy, y), [-1])))],
  emit: (e, inputs) => e.node('Softmax', inputs, { axis: -1 }),
  reference: ([a]) => {
    const width = a!.shape.at(-1)!;
    const result = new Float64Array(a!.data.length);
    for (let row = 0; row < result.length; row += width) {
      const x = a!.data.subarray(row, row + width);
      const max = x.reduce((m, v) => Math.max(m, v), Number.NEGATIVE_INFINITY);
      const e = x.map((v) => Math.exp(v - max));
      const sum = e.reduce((s, v) => s + v, 0);
      result.set(
        e.map((v) => v / sum),
        row,
      );
    }
    return result;
  },
};
