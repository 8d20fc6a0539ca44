// Shape legend: R rows, D model width, G groups of rows
import { dot, factorOf, shrunkCovariance, solveLower } from '../../math/linear-algebra.ts';

/** What the states of the rows that trained were like (the mean of what the final norm gives each token): Gaussians of one covariance, one for each group. */
export interface Likeness {
  /** Lower triangle whose product with its transpose is the covariance, [D] of [D]. */
  readonly factor: readonly Float64Array[];
  /** Means, with the factor divided out: [G] of [D]. */
  readonly means: readonly Float64Array[];
}

/** Rows that the Gaussians are fitted on, at most: more would cost passes and change little. */
export const MOST_ROWS = 1000;

/**
 * Fits Gaussians to states [R] of [D]: for one label each a mean by class, for several labels one for all. The covariance within the groups is
 * shrunk towards a multiple of the identity, since the rows are hardly more than the widths (Ledoit and Wolf 2004, doi:10.1016/S0047-259X(03)00096-4).
 *
 * @param groups the group of each row
 */
export function fitLikeness(states: readonly Float64Array[], groups: readonly number[]): Likeness {
  const width = states[0]!.length;
  const members = new Map<number, Float64Array[]>();
  for (const [row, state] of states.entries()) {
    members.set(groups[row]!, [...(members.get(groups[row]!) ?? []), state]);
  }
  const means = new Map([...members].map(([group, rows]) => [group, meanOf(rows, width)]));
  const centred = states.map((state, row) => state.map((x, d) => x - means.get(groups[row]!)![d]!));
  const factor = factorOf(shrunkCovariance(centred));
  return { factor, means: [...means.values()].map((mean) => solveLower(factor, mean)) };
}

function meanOf(rows: readonly Float64Array[], width: number): Float64Array {
  const mean = new Float64Array(width);
  for (const row of rows) for (let d = 0; d < width; d++) mean[d]! += row[d]! / rows.length;
  return mean;
}

/**
 * How far an input's state lies from those that trained: the squared Mahalanobis distance to the nearest mean, per coordinate (Lee et al. 2018,
 * arXiv:1807.03888; for texts Podolskiy et al. 2021, arXiv:2101.03778). About 1 for what is alike.
 */
export function distanceOf({ factor, means }: Likeness, state: Float64Array): number {
  const own = solveLower(factor, state);
  const distances = means.map((mean) => {
    const apart = own.map((x, d) => x - mean[d]!);
    return dot(apart, apart);
  });
  return Math.min(...distances) / state.length;
}
