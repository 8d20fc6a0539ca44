/** Sum with Neumaier's correction, so that the order of magnitude of the terms does not matter. */
export function sum(values: Iterable<number>): number {
  let total = 0;
  let lost = 0;
  for (const v of values) {
    const t = total + v;
    lost += Math.abs(total) >= Math.abs(v) ? total - t + v : v - t + total;
    total = t;
  }
  return total + lost;
}

/** Arithmetic mean; NaN of nothing. */
export function mean(values: readonly number[]): number {
  return values.length === 0 ? Number.NaN : sum(values) / values.length;
}

/** Sample standard deviation (divided by n - 1); NaN below two values. */
export function standardDeviation(values: readonly number[]): number {
  if (values.length < 2) return Number.NaN;
  const m = mean(values);
  return Math.sqrt(sum(values.map((v) => (v - m) ** 2)) / (values.length - 1));
}

/** Standard error of the mean; NaN below two values. */
export function standardError(values: readonly number[]): number {
  return standardDeviation(values) / Math.sqrt(values.length);
}

/**
 * Percentile by nearest rank: the smallest value that at least `percent` per cent of the values do not exceed. Always one of the
 * values; of fewer than 200 values the 99.5th is the largest.
 *
 * @param percent above 0, at most 100
 * @returns undefined of nothing
 */
export function percentile(values: readonly number[], percent: number): number | undefined {
  const sorted = Float64Array.from(values).sort();
  // The tiny allowance keeps 99.5 / 100 * 200 from being rounded up past 199.
  const rank = Math.ceil((percent / 100) * sorted.length - 1e-9);
  return sorted[Math.min(Math.max(rank, 1), sorted.length) - 1];
}

/** Median by nearest rank; undefined of nothing. */
export function median(values: readonly number[]): number | undefined {
  return percentile(values, 50);
}
