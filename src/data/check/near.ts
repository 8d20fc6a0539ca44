import type { Scratch, ScratchLists } from '../../io/scratch.ts';
import { BINS, hashWord, mix, signature } from '../similar.ts';
import { openColumn } from './notes.ts';

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
/** Counters of hashes: two that share one only make the boilerplate a little larger. */
export const COUNTERS = 2 ** 21;
/** Hashes in more than this share of many rows are boilerplate, and say nothing about a row. */
const BOILERPLATE = 0.05;
/** Rows whose keys are in memory at once. */
const AT_ONCE = 2 ** 19;

/** Hashes of words and pairs of neighbouring words, in order, each once, those that come first; all of them are counted. */
export function sketchOf(words: readonly string[], counts: Uint32Array): Int32Array {
  const all = new Int32Array(Math.max(0, 2 * words.length - 1));
  let used = 0;
  let before = 0;
  for (let i = 0; i < words.length; i++) {
    const hash = hashWord(words[i]!);
    all[used++] = mix(hash);
    if (i > 0) all[used++] = mix(Math.imul(before, 31) ^ hash);
    before = hash;
  }
  all.sort();
  let kept = 0;
  for (let i = 0; i < used; i++) {
    const hash = all[i]!;
    if (i > 0 && hash === all[i - 1]) continue;
    counts[hash & (COUNTERS - 1)]!++;
    all[kept++] = hash;
  }
  return all.slice(0, Math.min(SKETCH, kept));
}

/** Sketches of rows, by the rows' numbers; on the disk where they are many. */
export interface Sketches {
  /** @param mark something about the row that is asked for later */
  add(mark: number, sketch: Int32Array): void;
  /** Rows without a sketch are counted too. */
  skip(): void;
  count(): number;
  /** Undefined where the row has none. */
  at(row: number): Int32Array | undefined;
  markOf(row: number): number;
}

/** Opens an empty list of sketches. */
export function openSketches(scratch: Scratch): Sketches {
  const lists: ScratchLists = scratch.lists();
  const places = openColumn();
  // So that no sketch stands at 0, which means none.
  lists.add(new Int32Array(0));
  return {
    add: (mark, sketch) => {
      const list = new Int32Array(sketch.length + 1);
      list[0] = mark;
      list.set(sketch, 1);
      places.push(lists.add(list));
    },
    skip: () => places.push(0),
    count: places.length,
    at: (row) => (places.at(row) === 0 ? undefined : lists.at(places.at(row)).subarray(1)),
    markOf: (row) => lists.at(places.at(row))[0] ?? 0,
  };
}

/** Leaves out of a sketch what many rows have; what is nothing but that is compared by it. */
export function withoutBoilerplate(rows: number, counts: Uint32Array): (sketch: Int32Array) => Int32Array {
  const limit = Math.max(50, BOILERPLATE * rows);
  const buffer = new Int32Array(SKETCH);
  return (sketch) => {
    let kept = 0;
    for (let i = 0; i < sketch.length; i++) {
      const hash = sketch[i]!;
      if (counts[hash & (COUNTERS - 1)]! <= limit) buffer[kept++] = hash;
    }
    return kept > 2 ? buffer.slice(0, kept) : sketch;
  };
}

/**
 * The most similar earlier row of each row that has one, in time linear in the rows. Keys of rows lie in heaps by what they are, on the disk
 * where they are many, and only one heap is looked at at a time.
 *
 * @param own the sketch of a row without what many rows have; undefined for rows that are not looked at
 */
