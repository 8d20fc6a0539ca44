import { hashWord, mix } from '../similar.ts';
import { CERTAIN } from './duplicate-checks.ts';
import { keyOf, promptKeyOf, saidWords, wordKey, wordsOfRow } from './hashes.ts';
import { COUNTERS, openNearFew, sketchOf, withoutBoilerplate } from './near.ts';
import { openBits } from './notes.ts';
import type { CheckRow, Collector, Corpus, CorpusCheck, Noter, Placed } from './types.ts';

/** Words in a row that two rows must share to be told: as long as in the contamination study of GPT-3 (arXiv 2005.14165). */
const GRAM = 13;

/** The checks of rows against those that are held out to test with; they come after near-duplicates. */
export const LEAKS: readonly CorpusCheck[] = [
  { noter: () => ({ note: noteAsked }), collector: exact },
  { noter: noteExact, collector: near },
  { noter: noteGrams, collector: grams },
];

const placeOf = ({ source }: CheckRow) => `${source.file}:${source.line}`;

/** What a row asks, or says where it asks nothing. */
const asked = (row: CheckRow) => (row.prompt.trim() === '' ? row.answer : row.prompt);
const askedKey = (row: CheckRow) => (row.prompt.trim() === '' ? wordKey(row.answer) : promptKeyOf(row));

const noteAsked: Noter['note'] = (row, out) => {
  out.hash(keyOf(row));
  out.hash(askedKey(row));
};

function exact({ sourceOf, heldOut }: Corpus): Collector {
  const rows = new Map(heldOut.map((row) => [keyOf(row), row]));
  const questions = new Map<number, CheckRow>();
  const counts = new Map<number, number>();
  for (const row of heldOut) {
    if (asked(row).trim().length < 8) continue;
    const key = askedKey(row);
    questions.set(key, row);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  // A question that many test rows share is an instruction.
  const most = Math.max(5, 0.02 * heldOut.length);
  const found: Placed[] = [];
  const tell = (index: number, message: string, score: number) => {
    found.push({ code: 'DATA_LEAK', severity: 'error', source: sourceOf(index), message, score });
  };
  return {
    take: (note, index) => {
      const [key, question] = [note.hash(), note.hash()];
      const twin = rows.get(key);
      if (twin !== undefined) return tell(index, `is the row ${placeOf(twin)}, which is held out.`, 1);
      const same = questions.get(question);
      if (same === undefined || counts.get(question)! > most) return;
      tell(index, `asks the same as ${placeOf(same)}, which is held out.`, 0.9);
    },
    finish: () => found,
  };
}

/** Rows that are held out themselves are told by another check. */
function noteExact(heldOut: readonly CheckRow[]): Noter {
  const keys = new Set(heldOut.map(keyOf));
  return { note: (row, out) => out.int(keys.has(keyOf(row)) ? 1 : 0) };
}

function near({ sourceOf, heldOut, sketches }: Corpus): Collector {
  const known = openBits();
  return {
    take: (note, index) => {
      if (note.int() === 1) known.add(index);
    },
    *finish() {
      // Boilerplate of the training rows and of these is one.
      const counts = new Uint32Array(COUNTERS);
      const held = heldOut.map((row) => sketchOf(wordsOfRow(row), counts));
      for (let row = 0; row < sketches.count(); row++) {
        for (const hash of sketches.at(row) ?? []) counts[hash & (COUNTERS - 1)]!++;
      }
      const own = withoutBoilerplate(sketches.count() + held.length, counts);
      const nearest = openNearFew(held.map(own));
      for (let row = 0; row < sketches.count(); row++) {
        const sketch = known.has(row) ? undefined : sketches.at(row);
        const found = sketch && nearest(own(sketch));
        if (found === undefined) continue;
        const { other, similarity } = found;
        const message = `says to ${Math.round(100 * similarity)} % the same as ${placeOf(heldOut[other]!)}, which is held out.`;
        const severity = similarity >= CERTAIN ? 'warning' : 'review';
        yield { code: 'DATA_LEAK_NEAR', severity, source: sourceOf(row), message, score: similarity } satisfies Placed;
      }
    },
  };
}

/** The first test row that holds a passage; passages of several are how such rows are worded. */
function passages(heldOut: readonly CheckRow[]): Map<number, number> {
  const first = new Map<number, number>();
  const shared = new Set<number>();
  for (const [i, row] of heldOut.entries()) {
    for (const hash of gramsOf(row)) {
      const held = first.get(hash);
      if (held === undefined) first.set(hash, i);
      else if (held !== i) shared.add(hash);
    }
  }
  for (const hash of shared) first.delete(hash);
  return first;
}

function noteGrams(heldOut: readonly CheckRow[]): Noter {
  const first = passages(heldOut);
  return {
    note: (row, out) => {
      const hashes = [...new Set(gramsOf(row))].filter((hash) => first.has(hash));
      out.int(hashes.length);
      for (const hash of hashes) out.hash(hash);
    },
  };
}

function grams({ sourceOf, heldOut }: Corpus): Collector {
  const first = passages(heldOut);
  const times = new Map<number, number>();
  const candidates: { index: number; hashes: number[] }[] = [];
  let rows = 0;
  return {
    take: (note, index) => {
      rows++;
      const hashes = Array.from({ length: note.int() }, () => note.hash());
      if (hashes.length === 0) return;
      candidates.push({ index, hashes });
      for (const hash of hashes) times.set(hash, (times.get(hash) ?? 0) + 1);
    },
    *finish() {
      // What many training rows say is how such rows are worded, and not taken from the one that is held out.
      const most = Math.max(3, 0.001 * rows);
      for (const { index, hashes } of candidates) {
        const counts = new Map<number, number>();
        for (const hash of hashes) {
          const held = times.get(hash)! > most ? undefined : first.get(hash);
          if (held !== undefined) counts.set(held, (counts.get(held) ?? 0) + 1);
        }
        const [best] = [...counts].sort((a, b) => b[1] - a[1]);
        if (best === undefined) continue;
        const words = best[1] + GRAM - 1;
        const message = `shares ${words} words in a row with ${placeOf(heldOut[best[0]]!)}, which is held out.`;
        const score = 1 - 1 / words;
        yield { code: 'DATA_LEAK_WORDS', severity: 'review', source: sourceOf(index), message, score } satisfies Placed;
      }
    },
  };
}

function* gramsOf(row: CheckRow): Iterable<number> {
  const words = saidWords(wordsOfRow(row)).map(hashWord);
  for (let i = 0; i + GRAM <= words.length; i++) {
    let [a, b] = [0, 0];
    for (let k = i; k < i + GRAM; k++) {
      a = mix(Math.imul(a, 31) + words[k]!);
      b = Math.imul(b ^ words[k]!, 0x01000193);
    }
    yield (a >>> 0) * 2 ** 21 + (mix(b) >>> 11);
  }
}
