import { BINS, mix, signature, wordsAndPairs } from '../similar.ts';

/** A row and the row before it that says nearly the same. */
export interface NearPair {
  readonly row: number;
  readonly other: number;
  /** Jaccard similarity of their words and pairs of words, from 0 to 1. */
  readonly similarity: number;
}

/** Similarity from which pairs are told. */
export const NEAR = 0.6;
/** Hashes kept of a row: all of a short one, of a long one those that come first in a random order (Broder 1997), which estimate as well. */
const SKETCH = 128;
/** Bins of a signature that make one key. Of pairs that are alike to 60 % 88 in 100 share a key, of those alike to 80 % all but one in ten thousand. */
const BAND = 5;
const BANDS = Math.floor(BINS / BAND);
/** Rows of one bucket that are compared with a new one. */
const BUCKET = 8;
const COUNTERS = 2 ** 21;
/** Hashes in more than this share of many rows are boilerplate, and say nothing about a row. */
const BOILERPLATE = 0.05;

/** Finds near-duplicates among texts, in time linear in the texts and in memory that does not grow with their length. */
export interface NearIndex {
  /** Rows have numbers from 0 in the order in which they come. */
  add(text: string): void;
  /** The most similar earlier row of each row that has one, by `mayPair`. Called once. */
  pairs(mayPair?: (row: number, other: number) => boolean): NearPair[];
}

/** Opens an empty index. */
export function createNearIndex(): NearIndex {
  const sketches: Int32Array[] = [];
  const counts = new Uint32Array(COUNTERS);
  return {
    add(text) {
      const all = wordsAndPairs(text);
      for (const hash of all) counts[(hash >>> 0) % COUNTERS]!++;
      sketches.push(all.length <= SKETCH ? all.sort() : all.sort(byOrder).slice(0, SKETCH).sort());
    },
    pairs(mayPair = () => true) {
      const limit = Math.max(50, BOILERPLATE * sketches.length);
      const own = sketches.map((all) => {
        const rest = all.filter((hash) => counts[(hash >>> 0) % COUNTERS]! <= limit);
        // What is nothing but boilerplate is compared by that.
        return rest.length > 2 ? rest : all;
      });
      sketches.length = 0;
      return findPairs(own, mayPair);
    },
  };
}

const byOrder = (a: number, b: number) => mix(a ^ 0x2545f491) - mix(b ^ 0x2545f491);

function findPairs(own: readonly Int32Array[], mayPair: (row: number, other: number) => boolean): NearPair[] {
  const count = own.length;
  const best = new Int32Array(count).fill(-1);
  const score = new Float32Array(count);
  const size = 2 ** Math.ceil(Math.log2(Math.max(16, count * 2)));
  const heads = new Int32Array(size);
  const next = new Int32Array(count);
  for (const keys of bandKeys(own)) {
    heads.fill(-1);
    for (let i = 0; i < count; i++) {
      const key = keys[i]!;
      const slot = (key >>> 0) & (size - 1);
      let looked = 0;
      for (let j = heads[slot]!; j >= 0 && looked < BUCKET; j = next[j]!) {
        if (keys[j] !== key) continue;
        looked++;
        if (best[i] === j || !mayPair(i, j)) continue;
        const similarity = jaccard(own[i]!, own[j]!);
        if (similarity >= NEAR && similarity > score[i]!) {
          best[i] = j;
          score[i] = similarity;
        }
      }
      // A bucket that is full keeps its first rows, to which all copies are alike.
      if (looked < BUCKET) {
        next[i] = heads[slot]!;
        heads[slot] = i;
      }
    }
  }
  const pairs: NearPair[] = [];
  for (let i = 0; i < count; i++) if (best[i]! >= 0) pairs.push({ row: i, other: best[i]!, similarity: score[i]! });
  return pairs;
}

/** For each band the keys of all rows. */
function bandKeys(own: readonly Int32Array[]): readonly Int32Array[] {
  const bands = Array.from({ length: BANDS }, () => new Int32Array(own.length));
  for (const [i, hashes] of own.entries()) {
    const bins = signature(hashes);
    for (let band = 0; band < BANDS; band++) {
      let key = 0;
      // Neighbouring bins of a short text hold copies of one hash, so a key takes bins that lie far apart.
      for (let k = 0; k < BAND; k++) key = mix(Math.imul(key, 31) + bins[k * BANDS + band]!);
      bands[band]![i] = key;
    }
  }
  return bands;
}

/** Of two sorted lists. */
function jaccard(a: Int32Array, b: Int32Array): number {
  let [i, j, same] = [0, 0, 0];
  while (i < a.length && j < b.length) {
    const d = a[i]! - b[j]!;
    if (d === 0) same++;
    if (d <= 0) i++;
    if (d >= 0) j++;
  }
  const union = a.length + b.length - same;
  return union === 0 ? 0 : same / union;
}