export function findNear(
  scratch: Scratch,
  count: number,
  own: (row: number) => Int32Array | undefined,
): Iterable<NearPair> {
  const slices = 2 ** Math.ceil(Math.log2(Math.max(1, count / AT_ONCE)));
  const heaps = scratch.table(2, BANDS * slices);
  for (let row = 0; row < count; row++) {
    const sketch = own(row);
    if (sketch === undefined) continue;
    const keys = bandKeys(sketch);
    for (let band = 0; band < BANDS; band++) {
      const key = keys[band]!;
      heaps.push(band * slices + Math.floor(((key >>> 0) / 2 ** 32) * slices), key, row);
    }
  }
  const best = new Int32Array(count).fill(-1);
  const score = new Float32Array(count);
  for (let heap = 0; heap < BANDS * slices; heap++) joinHeap(heaps.part(heap), own, best, score);
  return pairsOf(best, score);
}

function* pairsOf(best: Int32Array, score: Float32Array): Iterable<NearPair> {
  for (const [row, other] of best.entries()) if (other >= 0) yield { row, other, similarity: score[row]! };
}

/** @param records key and row, by row */
function joinHeap(
  records: Uint32Array,
  own: (row: number) => Int32Array | undefined,
  best: Int32Array,
  score: Float32Array,
): void {
  const count = records.length / 2;
  const size = 2 ** Math.ceil(Math.log2(Math.max(16, count * 2)));
  const heads = new Int32Array(size).fill(-1);
  const next = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const key = records[2 * i]!;
    const row = records[2 * i + 1]!;
    const slot = key & (size - 1);
    let looked = 0;
    let sketch: Int32Array | undefined;
    for (let j = heads[slot]!; j >= 0 && looked < BUCKET; j = next[j]!) {
      if (records[2 * j] !== key) continue;
      looked++;
      const other = records[2 * j + 1]!;
      if (best[row] === other) continue;
      sketch ??= own(row)!;
      const similarity = jaccard(sketch, own(other)!);
      if (similarity >= NEAR && similarity > score[row]!) {
        best[row] = other;
        score[row] = similarity;
      }
    }
    // A bucket that is full keeps its first rows, to which all copies are alike.
    if (looked < BUCKET) {
      next[i] = heads[slot]!;
      heads[slot] = i;
    }
  }
}

/** The rows among some few that are most similar to a given one. */
export function openNearFew(few: readonly Int32Array[]): (sketch: Int32Array) => Omit<NearPair, 'row'> | undefined {
  const buckets = Array.from({ length: BANDS }, () => new Map<number, number[]>());
  for (const [row, sketch] of few.entries()) {
    for (const [band, key] of bandKeys(sketch).entries()) {
      const bucket = buckets[band]!.get(key);
      if (bucket === undefined) buckets[band]!.set(key, [row]);
      else if (bucket.length < BUCKET) bucket.push(row);
    }
  }
  return (sketch) => {
    let best: Omit<NearPair, 'row'> | undefined;
    for (const [band, key] of bandKeys(sketch).entries()) {
      for (const other of buckets[band]!.get(key) ?? []) {
        if (best?.other === other) continue;
        const similarity = jaccard(sketch, few[other]!);
        if (similarity >= NEAR && similarity > (best?.similarity ?? 0)) best = { other, similarity };
      }
    }
    return best;
  };
}

/** The keys of a row, one a band. */
function bandKeys(sketch: Int32Array): Int32Array {
  const bins = signature(sketch);
  const keys = new Int32Array(BANDS);
  for (let band = 0; band < BANDS; band++) {
    let key = 0;
    // Neighbouring bins of a short text hold copies of one hash, so a key takes bins that lie far apart.
    for (let k = 0; k < BAND; k++) key = mix(Math.imul(key, 31) + bins[k * BANDS + band]!);
    keys[band] = key;
  }
  return keys;
}

/** Of two sorted lists. */
function jaccard(a: Int32Array, b: Int32Array): number {
  let [i, j, same] = [0, 0, 0];
  while (i < a.length && j < b.length) {
    const [x, y] = [a[i]!, b[j]!];
    if (x === y) same++;
    if (x <= y) i++;
    if (y <= x) j++;
  }
  const union = a.length + b.length - same;
  return union === 0 ? 0 : same / union;
}
