import { mix, wordsOf } from '../similar.ts';
import type { CheckRow } from './types.ts';

/** A hash of 53 bits: among a million texts two share one with a chance of some 1 in 20,000. */
export function longHash(text: string): number {
  let [a, b] = [0x811c9dc5, 0x9747b28c];
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x5bd1e995) ^ (b >>> 15);
  }
  return (mix(a) >>> 0) * 2 ** 21 + (mix(b ^ text.length) >>> 11);
}

/** Remembers what was made of the row at hand, since several checks ask for it. */
function ofRow<T>(make: (row: CheckRow) => T): (row: CheckRow) => T {
  let last: { readonly row: CheckRow; readonly value: T } | undefined;
  return (row) => {
    if (last?.row !== row) last = { row, value: make(row) };
    return last.value;
  };
}

/** What tells a row from those that are no copies of it. */
export const keyOf = ofRow((row) => longHash(row.key));

/** The words of all text of a row but its system prompts and labels. */
export const wordsOfRow = ofRow((row) => wordsOf(comparedText(row)));

/** What a row asks, by its words: case, spaces and signs do not matter. */
export const promptKeyOf = ofRow((row) => wordKey(row.prompt));

/** Text by which two rows are compared: case, spaces and signs do not matter. */
export function wordKey(text: string): number {
  return longHash(saidWords(wordsOf(text)).join(' '));
}

/** Words that are no signs. */
export function saidWords(words: readonly string[]): string[] {
  return words.filter((word) => /[a-z0-9]/.test(word) || /[\p{L}\p{N}]/u.test(word));
}

/** All text of a row but its system prompts and labels, for comparison. */
function comparedText({ parts }: CheckRow): string {
  const own = parts.filter((part) => part.role !== 'system');
  return own.length === 1 ? own[0]!.text : own.map((part) => part.text).join('\n');
}
