import { sizeOf } from '../../tensor/tensor.ts';
import type { Builder } from '../builder.ts';
import type { Value } from '../graph.ts';
import type { Op, Vjp } from '../op.ts';
import { broadcastShape, broadcastStrides, walk } from '../shapes.ts';

type NoAttrs = Record<string, never>;

function binary(onnx: string, f: (a: number, b: number) => number, vjp: Vjp<NoAttrs>): Op<NoAttrs> {
  return {
    shape: ([a, b]) => ({ dtype: a!.dtype, shape: broadcastShape(a!.shape, b!.shape) }),
    vjp,
    emit: (e, inputs) => e.node(onnx, inputs),
    reference: ([a, b], _attrs, out) => {
      const result = new Float64Array(sizeOf(out.shape));
      const offsetsA = new Float64Array(result.length);
      walk(out.shape, broadcastStrides(a!.shape, out.shape), (offset, i) => {
        offsetsA[i] = a!.data[offset]!;
      });
      walk(out.shape, broadcastStrides(b!.shape, out.shape), (offset, i) => {
        result[i] = f(offsetsA[i]!, b!.data[offset]!);
      });
      return result;
    },
  };
}

function unary(onnx: string, f: (a: number) => number, vjp: Op<NoAttrs>['vjp']): Op<NoAttrs> {
  return {
    shape: ([a]) => a!,
    vjp,
    emit: (e, inputs) => e.node(onnx, inputs),
    reference: ([a]) => a!.data.map(f),
  };
}

/** Sums a gradient back to the shape of an operand that was broadcast. */
function unbroadcast(g: Builder, dy: Value, operand: Value): Value {
  return g.sumTo(dy, operand.shape);
}

export const add = binary(
  'Add',
  (a, b) => a + b,
  (g, dy, [a, b]) => [unbroadcast(g, dy, a!), unbroadcast(g, dy, b!)],
);
export const sub = binary(
  'Sub',
  (a, b) => a - b,
  (g, dy, [a, b], _y, _attrs, wanted) => [
    wanted[0] ? unbroadcast(g, dy, a!) : undefined,
    wanted[1] ? unbroadcast(g, g.neg(dy), b!) : undefined,
  ],
);
export const mul = binary(
  'Mul',
  (a, b) => a * b,
  (g, dy, [a, b], _y, _attrs, wanted) => [
    wanted[0] ? unbroadcast(g, g.mul(dy, b!), a!) : undefined,
    wanted[1] ? unbroadcast(g, g.mul(dy, a!), b!) : undefined,
  ],
);
export const div = binary(
  'Div',
  (a, b) => a / b,
  (g, dy, [a, b], y, _attrs, wanted) => [
    wanted[0] ? unbroadcast(g, g.div(dy, b!), a!) : undefined,
    wanted[1] ? unbroadcast(g, g.neg(g.div(g.mul(dy, y), b!)), b!) : undefined,
  ],
);
export const neg = unary(
  'Neg',
  (a) => -a,
  (g, dy) => [g.neg(dy)],
);
export const exp = unary('Exp', Math.exp, (g, dy, _inputs, y) => [g.mul(dy, y)]);
export const log = unary('Log', Math.log, (g, dy, [a]) => [g.div(dy, a!)]);
/** -1, 0 or 1. No gradient flows: it is flat wherever it has a slope. */
export const sign: Op<NoAttrs> = {
  ...unary('Sign', Math.sign, 'integer'),
  emit: (e, [x]) => {
    if (e.device === 'cpu') return e.node('Sign', [x!]);
    const [zero, one, minusOne] = [0, 1, -1].map((value) => e.f32([value], []));
    const below = e.node('Where', [e.node('Less', [x!, zero!]), minusOne!, zero!]);
    return e.node('Where', [e.node('Greater', [x!, zero!]), one!, below]);
  },
};
export const abs = unary('Abs', Math.abs, (g, dy, [a]) => [g.mul(dy, g.sign(a!))]);
export const sqrt = unary('Sqrt', Math.sqrt, (g, dy, _inputs, y) => [g.div(dy, g.mul(y, g.scalar(2)))]);

/** The logistic function as 1 / (1 + exp(-x)): MLAS's own Sigmoid is only absolutely accurate. */
export const sigmoid: Op<NoAttrs> = {
  shape: ([a]) => a!,
  vjp: (g, dy, _inputs, y) => [g.mul(dy, g.mul(y, g.sub(g.scalar(1), y)))],
  emit: (e, [x]) => e.node('Reciprocal', [e.node('Add', [e.f32([1], []), e.node('Exp', [e.node('Neg', [x!])])])]),
  reference: ([a]) => a!.data.map((x) => 1 / (1 + Math.exp(-x))),
};

/** SiLU, x * sigmoid(x) (Elfwing et al. 2017, arXiv:1702.03118). */
export const silu: Op<NoAttrs> = {
  shape: ([a]) => a!,
  // d/dx x s(x) = s (1 + x - x s), with s shared by the recomputed forward pass.
  vjp: (g, dy, [x], y) => [g.mul(g.mul(dy, g.sigmoid(x!)), g.add(g.sub(x!, y), g.scalar(1)))],
  emit: (e, [x]) => e.node('Div', [x!, e.node('Add', [e.f32([1], []), e.node('Exp', [e.node('Neg', [x!])])])]),
  reference: ([a]) => a!.data.map((x) => x / (1 + Math.exp(-x))),
};

/** SiLU in one step, for generation where speed counts: right to 1e-6 absolutely, but not relatively where x is far below 0. */
export const siluFast: Op<NoAttrs> = {
  shape: ([a]) => a!,
  vjp: 'inference-only',
  emit: (e, inputs) => e.node('QuickGelu', inputs, { alpha: { float: 1 } }, 'com.microsoft'),
  reference: silu.reference,
};

/** Bytes: what is below 0 becomes 0, what is above 255 becomes 255, and the fraction goes. */
export const toBytes: Op<NoAttrs> = {
  shape: ([a]) => ({ dtype: 'u8', shape: a!.shape }),
  vjp: 'integer',
  emit: (e, [x]) => e.node('Cast', [e.node('Clip', [x!, e.f32([0], []), e.f32([255], [])])], { to: 2 }),
  reference: ([a]) => a!.data.map((x) => Math.trunc(Math.min(255, Math.max(0, x)))),
};

/** The same numbers in another type; of floats that become integers the fraction goes. */
export const cast: Op<{ readonly to: 'f32' | 'i64' }> = {
  shape: ([a], { to }) => ({ dtype: to, shape: a!.shape }),
  vjp: 'integer',
  emit: (e, [x], { to }) => e.node('Cast', [x!], { to: to === 'f32' ? 1 : 7 }),
  reference: ([a], { to }) => (to === 'f32' ? a!.data : a!.data.map(Math.trunc)),
};
