import type { ScratchTable } from '../../io/scratch.ts';
import { wordsOf } from '../similar.ts';
import { HEAPS, placeIn, pushHash, relatedTo, repeatedHashes } from './duplicate-checks.ts';
import { promptKeyOf, saidWords } from './hashes.ts';
import { suspectLabels } from './suspect-labels.ts';
import {
  type CheckRow,
  type Collector,
  type Corpus,
  type CorpusCheck,
  type Noter,
  type Placed,
  quoteStart,
} from './types.ts';

/** The checks of labels, and of answers to the same question. */
export const LABELS: readonly CorpusCheck[] = [
  { noter: () => ({ note: noteAnswered }), collector: conflicts },
  { noter: () => ({ note: noteLabel }), collector: labels },
];

/** Longest answer that counts as a label, and how many different ones there may be. */
const LABEL = { length: 40, kinds: 200, named: 1000 };

/** What a row is classified as: its label, or an answer that is short enough to be one. */
function labelIn({ label, answer, answers }: CheckRow): string | undefined {
  if (label !== undefined) return label;
  const text = answer.trim();
  return answers && text !== '' && text.length <= LABEL.length && !text.includes('\n') ? text : undefined;
}

const noteLabel: Noter['note'] = (row, out) => {
  const label = labelIn(row);
  out.int(label === undefined ? 0 : row.label === undefined ? 1 : 2);
  if (label === undefined) return;
  out.text(label);
  out.text(row.prompt.slice(0, 2000));
};

/** Rows that are classified at most, and the characters of their texts: those of a larger file are judged by its first ones. */
const CLASSIFIED = { rows: 200_000, characters: 32 * 2 ** 20, cells: 25_000_000 };

interface Labelled {
  readonly index: number;
  readonly label: number;
  readonly text: string;
}

function labels({ scratch, sourceOf }: Corpus): Collector {
  const numbers = new Map<string, number>();
  const counts: number[] = [];
  const rows = scratch.table(2);
  const first: Labelled[] = [];
  let [total, labelled, characters] = [0, 0, 0];
  let [isNamed, isOpen] = [false, true];
  const take: Collector['take'] = (note, index) => {
    total++;
    const kind = note.int();
    if (kind === 0) return;
    const [label, text] = [note.text(), note.text()];
    isNamed ||= kind === 2;
    // So many different ones are no labels.
    if (numbers.size > LABEL.named) isOpen = false;
    if (!isOpen) {
      first.length = 0;
      return;
    }
    const number = numbers.get(label) ?? numbers.size;
    numbers.set(label, number);
    counts[number] = (counts[number] ?? 0) + 1;
    labelled++;
    rows.push(0, index, number);
    if (first.length >= CLASSIFIED.rows || characters > CLASSIFIED.characters) return;
    characters += text.length;
    first.push({ index, label: number, text });
  };
  return {
    take,
    *finish() {
      const names = [...numbers.keys()];
      const repeated = counts.filter((count) => count >= 5).reduce((a, b) => a + b, 0);
      const most = Math.max(LABEL.kinds, isNamed ? LABEL.named : 0);
      if (!isOpen || counts.length < 2 || counts.length > most || repeated < 0.8 * labelled) return;
      // Where answers are labels, nearly all of them are.
      if (!isNamed && labelled < 0.95 * total) return;
      yield* typos({ names, counts, rows: labelled }, rows, sourceOf);
      yield* suspects(first, names, sourceOf);
      yield* imbalance({ names, counts, rows: labelled });
    },
  };
}

interface Counted {
  readonly names: readonly string[];
  /** Rows of each label. */
  readonly counts: readonly number[];
  readonly rows: number;
}

function* suspects(
  first: readonly Labelled[],
  names: readonly string[],
  sourceOf: Corpus['sourceOf'],
): Iterable<Placed> {
  const counts = new Uint32Array(names.length);
  for (const { label } of first) counts[label]!++;
  // A label of one row cannot be learned, and nothing speaks against it.
  const classes = [...counts.keys()].filter((label) => counts[label]! >= 5);
  const classOf = new Map(classes.map((label, i) => [label, i]));
  const most = Math.floor(CLASSIFIED.cells / Math.max(1, classes.length));
  const known = first.filter(({ label, text }) => classOf.has(label) && text.trim() !== '').slice(0, most);
  if (classes.length < 2 || known.length < 50) return;
  const own = Int32Array.from(known, ({ label }) => classOf.get(label)!);
  const texts = known.map(({ text }) => text);
  for (const { row, likely, margin } of suspectLabels(texts, own, classes.length)) {
    const { index, label, text } = known[row]!;
    const message = `is labelled "${names[label]}", where the other rows speak for "${names[classes[likely]!]}".`;
    const quote = quoteStart(text);
    yield {
      ...{ code: 'DATA_LABEL_SUSPECT', severity: 'review', source: sourceOf(index) },
      ...{ message, quote, score: margin },
    };
  }
}

