import { percentile } from '../../math/stats.ts';
import type { RowSource } from '../row.ts';
import { mix, wordsOf } from '../similar.ts';
import { certainlyCut, cutScores, type Ending, endingOf } from './cut-off.ts';
import { answerLanguage, languageOf } from './language.ts';
import { createNearIndex } from './near.ts';
import type { Check, CheckRow, Collector, Placed } from './types.ts';
import { GROUPS, isPlaceholder, NEGATIVE, refusal } from './wording.ts';

/** Where the row of a number stands. */
export type SourceOf = (index: number) => RowSource;

/** A copy that does not keep the text alive which it was cut from. */
export function detached(text: string): string {
  return Buffer.from(text, 'utf8').toString('utf8');
}

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

/** Text by which two rows are compared: case, spaces and signs do not matter. */
export function wordKey(text: string): number {
  return longHash(
    wordsOf(text)
      .filter((word) => /[\p{L}\p{N}]/u.test(word))
      .join(' '),
  );
}

/** The checks that look at all rows together. */
export function corpusChecks(sourceOf: SourceOf): Check[] {
  const check = (code: Check['code'], severity: Check['severity'], open: () => Collector): Check => ({
    code,
    severity,
    needs: 'corpus',
    open,
  });
  return [
    check('DATA_DUPLICATE', 'warning', () => duplicates(sourceOf)),
    check('DATA_NEAR_DUPLICATE', 'warning', () => nearDuplicates(sourceOf)),
    check('DATA_CUT_OFF', 'review', () => cutOff(sourceOf)),
    check('DATA_PLACEHOLDER', 'warning', () => placeholders(sourceOf)),
    check('DATA_LANGUAGE', 'review', () => otherLanguages(sourceOf)),
    check('DATA_LENGTH', 'review', () => lengths(sourceOf)),
    check('DATA_REPEATED_ANSWER', 'info', () => repeatedAnswers()),
    check('DATA_SKEW', 'review', skew),
  ];
}

function duplicates(sourceOf: SourceOf): Collector {
  const first = new Map<number, number>();
  const copies: [number, number][] = [];
  return {
    add({ key, index }) {
      const hash = longHash(key);
      const twin = first.get(hash);
      if (twin === undefined) first.set(hash, index);
      else copies.push([index, twin]);
    },
    *finish() {
      for (const [index, twin] of copies) {
        const other = sourceOf(twin);
        const source = sourceOf(index);
        yield {
          source,
          message: `is the same as ${placeIn(other, source)}.`,
          fix: 'tunesmith data fix FILE --out CLEAN',
          related: relatedTo(other, source),
          score: 1,
        };
      }
    },
  };
}

/** A line of the same file, or the file too. */
export function placeIn(other: RowSource, source: RowSource): string {
  return other.file === source.file ? `line ${other.line}` : `${other.file}:${other.line}`;
}

/** Lines of other files would be taken for lines of this one. */
export function relatedTo(other: RowSource, source: RowSource): number[] {
  return other.file === source.file ? [other.line] : [];
}

/** All text of a row but its system prompts and labels, for comparison. */
export function comparedText({ parts }: CheckRow): string {
  const own = parts.filter((part) => part.role !== 'system');
  return own.length === 1 ? own[0]!.text : own.map((part) => part.text).join('\n');
}

/** Similarity from which a near-duplicate is a warning; below, people should look. */
const CERTAIN = 0.8;

