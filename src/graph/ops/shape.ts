import { type Shape, sizeOf } from '../../tensor/tensor.ts';
import type { Op } from '../op.ts';
import { axisOf, stridesOf, walk } from '../shapes.ts';

/** The same elements in another shape. */
export const reshape: Op<{ readonly shape: Shape }> = {
  shape: ([a], { shape }) => {
    if (sizeOf(a!.shape) !== sizeOf(shape)) throw new Error(`internal: reshape [${a!.shape}] to [${shape}]`);
    return { dtype: a!.dtype, shape };
  },
  vjp: (g, dy, [a]) => [g.reshape(dy, a!.shape)],
  emit: (e, [a], { shape }) => e.node('Reshape', [a!, e.i64(shape)]),
  reference: ([a]) => a!.data,
};

/** Axes in another order: output axis i is input axis perm[i]. */
export const transpose: Op<{ readonly perm: readonly number[] }> = {
  shape: ([a], { perm }) => ({ dtype: a!.dtype, shape: perm.map((p) => a!.shape[p]!) }),
  vjp: (g, dy, _inputs, _y, { perm }) => [g.transpose(dy, invert(perm))],
  emit: (e, inputs, { perm }) => e.node('Transpose', inputs, { perm }),
  reference: ([a], { perm }, out) => {
    const strides = stridesOf(a!.shape);
    const result = new Float64Array(a!.data.length);
    walk(
      out.shape,
      perm.map((p) => strides[p]!),
      (offset, i) => {
        result[i] = a!.data[offset]!;
      },
    );
    return result;
  },
};

function invert(perm: readonly number[]): number[] {
  const inverse = new Array<number>(perm.length);
  for (const [i, p] of perm.entries()) inverse[p] = i;
  return inverse;
}

/** Elements start (included) to end (excluded) of one axis. */
export const slice: Op<{ readonly axis: number; readonly start: number; readonly end: number }> = {
  shape: ([a], { axis, start, end }) => {
    const length = a!.shape[axis]!;
    if (start < 0 || end > length || start >= end) throw new Error(`internal: slice ${start}:${end} of ${length}`);
    return { dtype: a!.dtype, shape: a!.shape.with(axis, end - start) };
  },
  vjp: (g, dy, [a], _y, { axis, start, end }) => [g.pad(dy, { axis, before: start, after: a!.shape[axis]! - end })],
  emit: (e, [a], { axis, start, end }) => e.node('Slice', [a!, e.i64([start]), e.i64([end]), e.i64([axis])]),
  reference: ([a], { axis, start }, out) => {
    const strides = stridesOf(a!.shape);
    const result = new Float64Array(sizeOf(out.shape));
    walk(out.shape, strides, (offset, i) => {
      result[i] = a!.data[offset + start * strides[axis]!]!;
    });
    return result;
  },
};

/** Zeros before and after the elements of one axis. */
export const pad: Op<{ readonly axis: number; readonly before: number; readonly after: number }> = {
  shape: ([a], { axis, before, after }) => ({
    dtype: a!.dtype,
    shape: a!.shape.with(axis, before + a!.shape[axis]! + after),
  }),
  vjp: (g, dy, [a], _y, { axis, before }) => [g.slice(dy, { axis, start: before, end: before + a!.shape[axis]! })],
  emit: (e, [a], { axis, before, after }, types) => {
    const rank = types[0]!.shape.length;
    const pads = new Array<number>(2 * rank).fill(0);
    pads[axis] = before;
    pads[rank + axis] = after;
    return e.node('Pad', [a!, e.i64(pads)]);
  },
  reference: ([a], { axis, before }, out) => {
    const strides = stridesOf(out.shape);
    const result = new Float64Array(sizeOf(out.shape));
    walk(a!.shape, strides, (offset, i) => {
      result[offset + before * strides[axis]!] = a!.data[i]!;
    });
    return result;
  },
};

/** Values one after the other along one axis. */
export const concat: Op<{ readonly axis: number }> = {
  shape: (inputs, { axis }) => {
    const first = inputs[0]!;
    const at = axisOf(axis, first.shape.length);
    return {
      dtype: first.dtype,
      shape: first.shape.with(
        at,
        inputs.reduce((n, a) => n + a.shape[at]!, 0),
      ),
    };
  },
  vjp: (g, dy, inputs, _y, { axis }) => {
    let start = 0;
    return inputs.map((a) => {
      const end = start + a.shape[axis]!;
      const piece = g.slice(dy, { axis, start, end });
      start = end;
      return piece;
    });
  },
  emit: (e, inputs, { axis }) => e.node('Concat', inputs, { axis }),
  reference: (inputs, { axis }, out) => {
    const strides = stridesOf(out.shape);
    const result = new Float64Array(sizeOf(out.shape));
    let start = 0;
    for (const a of inputs) {
      const from = start;
      walk(a.shape, strides, (offset, i) => {
        result[offset + from * strides[axis]!] = a.data[i]!;
      });
      start += a.shape[axis]!;
    }
    return result;
  },
};