function* typos({ names, counts, rows }: Counted, table: ScratchTable, sourceOf: Corpus['sourceOf']): Iterable<Placed> {
  const meant = new Map<number, number>();
  for (const [rare, count] of counts.entries()) {
    if (count > Math.max(3, 0.01 * rows)) continue;
    const frequent = counts.findIndex(
      (many, other) => many >= 5 * count && many >= 5 && isTypo(names[rare]!, names[other]!),
    );
    if (frequent >= 0) meant.set(rare, frequent);
  }
  if (meant.size === 0) return;
  for (const records of table.pieces(0)) {
    for (let i = 0; i < records.length; i += 2) {
      const [label, other] = [records[i + 1]!, meant.get(records[i + 1]!)];
      if (other === undefined) continue;
      const message = `has the label "${names[label]}", where ${counts[other]} rows have "${names[other]}".`;
      const source = sourceOf(records[i]!);
      yield { code: 'DATA_LABEL_TYPO', severity: 'warning', source, message, fix: `write "${names[other]}".` };
    }
  }
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

const noteAnswered: Noter['note'] = (row, out) => {
  const { prompt, answer, answers, label } = row;
  const said = label ?? (answers ? answer : undefined);
  if (said === undefined || prompt.trim() === '' || said.trim() === '') return out.int(0);
  out.int(label === undefined ? 1 : 2);
  out.hash(promptKeyOf(row));
  out.text(said.slice(0, COMPARED));
};

function conflicts({ scratch, sourceOf }: Corpus): Collector {
  const asked = scratch.table(4, HEAPS);
  const answers = scratch.lists();
  let total = 0;
  return {
    take: (note, index) => {
      const kind = note.int();
      if (kind === 0) return;
      total++;
      pushHash(asked, note.hash(), index, answers.addText(`${kind === 2 ? 'l' : 'a'}${note.text()}`));
    },
    *finish() {
      // What opens many rows is an instruction, and no question.
      const most = Math.max(10, 0.02 * total);
      const found: Placed[] = [];
      for (const held of repeatedHashes(asked, 4)) {
        if (held.length > most) continue;
        const rows = held.map(([index, place]): Answered => {
          const text = answers.textAt(place);
          return { index, answer: text.slice(1), isLabel: text[0] === 'l' };
        });
        if (rows.some(({ answer }) => answer !== rows[0]!.answer)) found.push(...conflictsAmong(rows, sourceOf));
      }
      yield* found.sort(byPlace);
    },
  };
}

/** Heaps come in the order of their hashes. */
function byPlace({ source: a }: Placed, { source: b }: Placed): number {
  return a?.file === b?.file ? (a?.line ?? 0) - (b?.line ?? 0) : 0;
}

function* conflictsAmong(rows: readonly Answered[], sourceOf: Corpus['sourceOf']): Iterable<Placed> {
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
    const brief = (text: string) => (text.length > 40 ? `${text.slice(0, 40)}…` : text).replace(/\s+/g, ' ');
    yield {
      ...{ code: 'DATA_CONFLICT', source },
      message: `asks what ${placeIn(other, source)} asks, and answers "${brief(row.answer)}" where that has "${brief(found.other.answer)}".`,
      related,
      severity: found.kind === 'sure' ? 'warning' : 'review',
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

const wordsIn = (text: string) => saidWords(wordsOf(text));

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

function* imbalance({ names, counts, rows }: Counted): Iterable<Placed> {
  const sorted = counts.map((count, i) => [names[i]!, count] as const).sort((a, b) => b[1] - a[1]);
  const [first, last] = [sorted[0], sorted.at(-1)];
  if (first === undefined || last === undefined) return;
  const [ratio, share] = [first[1] / last[1], first[1] / rows];
  if (ratio < IMBALANCE.ratio && share < IMBALANCE.share) return;
  const message = `${first[1]} rows (${Math.round(100 * share)} %) are labelled "${first[0]}" and ${last[1]} "${last[0]}".`;
  yield { code: 'DATA_IMBALANCE', severity: 'info', source: undefined, message, score: share };
}
