import type { ScratchTable } from '../../io/scratch.ts';
import type { RowSource } from '../row.ts';
import { hashWord } from '../similar.ts';
import { keyOf, wordsOfRow } from './hashes.ts';
import { COUNTERS, findNear, sketchOf, withoutBoilerplate } from './near.ts';
import type { Collector, Corpus, CorpusCheck, Placed } from './types.ts';

/** The checks for rows that say the same as another. Exact copies go first: near-duplicates leave them out. */
export const DUPLICATES: readonly CorpusCheck[] = [
  { noter: () => ({ note: (row, out) => out.hash(keyOf(row)) }), collector: exact },
  { noter: sketches, collector: near },
];

/** A line of the same file, or the file too. */
export function placeIn(other: RowSource, source: RowSource): string {
  return other.file === source.file ? `line ${other.line}` : `${other.file}:${other.line}`;
}

/** Lines of other files would be taken for lines of this one. */
export function relatedTo(other: RowSource, source: RowSource): number[] {
  return other.file === source.file ? [other.line] : [];
}

/** Heaps of hashes, of which one at a time is in memory. */
export const HEAPS = 64;

/** Puts a hash of 53 bits and what belongs to it into its heap. */
export function pushHash(table: ScratchTable, hash: number, value: number, more = 0): void {
  table.push(hash % HEAPS, Math.floor(hash / 2 ** 32), hash >>> 0, value, more);
}

/** Hashes that stand in a heap more than once, with what belongs to them, as records of `width` numbers. */
export function* repeatedHashes(table: ScratchTable, width: number): Iterable<readonly (readonly [number, number])[]> {
  for (let heap = 0; heap < HEAPS; heap++) {
    const records = table.part(heap);
    const first = new Map<number, number>();
    const groups = new Map<number, [number, number][]>();
    const at = (i: number): [number, number] => [records[i + 2]!, width > 3 ? records[i + 3]! : 0];
    for (let i = 0; i < records.length; i += width) {
      const hash = records[i]! * 2 ** 32 + records[i + 1]!;
      const before = first.get(hash);
      if (before === undefined) {
        first.set(hash, i);
        continue;
      }
      const group = groups.get(hash);
      if (group === undefined) groups.set(hash, [at(before), at(i)]);
      else group.push(at(i));
    }
    yield* groups.values();
  }
}

function exact({ scratch, copies, sourceOf }: Corpus): Collector {
  const hashes = scratch.table(3, HEAPS);
  return {
    take: (note, index) => pushHash(hashes, note.hash(), index),
    *finish() {
      const found: [number, number][] = [];
      for (const [first, ...others] of repeatedHashes(hashes, 3)) {
        for (const [index] of others) {
          copies.add(index);
          found.push([index, first![0]]);
        }
      }
      for (const [index, twin] of found.sort((a, b) => a[0] - b[0])) {
        const [source, other] = [sourceOf(index), sourceOf(twin)];
        yield {
          ...{ code: 'DATA_DUPLICATE', severity: 'warning', source, score: 1 },
          message: `is the same as ${placeIn(other, source)}.`,
          fix: 'tunesmith data fix FILE --out CLEAN',
          related: relatedTo(other, source),
        } satisfies Placed;
      }
    },
  };
}

function sketches() {
  const counts = new Uint32Array(COUNTERS);
  return {
    counts,
    note: (row, out) => {
      if (row.parts.length === 0) return out.int(0);
      out.int(1);
      out.int(row.label === undefined ? 0 : hashWord(row.label) | 1);
      out.list(sketchOf(wordsOfRow(row), counts));
    },
  } satisfies ReturnType<CorpusCheck['noter']>;
}

/** Similarity from which a near-duplicate is a warning; below, people should look. */
export const CERTAIN = 0.8;

function near({ scratch, copies, sketches: all, sourceOf }: Corpus): Collector {
  return {
    take: (note) => {
      if (note.int() === 0) all.skip();
      else all.add(note.int(), note.list());
    },
    *finish(counts) {
      const own = withoutBoilerplate(all.count(), counts);
      const look = (row: number) => {
        // Exact copies are told by another check, and would fill the buckets.
        const sketch = copies.has(row) ? undefined : all.at(row);
        return sketch && own(sketch);
      };
      for (const { row, other, similarity } of findNear(scratch, all.count(), look)) {
        const [source, twin] = [sourceOf(row), sourceOf(other)];
        const isLabelled = all.markOf(row) !== all.markOf(other);
        const percent = Math.round(100 * similarity);
        yield {
          ...{ code: 'DATA_NEAR_DUPLICATE', source, score: similarity },
          severity: similarity >= CERTAIN ? 'warning' : 'review',
          message: `says ${percent === 100 ? 'in other spelling' : `to ${percent} %`} the same as ${placeIn(twin, source)}${isLabelled ? ', and is labelled otherwise' : ''}.`,
          related: relatedTo(twin, source),
        } satisfies Placed;
      }
    },
  };
}
