import { hashWord, mix, wordsOf } from '../similar.ts';
import { comparedText, longHash, type SourceOf, wordKey } from './corpus-checks.ts';
import { createNearIndex } from './near.ts';
import type { Check, CheckRow, Collector, Placed } from './types.ts';

/** Words in a row that two rows must share to be told: as long as in the contamination study of GPT-3 (arXiv 2005.14165). */
const GRAM = 13;

/** The checks of rows against those that are held out to test with. */
export function leakChecks(sourceOf: SourceOf, heldOut: readonly CheckRow[]): Check[] {
  return [
    { code: 'DATA_LEAK', severity: 'error', needs: 'corpus', open: () => exact(sourceOf, heldOut) },
    { code: 'DATA_LEAK_NEAR', severity: 'warning', needs: 'corpus', open: () => near(sourceOf, heldOut) },
    { code: 'DATA_LEAK_WORDS', severity: 'review', needs: 'corpus', open: () => grams(sourceOf, heldOut) },
  ];
}

const placeOf = ({ source }: CheckRow) => `${source.file}:${source.line}`;

/** What a row asks, or says where it asks nothing. */
const asked = (row: CheckRow) => (row.prompt.trim() === '' ? row.answer : row.prompt);

function exact(sourceOf: SourceOf, heldOut: readonly CheckRow[]): Collector {
  const rows = new Map(heldOut.map((row) => [longHash(row.key), row]));
  const questions = new Map<number, CheckRow>();
  const counts = new Map<number, number>();
  for (const row of heldOut) {
    const text = asked(row);
    if (text.trim().length < 8) continue;
    const key = wordKey(text);
    questions.set(key, row);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  // A question that many test rows share is an instruction.
  const most = Math.max(5, 0.02 * heldOut.length);
  const found: Placed[] = [];
  return {
    add(row) {
      const twin = rows.get(longHash(row.key));
      if (twin !== undefined) {
        found.push({
          source: sourceOf(row.index),
          message: `is the row ${placeOf(twin)}, which is held out.`,
          score: 1,
        });
        return;
      }
      const key = wordKey(asked(row));
      const same = questions.get(key);
      if (same === undefined || counts.get(key)! > most) return;
      found.push({
        source: sourceOf(row.index),
        message: `asks the same as ${placeOf(same)}, which is held out.`,
        score: 0.9,
      });
    },
    finish: () => found,
  };
}

function near(sourceOf: SourceOf, heldOut: readonly CheckRow[]): Collector {
  const index = createNearIndex();
  const exactKeys = new Set(heldOut.map((row) => longHash(row.key)));
  for (const row of heldOut) index.add(comparedText(row));
  const rows: number[] = [];
  return {
    add(row) {
      if (row.parts.length === 0 || exactKeys.has(longHash(row.key))) return;
      index.add(comparedText(row));
      rows.push(row.index);
    },
    *finish() {
      const count = heldOut.length;
      for (const { row, other, similarity } of index.pairs((i, j) => i >= count && j < count)) {
        const message = `says to ${Math.round(100 * similarity)} % the same as ${placeOf(heldOut[other]!)}, which is held out.`;
        const severity = similarity >= 0.8 ? undefined : ('review' as const);
        yield { source: sourceOf(rows[row - count]!), message, severity, score: similarity };
      }
    },
  };
}

function grams(sourceOf: SourceOf, heldOut: readonly CheckRow[]): Collector {
  const first = new Map<number, number>();
  const shared = new Set<number>();
  for (const [i, row] of heldOut.entries()) {
    for (const hash of gramsOf(comparedText(row))) {
      const held = first.get(hash);
      if (held === undefined) first.set(hash, i);
      // What several test rows share is how such rows are worded.
      else if (held !== i) shared.add(hash);
    }
  }
  const times = new Map<number, number>();
  const candidates: { index: number; hashes: number[] }[] = [];
  let rows = 0;
  return {
    add(row) {
      rows++;
      const hashes = [...new Set(gramsOf(comparedText(row)))].filter((hash) => first.has(hash) && !shared.has(hash));
      if (hashes.length === 0) return;
      candidates.push({ index: row.index, hashes });
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
        yield { source: sourceOf(index), message, score: 1 - 1 / words };
      }
    },
  };
}

function* gramsOf(text: string): Iterable<number> {
  const words = wordsOf(text)
    .filter((word) => /[\p{L}\p{N}]/u.test(word))
    .map(hashWord);
  for (let i = 0; i + GRAM <= words.length; i++) {
    let [a, b] = [0, 0];
    for (let k = i; k < i + GRAM; k++) {
      a = mix(Math.imul(a, 31) + words[k]!);
      b = Math.imul(b ^ words[k]!, 0x01000193);
    }
    yield (a >>> 0) * 2 ** 21 + (mix(b) >>> 11);
  }
}
