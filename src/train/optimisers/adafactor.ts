// Adafactor (Shazeer and Stern 2018, arXiv:1804.04235). Legend: I rows, J columns of a matrix
import type { Builder, Value } from '../../graph/index.ts';
import { type Shape, sizeOf } from '../../tensor/tensor.ts';
import { f32State, type UpdateRule } from './rule.ts';

/** Constants of {@link adafactor}. */
export interface AdafactorOptions {
  /** Whether the rate is relative to the root mean square of each tensor, as in the paper. */
  readonly parameterScale: boolean;
}

/** The paper's regularisers of squared gradients and of parameter scales, its clipping threshold, and the exponent of its decay. */
const EPS1 = 1e-30;
const EPS2 = 1e-3;
const THRESHOLD = 1;
const DECAY = -0.8;

/**
 * Adafactor without first moment: of a matrix's second moment only the means of its rows and columns are kept. The update's root mean square is
 * clipped to 1. The rate is the schedule's; the second moment decays by 1 - step^-0.8.
 */
export function adafactor({ parameterScale }: AdafactorOptions): UpdateRule {
  return {
    state(shape): ReturnType<UpdateRule['state']> {
      if (shape.length < 2) return { v: f32State(shape) };
      return { rows: f32State(shape.with(-1, 1)), columns: f32State(shape.with(-2, 1)) };
    },
    scalars: ({ step, lr, weightDecay }) => ({
      lr,
      fresh: step ** DECAY,
      old: 1 - step ** DECAY,
      keep: 1 - lr * weightDecay,
    }),
    update(g, { parameter, grad, state, decays, scalar }) {
      const square = g.add(g.mul(grad, grad), g.scalar(EPS1));
      const blend = (old: Value, now: Value) => g.add(g.mul(old, scalar('old')), g.mul(now, scalar('fresh')));
      const decayed = decays ? g.mul(parameter, scalar('keep')) : parameter;
      const rate = parameterScale ? g.mul(scalar('lr'), atLeast(g, rootMeanSquare(g, parameter), EPS2)) : scalar('lr');
      const apply = (update: Value): Value => {
        const clip = atLeast(g, g.mul(rootMeanSquare(g, update), g.scalar(1 / THRESHOLD)), 1);
        return g.sub(decayed, g.mul(update, g.div(rate, clip)));
      };
      const { v } = state;
      if (v !== undefined) {
        const v2 = blend(v, square);
        return { parameter: apply(g.div(grad, g.sqrt(v2))), state: { v: v2 } };
      }
      const rows = blend(state.rows!, mean(g, square, -1));
      const columns = blend(state.columns!, mean(g, square, -2));
      // Roots first: the product of two means of tiny squares would leave the range of float32.
      const update = g.div(g.div(grad, g.sqrt(g.div(rows, mean(g, rows, -2)))), g.sqrt(columns));
      return { parameter: apply(update), state: { rows, columns } };
    },
  };
}

function mean(g: Builder, x: Value, axis: number): Value {
  return g.mul(g.reduceSum(x, [axis]), g.scalar(1 / x.shape.at(axis)!));
}

/** [1]. */
function rootMeanSquare(g: Builder, x: Value): Value {
  const sum = g.reduceSum(g.mul(x, x), everyAxis(x.shape));
  return g.reshape(g.sqrt(g.mul(sum, g.scalar(1 / sizeOf(x.shape)))), [1]);
}

function everyAxis(shape: Shape): number[] {
  return shape.map((_, axis) => axis);
}

/** The larger of x [1] and a bound, [1]. */
function atLeast(g: Builder, x: Value, bound: number): Value {
  return g.reduceMax(g.concat([x, g.fill(bound, [1])], 0), [0]);
}
