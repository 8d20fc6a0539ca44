import type { MicroBatch } from '../data/index.ts';

/** What the tokens of one example lost in a step, before its update. */
export interface RowLoss {
  /** Index in what the step was given; for the loop's hooks among all examples that train. */
  readonly example: number;
  /** Summed over its supervised tokens, nats. */
  readonly nll: number;
  readonly tokens: number;
  /** Tokens of which the model was surer than of all others together: -log p below log 2. */
  readonly known: number;
}

/**
 * Divides the losses of a micro-batch among its rows, in the order in which they lie there. The losses are those that the step sums up anyway,
 * so that looking at them computes nothing and changes nothing.
 *
 * @param nll of each token with loss
 */
export function lossesOfRows({ spans, lossPositions }: MicroBatch, nll: Float64Array): RowLoss[] {
  let at = 0;
  return spans.map(({ row, from, count }) => {
    let [sum, tokens, known] = [0, 0, 0];
    for (; at < nll.length && lossPositions[at]! < from + count; at++) {
      sum += nll[at]!;
      tokens++;
      if (nll[at]! < Math.LN2) known++;
    }
    return { example: row, nll: sum, tokens, known };
  });
}
