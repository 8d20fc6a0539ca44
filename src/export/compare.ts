import type { Quant } from './types.ts';

/** How far one set of logits is from another. */
export interface Difference {
  /** Positions that were compared. */
  readonly positions: number;
  /** Of all logits. */
  readonly largestLogitDifference: number;
  /** Mean over the positions of KL(reference, other), nats. */
  readonly meanKl: number;
  /** Share of the positions at which both think the same token most likely. */
  readonly topOneAgreement: number;
  /** The same, with near ties of the reference counted as agreement: the other's token is at most 0.1 nats less likely there. */
  readonly clearAgreement: number;
}

/** How far an export may be from the model that was trained. */
export interface Limit {
  readonly meanKl: number;
  readonly clearAgreement: number;
}

/** Nats between two tokens that are as good as equally likely: which is first then says nothing of the model. */
const NEAR_TIE = 0.1;

const EXACT: Limit = { meanKl: 1e-5, clearAgreement: 0.99 };
const EIGHT_BITS: Limit = { meanKl: 5e-3, clearAgreement: 0.98 };
const FOUR_BITS: Limit = { meanKl: 0.1, clearAgreement: 0.9 };

/** Limits by the kind of numbers. */
export const LIMITS: Readonly<Record<Quant | 'exact', Limit>> = {
  exact: EXACT,
  f32: EXACT,
  f16: { meanKl: 1e-3, clearAgreement: 0.99 },
  bf16: { meanKl: 5e-3, clearAgreement: 0.98 },
  q8_0: EIGHT_BITS,
  q8: EIGHT_BITS,
  q4_0: FOUR_BITS,
  q4: FOUR_BITS,
  q4_k_m: FOUR_BITS,
};

/** Whether a difference stays within a limit; what is not a number never does. */
export function isWithin(difference: Difference, limit: Limit): boolean {
  return difference.meanKl <= limit.meanKl && difference.clearAgreement >= limit.clearAgreement;
}

/**
 * Compares two sets of logits, each a list of matrices [positions, vocab].
 *
 * @param vocab V
 */
export function compareLogits(
  reference: readonly Float32Array[],
  other: readonly Float32Array[],
  vocab: number,
): Difference {
  let positions = 0;
  let largest = 0;
  let kl = 0;
  let agreed = 0;
  let clear = 0;
  for (const [i, matrix] of reference.entries()) {
    const opposite = other[i];
    if (opposite?.length !== matrix.length) throw new Error('internal: logits of two sizes were to be compared');
    for (let at = 0; at < matrix.length; at += vocab) {
      const p = rowOf(matrix, at, vocab);
      const q = rowOf(opposite, at, vocab);
      positions++;
      if (p.top === q.top) agreed++;
      if (matrix[at + p.top]! - matrix[at + q.top]! <= NEAR_TIE) clear++;
      const row = comparedRow(matrix, opposite, at, vocab, p.logSum, q.logSum);
      kl += row.kl;
      largest = Math.max(largest, row.largest);
    }
  }
  return {
    positions,
    largestLogitDifference: largest,
    meanKl: kl / positions,
    topOneAgreement: agreed / positions,
    clearAgreement: clear / positions,
  };
}

/** Index of the largest logit, and the logarithm of the sum of all exponentials. */
function rowOf(x: Float32Array, at: number, vocab: number): { readonly top: number; readonly logSum: number } {
  let top = 0;
  for (let i = 1; i < vocab; i++) if (x[at + i]! > x[at + top]!) top = i;
  const max = x[at + top]!;
  let sum = 0;
  for (let i = 0; i < vocab; i++) sum += Math.exp(x[at + i]! - max);
  return { top, logSum: max + Math.log(sum) };
}

function comparedRow(
  p: Float32Array,
  q: Float32Array,
  at: number,
  vocab: number,
  logSumP: number,
  logSumQ: number,
): { readonly kl: number; readonly largest: number } {
  let kl = 0;
  let largest = 0;
  for (let i = at; i < at + vocab; i++) {
    const logP = p[i]! - logSumP;
    kl += Math.exp(logP) * (logP - (q[i]! - logSumQ));
    largest = Math.max(largest, Math.abs(p[i]! - q[i]!));
  }
  // What rounding leaves of a divergence of zero may be negative.
  return { kl: Number.isNaN(kl) ? kl : Math.max(0, kl), largest };
}
