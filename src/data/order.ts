import { permutation } from '../math/random.ts';

/** What the order of rows and the number of steps depend on. */
export interface OrderOptions {
  /** Examples of the training set. */
  readonly rows: number;
  /** Rows of one step. */
  readonly batch: number;
  readonly shuffle: boolean;
  readonly seed: number;
}

/** The rows of one optimiser step. */
export interface StepRows {
  /** Counts from 0. */
  readonly epoch: number;
  /** Indices into the training set. */
  readonly rows: readonly number[];
}

/** Steps of one pass: the last partial batch is a step. */
export function stepsPerEpoch({ rows, batch }: Pick<OrderOptions, 'rows' | 'batch'>): number {
  return Math.ceil(rows / batch);
}

/** Steps of a run: what `steps` says, or so many passes (a part of a pass is rounded up to whole steps). */
export function totalSteps(
  order: Pick<OrderOptions, 'rows' | 'batch'>,
  length: { readonly epochs: number } | { readonly steps: number },
): number {
  if ('steps' in length) return length.steps;
  // The tiny allowance keeps a product such as 1.1 * 10 from rounding up to 12.
  return Math.max(1, Math.ceil(length.epochs * stepsPerEpoch(order) - 1e-9));
}

/** Passes by default: 3 below 1,000 rows, 2 below 20,000, else 1. */
export function defaultEpochs(rows: number): number {
  return rows < 1_000 ? 3 : rows < 20_000 ? 2 : 1;
}

/** The order of the rows in an epoch: as they stand, or shuffled anew by (seed, epoch). */
export function epochOrder({ rows, shuffle, seed }: Omit<OrderOptions, 'batch'>, epoch: number): Uint32Array {
  return shuffle ? permutation(seed, 'shuffle', epoch, rows) : Uint32Array.from({ length: rows }, (_, i) => i);
}

/**
 * The rows of steps `from`, `from` + 1, ... without end. Steps count from 1 and never straddle epochs. A function of its arguments, so a
 * resumed run asks for the step that it stands at.
 */
export function* stepRows(options: OrderOptions, from = 1): Generator<StepRows, never> {
  const perEpoch = stepsPerEpoch(options);
  if (perEpoch === 0) throw new Error('internal: no rows to make steps of');
  for (let epoch = Math.floor((from - 1) / perEpoch), first = (from - 1) % perEpoch; ; epoch++, first = 0) {
    const order = epochOrder(options, epoch);
    for (let i = first; i < perEpoch; i++) {
      yield { epoch, rows: [...order.subarray(i * options.batch, (i + 1) * options.batch)] };
    }
  }
}
