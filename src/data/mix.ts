import { TunesmithError } from '../errors/index.ts';
import { permutation, uniform } from '../math/random.ts';

/** How much of each source goes into a mixture. */
export type MixPlan =
  /** So many passes over each source. */
  | { readonly kind: 'epochs'; readonly epochs: readonly number[] }
  /** Shares of the mixture, and its rows. Without rows: as many as there are until a source would be repeated. */
  | { readonly kind: 'weights'; readonly weights: readonly number[]; readonly rows?: number | undefined }
  /** Weights that are the sizes to the power of 1/T (T5, arXiv:1910.10683): 1 leaves them as they are, more evens them out. */
  | { readonly kind: 'temperature'; readonly temperature: number; readonly rows?: number | undefined };

/** Rows to take of each source. @param sizes rows that each source has @throws CLI_OPTION_VALUE */
export function mixCounts(sizes: readonly number[], plan: MixPlan): number[] {
  if (plan.kind === 'epochs') return sizes.map((n, i) => Math.round(n * (plan.epochs[i] ?? 1)));
  const raw = plan.kind === 'weights' ? plan.weights : sizes.map((n) => n ** (1 / plan.temperature));
  const sum = raw.reduce((a, b) => a + b, 0);
  const shares = raw.map((weight) => weight / sum);
  const most = Math.min(...sizes.map((n, i) => (shares[i] === 0 ? Number.POSITIVE_INFINITY : n / (shares[i] ?? 1))));
  const rows = plan.rows ?? Math.floor(most + 1e-9);
  if (!Number.isFinite(rows)) throw new TunesmithError('CLI_OPTION_VALUE', { message: '--weights are all 0.' });
  const counts = shares.map((share) => Math.floor(share * rows));
  const byRemainder = [...shares.keys()].sort(
    (a, b) => (((shares[b] ?? 0) * rows) % 1) - (((shares[a] ?? 0) * rows) % 1),
  );
  const left = rows - counts.reduce((a, b) => a + b, 0);
  for (const i of byRemainder.slice(0, left)) counts[i]!++;
  return counts;
}

/** How often each row of a source is taken: all rows equally often, and of the rest a random choice. */
export function mixTimes(size: number, count: number, seed: number, source: number): Uint32Array {
  const times = new Uint32Array(size).fill(size === 0 ? 0 : Math.floor(count / size));
  const rest = size === 0 ? 0 : count % size;
  for (const i of permutation(seed, 'mix', source, size).subarray(0, rest)) times[i]!++;
  return times;
}

/** The source of each row of the mixture, so that they are spread evenly: drawn by what is left of each. */
export function* mixOrder(counts: readonly number[], seed: number): Generator<number> {
  const left = [...counts];
  let all = left.reduce((a, b) => a + b, 0);
  for (let row = 0; all > 0; row++, all--) {
    let at = uniform(seed, 'mix/order', row) * all;
    let source = 0;
    while (source < left.length - 1 && at >= left[source]!) at -= left[source++]!;
    while (left[source] === 0) source--;
    left[source]!--;
    yield source;
  }
}
