import { fillUniform } from '../math/random.ts';
import { sum } from '../math/stats.ts';

/** An estimate with the range in which 95 % of such estimates would hold the truth. */
export interface Interval {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
}

/** Resamples of a bootstrap, and sign flips of a permutation test. */
const DRAWS = 2000;

/**
 * The ratio of two sums over the same items with its percentile bootstrap interval (Efron 1979, "Bootstrap methods: another look at the jackknife").
 * With denominators of 1 it is a mean. A function of its arguments.
 *
 * @param numerators one for each item
 * @param denominators as many; default 1 each
 * @returns NaN of nothing
 */
export function bootstrapRatio(
  numerators: readonly number[],
  denominators: readonly number[] = numerators.map(() => 1),
  seed = 0,
): Interval {
  const n = numerators.length;
  if (denominators.length !== n) throw new Error('internal: unequal numbers of numerators and denominators');
  if (n === 0) return { estimate: Number.NaN, low: Number.NaN, high: Number.NaN };
  const drawn = new Float32Array(n);
  const ratios = new Float64Array(DRAWS);
  for (let draw = 0; draw < DRAWS; draw++) {
    fillUniform(drawn, 0, 1, { seed, purpose: 'bootstrap', a: draw });
    let above = 0;
    let below = 0;
    for (let i = 0; i < n; i++) {
      const at = Math.min(n - 1, Math.floor(drawn[i]! * n));
      above += numerators[at]!;
      below += denominators[at]!;
    }
    ratios[draw] = above / below;
  }
  ratios.sort();
  const at = (share: number) => ratios[Math.round(share * (DRAWS - 1))]!;
  return { estimate: sum(numerators) / sum(denominators), low: at(0.025), high: at(0.975) };
}

/**
 * Two-sided p of McNemar's exact test (McNemar 1947): how likely so uneven a split of the items on which two models differ would be by chance.
 *
 * @param gained items that only the second model has right
 * @param lost items that only the first has right
 */
export function mcnemarExact(gained: number, lost: number): number {
  const n = gained + lost;
  const fewer = Math.min(gained, lost);
  // Terms of the binomial distribution as logarithms: 0.5 ** n is 0 from 1,075 on.
  let log = -n * Math.LN2;
  let total = 0;
  for (let k = 0; k <= fewer; k++) {
    total += Math.exp(log);
    log += Math.log(n - k) - Math.log(k + 1);
  }
  return Math.min(1, 2 * total);
}

/**
 * Two-sided p that paired differences average 0, by flipping their signs at random (Fisher 1935): whichever of the two models gave which of two scores
 * would not matter. Never below 1 / 2001. A function of its arguments.
 */
export function signFlipTest(differences: readonly number[], seed = 0): number {
  const observed = Math.abs(sum(differences));
  // Sums in another order differ in their last bits.
  const atLeast = observed - 1e-9 * sum(differences.map(Math.abs));
  const drawn = new Float32Array(differences.length);
  let asFar = 1;
  for (let draw = 0; draw < DRAWS; draw++) {
    fillUniform(drawn, 0, 1, { seed, purpose: 'sign-flip', a: draw });
    let total = 0;
    for (let i = 0; i < differences.length; i++) total += drawn[i]! < 0.5 ? differences[i]! : -differences[i]!;
    if (Math.abs(total) >= atLeast) asFar++;
  }
  return asFar / (DRAWS + 1);
}

/** p values of several tests, corrected for their number, in their order (Holm 1979, "A simple sequentially rejective multiple test procedure"). */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((a, b) => pValues[a]! - pValues[b]!);
  const corrected = new Array<number>(pValues.length);
  let most = 0;
  for (const [rank, i] of order.entries()) {
    most = Math.min(1, Math.max(most, (pValues.length - rank) * pValues[i]!));
    corrected[i] = most;
  }
  return corrected;
}

/** What is assumed where the power of a comparison is stated before it is made. */
export interface PowerAssumptions {
  /** Share of items on which the two models differ. */
  readonly changed?: number;
  /** Two-sided level of the test. */
  readonly level?: number;
  readonly power?: number;
}

/**
 * The smallest difference of two accuracies on the same items that would be found (Connor 1987, "Sample size for testing differences in proportions for
 * the paired-sample design"): of 80 % of such differences by default, where the answers to one item in ten change.
 *
 * @returns a share: 0.03 is 3 points
 */
export function detectableDifference(
  items: number,
  { changed = 0.1, level = 0.05, power = 0.8 }: PowerAssumptions = {},
): number {
  const [z, beta] = [normalQuantile(1 - level / 2), normalQuantile(power)];
  // d sqrt(n) = z sqrt(changed) + beta sqrt(changed - d^2), solved for d.
  let low = 0;
  let high = Math.sqrt(changed);
  for (let i = 0; i < 60; i++) {
    const d = (low + high) / 2;
    if (d * Math.sqrt(items) < z * Math.sqrt(changed) + beta * Math.sqrt(changed - d * d)) low = d;
    else high = d;
  }
  return high;
}

/** The x below which the standard normal distribution has a share of `share`, within 1e-12. */
export function normalQuantile(share: number): number {
  let low = -8;
  let high = 8;
  for (let i = 0; i < 60; i++) {
    const x = (low + high) / 2;
    if (normalBelow(x) < share) low = x;
    else high = x;
  }
  return (low + high) / 2;
}

/** The standard normal distribution function by its series x + x^3/3 + x^5/15 + ... (Marsaglia 2004). */
function normalBelow(x: number): number {
  let term = x;
  let total = x;
  for (let k = 3; Math.abs(term) > 1e-17 * Math.abs(total) && k < 400; k += 2) {
    term *= (x * x) / k;
    total += term;
  }
  return 0.5 + total * Math.exp(-0.5 * x * x - 0.5 * Math.log(2 * Math.PI));
}

/** What paired answers say: better, worse, or that one can't tell. */
export type Verdict = 'gained' | 'lost' | 'unsure';

/** The verdict of a corrected p value. `difference` above 0 is better. */
export function verdictOf(difference: number, correctedP: number): Verdict {
  if (!(correctedP < 0.05) || difference === 0) return 'unsure';
  return difference > 0 ? 'gained' : 'lost';
}
