import { openScratch, type Scratch } from '../io/scratch.ts';

/**
 * Groups of near-duplicate texts, in time linear in the text.
 *
 * Word pairs are hashed into one-permutation MinHash signatures (Broder 1997; Li, Owen, Zhang: "One Permutation Hashing", NIPS 2012;
 * empty bins filled by rotation as in Shrivastava and Li, ICML 2014). Bands of a signature are looked up in hash tables, and texts whose
 * signatures agree in at least {@link SIMILAR} of their bins (an estimate of the Jaccard similarity of their word pairs) are joined.
 */

export const BINS = 128;
const BAND = 4;
/** Share of word pairs in common from which two texts count as near-duplicates. */
export const SIMILAR = 0.6;
/** Texts kept for comparison in one bucket of a band: enough to tell apart what collides there. */
const BUCKET = 8;
/** Counters of word pairs; two pairs that share one only make the boilerplate a little larger. */
const COUNTERS = 2 ** 20;
/** Word pairs in more than this share of many rows are boilerplate (an instruction that opens each row) and say nothing. */
const BOILERPLATE = 0.1;

/** The group of each text, groups numbered in order of first appearance. */
export function groupSimilar(texts: readonly string[]): Int32Array {
  const similar = openSimilar(openScratch(Number.POSITIVE_INFINITY));
  for (const text of texts) similar.add(text);
  return numbered(similar.parents());
}

/** Bands of a signature, and rows whose keys of a band are in memory at once. */
const BANDS = BINS / BAND;
const AT_ONCE = 2 ** 19;

/** Finds near-duplicates among texts that come one by one and are not kept. */
export interface Similar {
  add(text: string): void;
  /** A forest over the texts: those under one root are near-duplicates. */
  parents(): Int32Array;
}

/** @param scratch where word pairs, signatures and keys lie */
export function openSimilar(scratch: Scratch): Similar {
  const [shingles, signatures] = [scratch.lists(), scratch.lists()];
  const places: number[] = [];
  const counts = new Uint32Array(COUNTERS);
  return {
    add(text) {
      const list = shinglesOf(text);
      for (const s of list) counts[(s >>> 0) % COUNTERS]!++;
      places.push(shingles.add(list));
    },
    parents() {
      const limit = Math.max(20, BOILERPLATE * places.length);
      const isBoilerplate = (s: number) => counts[(s >>> 0) % COUNTERS]! > limit;
      const slices = 2 ** Math.ceil(Math.log2(Math.max(1, places.length / AT_ONCE)));
      const heaps = scratch.table(2, BANDS * slices);
      for (const [i, place] of places.entries()) {
        const own = signature(withoutBoilerplate(shingles.at(place), isBoilerplate));
        for (let band = 0; band < BANDS; band++) {
          const key = bandKey(own, band * BAND);
          heaps.push(band * slices + Math.floor(((key >>> 0) / 2 ** 32) * slices), key, i);
        }
        places[i] = signatures.add(own);
      }
      const parents = Int32Array.from(places, (_, i) => i);
      const signatureOf = (i: number) => signatures.at(places[i]!);
      for (let heap = 0; heap < BANDS * slices; heap++) joinHeap(heaps.part(heap), signatureOf, parents);
      return parents;
    },
  };
}

function bandKey(own: Int32Array, band: number): number {
  let key = 0;
  for (let k = band; k < band + BAND; k++) key = mix(Math.imul(key, 31) + own[k]!);
  return key;
}

/** @param records key and text, by text */
function joinHeap(records: Uint32Array, signatureOf: (i: number) => Int32Array, parents: Int32Array): void {
  const buckets = new Map<number, number[]>();
  for (let at = 0; at < records.length; at += 2) {
    const [key, i] = [records[at]!, records[at + 1]!];
    const bucket = buckets.get(key);
    if (bucket === undefined) buckets.set(key, [i]);
    else if (!joinFirst(i, bucket, signatureOf, parents) && bucket.length < BUCKET) bucket.push(i);
  }
}

