// Shape legend: R rows, K classes
import { percentile } from '../../math/stats.ts';

/** Logits of rows, and what they should have been. */
export interface Judged {
  readonly kind: 'single' | 'multi';
  /** [R] of [K]. */
  readonly logits: readonly ArrayLike<number>[];
  /** [R] the classes of each row. */
  readonly classes: readonly (readonly number[])[];
  /** [R] how far each row lies from those that trained: see `distanceOf`. */
  readonly distances: readonly number[];
}

/** What the validation rows say of a classifier's confidence. */
export interface Calibration {
  /** Logits are divided by it before they become probabilities. */
  readonly temperature: number;
  /** The precision that the thresholds were chosen for. */
  readonly precision: number;
  /** [K] probability from which a label is confident; null where no probability reaches the precision. */
  readonly thresholds: readonly (number | null)[];
  /** An input that lies further from the rows that trained is none of these. */
  readonly distance: number;
  /** Validation rows that all this was chosen on. */
  readonly rows: number;
}

/** Share of the validation rows that come out as none of these. */
export const NONE_SHARE = 0.02;

/** Validation rows below which nothing is calibrated. */
export const FEWEST_ROWS = 10;

/** Chooses temperature, thresholds and the largest distance on validation rows, which the training has not seen; undefined where they are too few. */
export function calibrate(judged: Judged, precision: number): Calibration | undefined {
  const { kind, logits, classes, distances } = judged;
  if (logits.length < FEWEST_ROWS) return undefined;
  const temperature = fitTemperature(judged);
  const probabilities = logits.map((row) => classProbabilities(row, kind, temperature));
  const count = logits[0]!.length;
  const thresholds = Array.from({ length: count }, (_, k) => {
    const asserted = probabilities.flatMap((p, row) => {
      if (kind === 'single' && argMax(p) !== k) return [];
      return [{ p: p[k]!, isRight: classes[row]!.includes(k) }];
    });
    return thresholdFor(asserted, precision);
  });
  const distance = percentile(distances, 100 * (1 - NONE_SHARE))!;
  return { temperature, precision, thresholds, distance, rows: logits.length };
}

/** Probabilities of the classes: softmax, or for several labels the sigmoid of each. */
export function classProbabilities(logits: ArrayLike<number>, kind: Judged['kind'], temperature: number): number[] {
  const scaled = Array.from(logits, (z) => z / temperature);
  if (kind === 'multi') return scaled.map((z) => 1 / (1 + Math.exp(-z)));
  const norm = logSumExp(scaled);
  return scaled.map((z) => Math.exp(z - norm));
}

/** Bounds of the search: a temperature that wants to lie outside says that the rows are too few to tell. */
const TEMPERATURES = [0.05, 20] as const;

/**
 * The temperature with the least cross entropy on the rows (temperature scaling, Guo et al. 2017, arXiv:1706.04599). The cross entropy is convex in
 * 1 / temperature, so a search by sections finds it. It changes no order of the classes.
 */
export function fitTemperature({ kind, logits, classes }: Omit<Judged, 'distances'>): number {
  const at = (inverse: number) =>
    logits.reduce((sum, row, i) => {
      const z = Array.from(row, (x) => x * inverse);
      const own = classes[i]!.reduce((s, k) => s + z[k]!, 0);
      return sum + (kind === 'single' ? logSumExp(z) : z.reduce((s, x) => s + softplus(x), 0)) - own;
    }, 0);
  let [low, high] = [1 / TEMPERATURES[1], 1 / TEMPERATURES[0]];
  const golden = (Math.sqrt(5) - 1) / 2;
  for (let i = 0; i < 80; i++) {
    const [a, b] = [high - golden * (high - low), low + golden * (high - low)];
    if (at(a) <= at(b)) high = b;
    else low = a;
  }
  return 2 / (low + high);
}

/** The lowest probability above which so large a share of the assertions is right; null where there is none. */
export function thresholdFor(
  asserted: readonly { readonly p: number; readonly isRight: boolean }[],
  precision: number,
): number | null {
  const sorted = asserted.toSorted((a, b) => b.p - a.p);
  let right = 0;
  let threshold: number | null = null;
  for (const [i, { p, isRight }] of sorted.entries()) {
    if (isRight) right++;
    // Assertions of one probability stand or fall together.
    if (sorted[i + 1]?.p === p) continue;
    if (right / (i + 1) >= precision) threshold = p;
  }
  return threshold;
}

/** The number of the largest value; the first of equal ones. */
export function argMax(values: ArrayLike<number>): number {
  let best = 0;
  for (let k = 1; k < values.length; k++) if (values[k]! > values[best]!) best = k;
  return best;
}

function logSumExp(values: readonly number[]): number {
  const most = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return most + Math.log(values.reduce((sum, z) => sum + Math.exp(z - most), 0));
}

function softplus(z: number): number {
  return Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
}
