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
 * The 95 % interval of a share: Wilson's score interval (Wilson 1927, doi:10.1080/01621459.1927.10502953), which also holds near 0 and 1.
 *
 * @param hits of `count`; [0, 1] of nothing
 */
export function shareInterval(hits: number, count: number): readonly [low: number, high: number] {
  if (count === 0) return [0, 1];
  const z = 1.959963984540054;
  const p = hits / count;
  const middle = p + (z * z) / (2 * count);
  const half = z * Math.sqrt((p * (1 - p)) / count + (z * z) / (4 * count * count));
  const scale = 1 + (z * z) / count;
  return [Math.max(0, (middle - half) / scale), Math.min(1, (middle + half) / scale)];
}

/** Pearson's correlation; 0 where one of the two is constant. */
export function correlation(a: readonly number[], b: readonly number[]): number {
  const [ma, mb] = [mean(a), mean(b)];
  const product = sum(a.map((x, i) => (x - ma) * (b[i]! - mb)));
  const scale = Math.sqrt(sum(a.map((x) => (x - ma) ** 2)) * sum(b.map((y) => (y - mb) ** 2)));
  return scale === 0 || Number.isNaN(scale) ? 0 : product / scale;
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
