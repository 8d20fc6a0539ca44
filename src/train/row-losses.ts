import { type MicroBatch, targetsByRow } from '../data/index.ts';

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
export function lossesOfRows(batch: MicroBatch, nll: Float64Array): RowLoss[] {
  return Array.from(targetsByRow(batch), ({ row, from, to }) => {
    const own = nll.subarray(from, to);
    const known = own.filter((x) => x < Math.LN2).length;
    return { example: row, nll: own.reduce((sum, x) => sum + x, 0), tokens: own.length, known };
  });
}