function nearDuplicates(sourceOf: SourceOf): Collector {
  const index = createNearIndex();
  const rows: number[] = [];
  const seen = new Set<number>();
  const labels: (string | undefined)[] = [];
  return {
    add(row) {
      // Exact copies are told by another check, and would fill the buckets.
      const hash = longHash(row.key);
      if (seen.has(hash) || row.parts.length === 0) return;
      seen.add(hash);
      index.add(comparedText(row));
      rows.push(row.index);
      labels.push(row.label);
    },
    *finish() {
      for (const { row, other, similarity } of index.pairs()) {
        const [source, twin] = [sourceOf(rows[row]!), sourceOf(rows[other]!)];
        const isLabelled = labels[row] !== labels[other];
        const percent = Math.round(100 * similarity);
        yield {
          source,
          message: `says ${percent === 100 ? 'in other spelling' : `to ${percent} %`} the same as ${placeIn(twin, source)}${isLabelled ? ', and is labelled otherwise' : ''}.`,
          related: relatedTo(twin, source),
          severity: similarity >= CERTAIN ? undefined : 'review',
          score: similarity,
        };
      }
    },
  };
}

/** Probability from which an answer is taken for cut off. */
const CUT = 0.9;

function cutOff(sourceOf: SourceOf): Collector {
  const endings: Ending[] = [];
  const rows: number[] = [];
  return {
    add({ index, answer, answers }) {
      const ending = answers ? endingOf(answer, index) : undefined;
      if (ending === undefined) return;
      const { tail, cut } = ending;
      endings.push({ ...ending, tail: detached(tail), cut: cut && detached(cut) });
      rows.push(index);
    },
    *finish() {
      const scores = cutScores(endings);
      const found: (Placed & { score: number })[] = [];
      for (const [i, ending] of endings.entries()) {
        const why = certainlyCut(ending);
        const score = why === undefined ? scores[i]! : Math.max(0.95, scores[i]!);
        if (score < CUT) continue;
        const message = `has an answer that ${why ?? 'ends where answers of this file go on'}.`;
        found.push({
          source: sourceOf(rows[i]!),
          message,
          quote: `…${ending.tail.slice(-60).replace(/\s+/g, ' ')}`,
          score,
        });
      }
      yield* found.sort((a, b) => b.score - a.score);
    },
  };
}

function placeholders(sourceOf: SourceOf): Collector {
  const rows: { index: number; text: string }[] = [];
  let count = 0;
  return {
    add({ index, answer, answers }) {
      if (!answers) return;
      count++;
      const text = answer.trim();
      if (text !== '' && isPlaceholder(text)) rows.push({ index, text: detached(text.slice(0, 60)) });
    },
    *finish() {
      // Where many rows answer "none", it is an answer.
      const counts = new Map<string, number>();
      for (const { text } of rows) counts.set(text.toLowerCase(), (counts.get(text.toLowerCase()) ?? 0) + 1);
      for (const { index, text } of rows) {
        const isCommon =
          /^(?:none|nil|n\/?a|null|test|error|-+|\?+)\W*$/i.test(text) &&
          counts.get(text.toLowerCase())! > Math.max(3, 0.03 * count);
        if (!isCommon) yield { source: sourceOf(index), message: 'has a placeholder for an answer.', quote: text };
      }
    },
  };
}

/** Share of rows in one language from which the others stand out, and rows that must be told for it. */
const DOMINANT = { share: 0.9, rows: 30 };

function otherLanguages(sourceOf: SourceOf): Collector {
  const counts = new Map<string, number>();
  const rows = new Map<string, number[]>();
  return {
    add(row) {
      const isAnswer = row.answers || row.prompt === '';
      const language = isAnswer ? answerLanguage(row) : languageOf(row.prompt);
      if (language === undefined) return;
      const count = (counts.get(language) ?? 0) + 1;
      counts.set(language, count);
      const list = rows.get(language) ?? [];
      if (count === 1) rows.set(language, list);
      list.push(row.index);
    },
    *finish() {
      const total = [...counts.values()].reduce((a, b) => a + b, 0);
      const [main] = [...counts].sort((a, b) => b[1] - a[1]);
      if (main === undefined || total < DOMINANT.rows || main[1] < DOMINANT.share * total) return;
      for (const [language, list] of rows) {
        if (language === main[0]) continue;
        const message = `is in ${language}, where ${Math.floor((100 * main[1]) / total)} % of the rows are in ${main[0]}.`;
        for (const index of list) yield { source: sourceOf(index), message };
      }
    },
  };
}

