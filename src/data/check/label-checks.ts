import { wordsOf } from '../similar.ts';
import { detached, relatedTo, type SourceOf, wordKey } from './corpus-checks.ts';
import { suspectLabels } from './suspect-labels.ts';
import type { Check, CheckRow, Collector, Placed } from './types.ts';

/** The checks of labels, and of answers to the same question. */
export function labelChecks(sourceOf: SourceOf): Check[] {
  return [
    { code: 'DATA_CONFLICT', severity: 'warning', needs: 'corpus', open: () => conflicts(sourceOf) },
    { code: 'DATA_LABEL_TYPO', severity: 'warning', needs: 'corpus', open: () => typos(sourceOf) },
    { code: 'DATA_LABEL_SUSPECT', severity: 'review', needs: 'corpus', open: () => suspects(sourceOf) },
    { code: 'DATA_IMBALANCE', severity: 'info', needs: 'corpus', open: imbalance },
  ];
}

/** Longest answer that counts as a label, and how many different ones there may be. */
const LABEL = { length: 40, kinds: 200 };

/** What a row is classified as: its label, or an answer that is short enough to be one. */
function labelIn({ label, answer, answers }: CheckRow): string | undefined {
  if (label !== undefined) return label;
  const text = answer.trim();
  return answers && text !== '' && text.length <= LABEL.length && !text.includes('\n') ? text : undefined;
}

interface Labelled {
  readonly index: number;
  readonly label: string;
  readonly text: string;
}

/** Collects labelled rows; empty where answers are no labels: too many kinds, or too few rows of each. */
function labelled(withTexts: boolean, most = Number.POSITIVE_INFINITY) {
  const rows: Labelled[] = [];
  let total = 0;
  let isNamed = false;
  return {
    add(row: CheckRow) {
      total++;
      if (rows.length >= most) return;
      const label = labelIn(row);
      isNamed ||= row.label !== undefined;
      if (label === undefined) return;
      rows.push({
        index: row.index,
        label: detached(label),
        text: withTexts ? detached(row.prompt.slice(0, 2000)) : '',
      });
    },
    rows(): { readonly rows: readonly Labelled[]; readonly counts: ReadonlyMap<string, number> } {
      const counts = new Map<string, number>();
      for (const { label } of rows) counts.set(label, (counts.get(label) ?? 0) + 1);
      const repeated = [...counts.values()].filter((count) => count >= 5).reduce((a, b) => a + b, 0);
      const isLabelled =
        counts.size >= 2 &&
        counts.size <= Math.max(LABEL.kinds, isNamed ? 1000 : 0) &&
        repeated >= 0.8 * rows.length &&
        (isNamed || rows.length >= Math.min(most, 0.95 * total));
      return isLabelled ? { rows, counts } : { rows: [], counts: new Map() };
    },
  };
}

/** Rows that are classified at most: those of a larger file are judged by its first ones. */
const MOST_CLASSIFIED = 200_000;

function suspects(sourceOf: SourceOf): Collector {
  const collected = labelled(true, MOST_CLASSIFIED);
  return {
    add: collected.add,
    *finish() {
      const { rows, counts } = collected.rows();
      // A label of one row cannot be learned, and nothing speaks against it.
      const names = [...counts].filter(([, count]) => count >= 5).map(([name]) => name);
      const classOf = new Map(names.map((name, i) => [name, i]));
      const known = rows.filter(({ label, text }) => classOf.has(label) && text.trim() !== '');
      if (names.length < 2 || known.length < 50) return;
      const labels = Int32Array.from(known, ({ label }) => classOf.get(label)!);
      for (const { row, likely, margin } of suspectLabels(
        known.map(({ text }) => text),
        labels,
        names.length,
      )) {
        const { index, label, text } = known[row]!;
        const message = `is labelled "${label}", where the other rows speak for "${names[likely]}".`;
        yield { source: sourceOf(index), message, quote: text.slice(0, 100).replace(/\s+/g, ' '), score: margin };
      }
    },
  };
}

function typos(sourceOf: SourceOf): Collector {
  const collected = labelled(false);
  return {
    add: collected.add,
    *finish() {
      const { rows, counts } = collected.rows();
      const meant = new Map<string, string>();
      for (const [name, count] of counts) {
        const near = [...counts].find(
          ([other, many]) =>
            many >= 5 * count && many >= 5 && count <= Math.max(3, 0.01 * rows.length) && isTypo(name, other),
        );
        if (near !== undefined) meant.set(name, near[0]);
      }
      for (const { index, label } of rows) {
        const other = meant.get(label);
        if (other === undefined) continue;
        const message = `has the label "${label}", where ${counts.get(other)} rows have "${other}".`;
        yield { source: sourceOf(index), message, fix: `write "${other}".` };
      }
    },
  };
}

const folded = (label: string) =>
  label
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[\s_.-]+/g, '');

/** Whether a rare label is a frequent one with other case, spaces or signs, or with one or two letters wrong. */
function isTypo(rare: string, frequent: string): boolean {
  const [a, b] = [folded(rare), folded(frequent)];
  if (a === b) return true;
  // Numbers differ by what they mean.
  if (/\d/.test(a) || /\d/.test(b) || Math.min(a.length, b.length) < 2 || b.length < 3) return false;
  if (/^(?:not?|un|in|non|dis)/.test(a) !== /^(?:not?|un|in|non|dis)/.test(b)) return false;
  return distanceWithin(a, b, b.length >= 8 ? 2 : 1);
}