function joinFirst(
  i: number,
  bucket: readonly number[],
  signatureOf: (i: number) => Int32Array,
  parents: Int32Array,
): boolean {
  const own = signatureOf(i);
  for (const j of bucket) {
    if (find(parents, i) === find(parents, j)) return true;
    if (agreement(own, signatureOf(j)) >= SIMILAR) {
      join(parents, i, j);
      return true;
    }
  }
  return false;
}

function agreement(a: Int32Array, b: Int32Array): number {
  let same = 0;
  for (let k = 0; k < BINS; k++) if (a[k] === b[k]) same++;
  return same / BINS;
}

/** Words, single ideographs (which are written without spaces) and signs, in lower case. */
const WORDS =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{M}]+|\p{N}+|[^\s\p{L}\p{M}\p{N}]/gu;

/** The same for text without other characters, which is most text, in a third of the time. */
const ASCII = /^[\0-\x7f]*$/;
const ASCII_WORDS = /[a-z]+|[0-9]+|[^\sa-z0-9]/g;

/** The text as its words, so that case, spacing and composed characters do not matter. */
export function wordsOf(text: string): string[] {
  if (ASCII.test(text)) return text.toLowerCase().match(ASCII_WORDS) ?? [];
  return text.normalize('NFKC').toLowerCase().match(WORDS) ?? [];
}

/** Hashes of all pairs of neighbouring words, each once. */
function shinglesOf(text: string): Int32Array {
  const words = wordsOf(text).map(hashWord);
  if (words.length < 2) return Int32Array.from(words);
  const pairs = new Set<number>();
  for (let i = 1; i < words.length; i++) pairs.add(mix(Math.imul(words[i - 1]!, 31) ^ words[i]!));
  return Int32Array.from(pairs);
}

function withoutBoilerplate(all: Int32Array, isBoilerplate: (shingle: number) => boolean): Int32Array {
  const own = all.filter((s) => !isBoilerplate(s));
  // A row of nothing but boilerplate is compared by that.
  return own.length > 0 ? own : all;
}

export function signature(shingles: Int32Array): Int32Array {
  const EMPTY = 0x7fffffff;
  const bins = new Int32Array(BINS).fill(EMPTY);
  for (const s of shingles) {
    const h = mix(s ^ 0x5bd1e995);
    const bin = h & (BINS - 1);
    const value = h >> 7;
    if (value < bins[bin]!) bins[bin] = value;
  }
  if (shingles.length === 0) return bins;
  const filled = bins.slice();
  for (let k = 0; k < BINS; k++) {
    let step = 0;
    while (bins[(k + step) % BINS] === EMPTY) step++;
    // The distance goes in, so that two texts agree here only if the holes agree as well.
    if (step > 0) filled[k] = mix(bins[(k + step) % BINS]! + Math.imul(step, 0x9e3779b1));
  }
  return filled;
}

export function hashWord(word: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < word.length; i++) h = Math.imul(h ^ word.charCodeAt(i), 0x01000193);
  return h;
}

/** The finaliser of MurmurHash3. */
export function mix(x: number): number {
  let h = x | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function find(parents: Int32Array, i: number): number {
  let root = i;
  while (parents[root] !== root) root = parents[root]!;
  for (let at = i; at !== root; ) {
    const next = parents[at]!;
    parents[at] = root;
    at = next;
  }
  return root;
}

/** Puts two texts under one root. */
export function join(parents: Int32Array, i: number, j: number): void {
  const a = find(parents, i);
  const b = find(parents, j);
  parents[Math.max(a, b)] = Math.min(a, b);
}

/** The trees of a forest, numbered in order of first appearance. */
export function numbered(parents: Int32Array): Int32Array {
  const numbers = new Int32Array(parents.length).fill(-1);
  let next = 0;
  return parents.map((_, i) => {
    const root = find(parents, i);
    if (numbers[root] === -1) numbers[root] = next++;
    return numbers[root]!;
  });
}