function lengths(sourceOf: SourceOf): Collector {
  const kinds = { question: [] as number[], answer: [] as number[] };
  return {
    add({ index, prompt, answer }) {
      if (prompt !== '') kinds.question.push(index, prompt.length);
      if (answer.trim() !== '') kinds.answer.push(index, answer.length);
    },
    *finish() {
      for (const [what, all] of Object.entries(kinds)) {
        const logs = all.filter((_, i) => i % 2 === 1).map((length) => Math.log(length));
        if (logs.length < 50) continue;
        const middle = percentile(logs, 50)!;
        const spread = Math.max(
          0.15,
          1.4826 *
            percentile(
              logs.map((x) => Math.abs(x - middle)),
              50,
            )!,
        );
        for (const [i, log] of logs.entries()) {
          const score = Math.abs(log - middle) / spread;
          if (score < 6) continue;
          const length = all[2 * i + 1]!;
          const message = `has a ${log > middle ? 'long' : 'short'} ${what}: ${length} characters, where half of the rows have ${log > middle ? 'fewer' : 'more'} than ${Math.round(Math.exp(middle))}.`;
          yield { source: sourceOf(all[2 * i]!), message, score: 1 - 1 / score };
        }
      }
    },
  };
}

function repeatedAnswers(): Collector {
  const counts = new Map<number, { count: number; text: string }>();
  let total = 0;
  return {
    add({ answer, answers }) {
      if (!answers || answer.length < 40) return;
      total++;
      const hash = longHash(answer);
      const held = counts.get(hash);
      if (held === undefined) counts.set(hash, { count: 1, text: detached(answer.slice(0, 80)) });
      else held.count++;
    },
    *finish() {
      for (const { count, text } of counts.values()) {
        if (count < 20 || count < 0.05 * total) continue;
        const message = `${count} of ${total} longer answers are the same.`;
        yield { source: undefined, message, quote: text, score: count / total };
      }
    },
  };
}

/** Rows that a group must have, and how much its share must differ, before it is told. */
const SKEW = { rows: 30, difference: 0.2, deviations: 4 };

function skew(): Collector {
  const names = Object.keys(GROUPS);
  const counts = names.map(() => ({ rows: 0, negative: 0 }));
  return {
    add({ prompt, answer, answers, label }) {
      if (!answers && label === undefined) return;
      const text = prompt.slice(0, 400);
      let isNegative: boolean | undefined;
      for (const [i, name] of names.entries()) {
        if (!GROUPS[name]!.test(text)) continue;
        const said = answers ? answer.slice(0, 400) : (label ?? '');
        isNegative ??= NEGATIVE.test(said) || refusal(said) !== undefined;
        counts[i]!.rows++;
        if (isNegative) counts[i]!.negative++;
      }
    },
    *finish() {
      const all = counts.reduce((sum, c) => ({ rows: sum.rows + c.rows, negative: sum.negative + c.negative }), {
        rows: 0,
        negative: 0,
      });
      for (const [i, { rows, negative }] of counts.entries()) {
        const others = all.rows - rows;
        if (rows < SKEW.rows || others < SKEW.rows) continue;
        const [own, rest] = [negative / rows, (all.negative - negative) / others];
        const p = all.negative / all.rows;
        const deviation = Math.sqrt(p * (1 - p) * (1 / rows + 1 / others));
        if (own - rest < SKEW.difference || own - rest < SKEW.deviations * deviation) continue;
        const message = `${Math.round(100 * own)} % of the answers about ${names[i]} are negative or refuse, against ${Math.round(100 * rest)} % about other groups of people.`;
        yield { source: undefined, message, score: own - rest };
      }
    },
  };
}