/** Whether edits of one letter, or swaps of neighbours, turn one text into the other in at most `most` steps. */
function distanceWithin(a: string, b: string, most: number): boolean {
  if (Math.abs(a.length - b.length) > most) return false;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1);
      next.push(best);
    }
    before = row;
    row = next;
  }
  return row[b.length]! <= most;
}

interface Answered {
  readonly index: number;
  readonly answer: string;
  readonly isLabel: boolean;
}

/** Characters of an answer that are compared with another. */
const COMPARED = 400;

function conflicts(sourceOf: SourceOf): Collector {
  const asked = new Map<number, Answered[] | Answered>();
  let total = 0;
  return {
    add({ index, prompt, answer, answers, label }) {
      const said = label ?? (answers ? answer : undefined);
      if (said === undefined || prompt.trim() === '' || said.trim() === '') return;
      total++;
      const item = { index, answer: detached(said.slice(0, COMPARED)), isLabel: label !== undefined };
      const key = wordKey(prompt);
      const held = asked.get(key);
      if (held === undefined) asked.set(key, item);
      else if (Array.isArray(held)) held.push(item);
      else asked.set(key, [held, item]);
    },
    *finish() {
      // What opens many rows is an instruction, and no question.
      const most = Math.max(10, 0.02 * total);
      for (const held of asked.values())
        if (Array.isArray(held) && held.length <= most) yield* conflictsAmong(held, sourceOf);
    },
  };
}

function* conflictsAmong(rows: readonly Answered[], sourceOf: SourceOf): Iterable<Placed> {
  for (const row of rows) {
    let found: { kind: 'sure' | 'unsure'; other: Answered } | undefined;
    for (const other of rows) {
      const kind = other === row ? undefined : conflict(row, other);
      if (kind !== undefined && (found === undefined || (kind === 'sure' && found.kind === 'unsure')))
        found = { kind, other };
    }
    if (found === undefined) continue;
    const [source, other] = [sourceOf(row.index), sourceOf(found.other.index)];
    const related = rows.flatMap((r) => (r === row ? [] : relatedTo(sourceOf(r.index), source)));
    const where = other.file === source.file ? `line ${other.line}` : `${other.file}:${other.line}`;
    const brief = (text: string) => (text.length > 40 ? `${text.slice(0, 40)}…` : text).replace(/\s+/g, ' ');
    yield {
      source,
      message: `asks what ${where} asks, and answers "${brief(row.answer)}" where that has "${brief(found.other.answer)}".`,
      related,
      severity: found.kind === 'sure' ? undefined : 'review',
    };
  }
}

/** Whether two answers to one question conflict: surely where a label, a short answer, a number or a negation differs. */
function conflict(a: Answered, b: Answered): 'sure' | 'unsure' | undefined {
  const [first, second] = [wordsIn(a.answer), wordsIn(b.answer)];
  if (first.join(' ') === second.join(' ')) return undefined;
  if (a.isLabel || b.isLabel) return 'sure';
  const verdict = /^(?:yes|no|true|false|correct|incorrect)$/;
  const [start, other] = [first[0] ?? '', second[0] ?? ''];
  if (verdict.test(start) && verdict.test(other) && start !== other) return 'sure';
  if (Math.max(first.length, second.length) <= 4) return isPart(first, second) ? 'unsure' : 'sure';
  const shared = overlap(first, second);
  if (shared > 0.6) {
    if (shared < 0.75 || Math.max(a.answer.length, b.answer.length) >= COMPARED) return undefined;
    const numbers = (words: readonly string[]) =>
      words
        .filter((w) => /^\p{N}+$/u.test(w))
        .sort()
        .join(' ');
    const negations = (words: readonly string[]) =>
      words.filter((w) => /^(?:not|no|never|cannot|can't|don|t|n't)$/.test(w)).length;
    if (numbers(first) !== numbers(second) || negations(first) % 2 !== negations(second) % 2) return 'sure';
    return undefined;
  }
  return shared < 0.25 ? 'unsure' : undefined;
}

const wordsIn = (text: string) => wordsOf(text).filter((word) => /[\p{L}\p{N}]/u.test(word));

function isPart(a: readonly string[], b: readonly string[]): boolean {
  return a.every((word) => b.includes(word)) || b.every((word) => a.includes(word));
}

function overlap(a: readonly string[], b: readonly string[]): number {
  const [first, second] = [new Set(a), new Set(b)];
  const same = [...first].filter((word) => second.has(word)).length;
  return same / Math.max(1, first.size + second.size - same);
}

/** Times that the most frequent label outnumbers the rarest, and its share, from which it is told. */
const IMBALANCE = { ratio: 20, share: 0.9 };

function imbalance(): Collector {
  const collected = labelled(false);
  return {
    add: collected.add,
    *finish() {
      const { rows, counts } = collected.rows();
      const sorted = [...counts].sort((a, b) => b[1] - a[1]);
      const [first, last] = [sorted[0], sorted.at(-1)];
      if (first === undefined || last === undefined) return;
      const [ratio, share] = [first[1] / last[1], first[1] / rows.length];
      if (ratio < IMBALANCE.ratio && share < IMBALANCE.share) return;
      const message = `${first[1]} rows (${Math.round(100 * share)} %) are labelled "${first[0]}" and ${last[1]} "${last[0]}".`;
      yield { source: undefined, message, score: share };
    },
  };
}
