import {
  certainlyCut,
  countWords,
  type Ending,
  endingOf,
  learnEndings,
  MOST_LEARNED,
  mayBeCut,
  WORDS,
} from './cut-off.ts';
import { longHash } from './hashes.ts';
import { answerLanguage, LANGUAGE_CODES, languageOf } from './language.ts';
import type { Collector, Corpus, CorpusCheck, Noter, Placed } from './types.ts';
import { GROUPS, isPlaceholder, mentionsPeople, NEGATIVE, refusal } from './wording.ts';

/** The checks of answers, languages, lengths and wording over all rows together. */
export const CORPUS: readonly CorpusCheck[] = [
  { noter: noteEndings, collector: cutOff },
  { noter: () => ({ note: notePlaceholder }), collector: placeholders },
  { noter: () => ({ note: noteLanguage }), collector: otherLanguages },
  {
    noter: () => ({
      note: ({ prompt, answer }, out) => {
        out.int(prompt.length);
        out.int(answer.trim() === '' ? 0 : answer.length);
      },
    }),
    collector: lengths,
  },
  { noter: noteAnswers, collector: repeatedAnswers },
  { noter: () => ({ note: notePeople }), collector: skew },
];

type Note = Noter['note'];

/** Probability from which an answer is taken for cut off. */
const CUT = 0.9;

function noteEndings(): Noter {
  const counts = new Uint32Array(WORDS);
  let learned = 0;
  return {
    counts,
    note: ({ source, answer, answers }, out) => {
      const ending = answers ? endingOf(answer, source.line) : undefined;
      if (ending === undefined) return out.int(0);
      countWords(ending, counts);
      // The first ones teach what ends look like; of the others only those are judged that may be cut.
      const teaches = ending.cut !== undefined && learned < MOST_LEARNED;
      if (teaches) learned++;
      if (!teaches && !mayBeCut(ending)) return out.int(0);
      out.int(teaches ? 2 : 1);
      out.text(JSON.stringify(ending));
    },
  };
}

function cutOff({ scratch, sourceOf }: Corpus): Collector {
  const lists = scratch.lists();
  const judged = scratch.table(2);
  const learned: [Ending[], Ending[]] = [[], []];
  return {
    take: (note, index) => {
      const kind = note.int();
      if (kind === 0) return;
      const text = note.text();
      const ending = JSON.parse(text) as Ending;
      if (kind === 2 && learned[0].length + learned[1].length < MOST_LEARNED) learned[index & 1]!.push(ending);
      if (mayBeCut(ending)) judged.push(0, index, lists.addText(text));
    },
    *finish(counts) {
      // No ending is judged by a classifier that has learned from it.
      const judges = learnEndings(learned, counts);
      const found: (Placed & { score: number })[] = [];
      for (const records of judged.pieces(0)) {
        for (let i = 0; i < records.length; i += 2) {
          const index = records[i]!;
          const ending = JSON.parse(lists.textAt(records[i + 1]!)) as Ending;
          const why = certainlyCut(ending);
          const judge = judges?.[(index & 1) as 0 | 1];
          const own = judge?.(ending) ?? 0;
          const score = why === undefined ? own : Math.max(0.95, own);
          if (score < CUT) continue;
          found.push({
            ...{ code: 'DATA_CUT_OFF', severity: 'review', source: sourceOf(index), score },
            message: `has an answer that ${why ?? 'ends where answers of this file go on'}.`,
            quote: `…${ending.tail.slice(-60).replace(/\s+/g, ' ')}`,
          });
        }
      }
      yield* found.sort((a, b) => b.score - a.score);
    },
  };
}

const notePlaceholder: Note = ({ answer, answers }, out) => {
  const text = answers ? answer.trim() : '';
  if (text === '' || !isPlaceholder(text)) return out.int(answers ? 1 : 0);
  out.int(2);
  out.text(text.slice(0, 60));
};

function placeholders({ sourceOf }: Corpus): Collector {
  const rows: { index: number; text: string }[] = [];
  let count = 0;
  return {
    take: (note, index) => {
      const kind = note.int();
      if (kind > 0) count++;
      if (kind === 2) rows.push({ index, text: note.text() });
    },
    *finish() {
      // Where many rows answer "none", it is an answer.
      const counts = new Map<string, number>();
      for (const { text } of rows) counts.set(text.toLowerCase(), (counts.get(text.toLowerCase()) ?? 0) + 1);
      for (const { index, text } of rows) {
        const isCommon =
          /^(?:none|nil|n\/?a|null|test|error|-+|\?+)\W*$/i.test(text) &&
          counts.get(text.toLowerCase())! > Math.max(3, 0.03 * count);
        if (isCommon) continue;
        yield {
          ...{ code: 'DATA_PLACEHOLDER', severity: 'warning', source: sourceOf(index) },
          ...{ message: 'has a placeholder for an answer.', quote: text },
        } satisfies Placed;
      }
    },
  };
}

/** Share of rows in one language from which the others stand out, and rows that must be told for it. */
const DOMINANT = { share: 0.9, rows: 30 };

const noteLanguage: Note = (row, out) => {
  const isAnswer = row.answers || row.prompt === '';
  const language = isAnswer ? answerLanguage(row) : languageOf(row.prompt);
  out.int(language === undefined ? -1 : LANGUAGE_CODES.indexOf(language));
};

function otherLanguages({ scratch, sourceOf }: Corpus): Collector {
  const counts = new Array<number>(LANGUAGE_CODES.length).fill(0);
  const rows = scratch.table(1, LANGUAGE_CODES.length);
  return {
    take: (note, index) => {
      const language = note.int();
      if (language < 0) return;
      counts[language]!++;
      rows.push(language, index);
    },
    *finish() {
      const total = counts.reduce((a, b) => a + b, 0);
      const most = Math.max(...counts);
      if (total < DOMINANT.rows || most < DOMINANT.share * total) return;
      const main = counts.indexOf(most);
      for (const [language, code] of LANGUAGE_CODES.entries()) {
        if (language === main) continue;
        const message = `is in ${code}, where ${Math.floor((100 * most) / total)} % of the rows are in ${LANGUAGE_CODES[main]}.`;
        for (const index of rows.part(language)) {
          yield { code: 'DATA_LANGUAGE', severity: 'review', source: sourceOf(index), message } satisfies Placed;
        }
      }
    },
  };
}

const KINDS = ['question', 'answer'] as const;

function lengths({ scratch, sourceOf }: Corpus): Collector {
  const all = scratch.table(2);
  const counts = KINDS.map(() => new Map<number, number>());
  return {
    take: (note) => {
      const own = [note.int(), note.int()] as const;
      all.push(0, own[0], own[1]);
      for (const [k, length] of own.entries()) {
        if (length > 0) counts[k]!.set(length, (counts[k]!.get(length) ?? 0) + 1);
      }
    },
    *finish() {
      for (const [k, what] of KINDS.entries()) {
        const spread = spreadOf(counts[k]!);
        if (spread === undefined) continue;
        let index = 0;
        for (const records of all.pieces(0)) {
          for (let i = k; i < records.length; i += 2, index++) {
            const length = records[i]!;
            const score = length === 0 ? 0 : Math.abs(Math.log(length) - spread.middle) / spread.deviation;
            if (score < 6) continue;
            const isLong = Math.log(length) > spread.middle;
            const message = `has a ${isLong ? 'long' : 'short'} ${what}: ${length} characters, where half of the rows have ${isLong ? 'fewer' : 'more'} than ${Math.round(Math.exp(spread.middle))}.`;
            const source = sourceOf(index);
            yield { code: 'DATA_LENGTH', severity: 'review', source, message, score: 1 - 1 / score } satisfies Placed;
          }
        }
      }
    },
  };
}

/** Median of the logarithms and their spread, by how often each length occurs; undefined of few. */
function spreadOf(counts: ReadonlyMap<number, number>) {
  const logs = [...counts].map(([length, count]) => ({ value: Math.log(length), count }));
  if (logs.reduce((sum, { count }) => sum + count, 0) < 50) return undefined;
  const middle = medianOf(logs);
  const deviations = logs.map(({ value, count }) => ({ value: Math.abs(value - middle), count }));
  return { middle, deviation: Math.max(0.15, 1.4826 * medianOf(deviations)) };
}

/** By nearest rank. */
function medianOf(values: readonly { readonly value: number; readonly count: number }[]): number {
  const sorted = [...values].sort((a, b) => a.value - b.value);
  const half = sorted.reduce((sum, { count }) => sum + count, 0) / 2;
  let seen = 0;
  for (const { value, count } of sorted) {
    seen += count;
    if (seen >= half) return value;
  }
  return 0;
}

/** Different answers that are counted at once; with more of them the rarest are forgotten (Misra and Gries 1982). */
const COUNTED = 2 ** 16;
/** Times that a thread sees an answer before it says how it reads. */
const OFTEN = 5;

function noteAnswers(): Noter {
  const seen = openCounts();
  return {
    note: ({ answer, answers }, out) => {
      if (!answers || answer.length < 40) return out.int(0);
      const hash = longHash(answer);
      const isOften = seen.add(hash) === OFTEN;
      out.int(isOften ? 2 : 1);
      out.hash(hash);
      if (isOften) out.text(answer.slice(0, 80));
    },
  };
}

/** Counts what is frequent: with many different ones a count may be too small by a share of 1 / {@link COUNTED}. */
function openCounts() {
  let counts = new Map<number, number>();
  return {
    add: (hash: number): number => {
      const count = (counts.get(hash) ?? 0) + 1;
      counts.set(hash, count);
      if (counts.size > COUNTED) {
        counts = new Map([...counts].flatMap(([key, n]) => (n > 1 ? [[key, n - 1]] : [])));
      }
      return count;
    },
    entries: () => counts,
  };
}

function repeatedAnswers(): Collector {
  const counts = openCounts();
  const texts = new Map<number, string>();
  let total = 0;
  return {
    take: (note) => {
      const kind = note.int();
      if (kind === 0) return;
      total++;
      const hash = note.hash();
      counts.add(hash);
      if (kind === 2) texts.set(hash, note.text());
    },
    *finish() {
      for (const [hash, count] of counts.entries()) {
        if (count < 20 || count < 0.05 * total) continue;
        yield {
          ...{ code: 'DATA_REPEATED_ANSWER', severity: 'info', source: undefined, score: count / total },
          ...{ message: `${count} of ${total} longer answers are the same.`, quote: texts.get(hash) },
        } satisfies Placed;
      }
    },
  };
}

/** Rows that a group must have, and how much its share must differ, before it is told. */
const SKEW = { rows: 30, difference: 0.2, deviations: 4 };
const GROUP_NAMES = Object.keys(GROUPS);

const notePeople: Note = ({ prompt, answer, answers, label }, out) => {
  const text = prompt.slice(0, 400);
  if ((!answers && label === undefined) || !mentionsPeople(text)) return out.int(0);
  let groups = 0;
  for (const [i, name] of GROUP_NAMES.entries()) if (GROUPS[name]!.test(text)) groups |= 2 << i;
  const said = answers ? answer.slice(0, 400) : (label ?? '');
  const isNegative = groups !== 0 && (NEGATIVE.test(said) || refusal(said) !== undefined);
  out.int(groups | (isNegative ? 1 : 0));
};

function skew(): Collector {
  const counts = GROUP_NAMES.map(() => ({ rows: 0, negative: 0 }));
  return {
    take: (note) => {
      const groups = note.int();
      if (groups === 0) return;
      for (const [i, count] of counts.entries()) {
        if ((groups & (2 << i)) === 0) continue;
        count.rows++;
        count.negative += groups & 1;
      }
    },
    *finish() {
      const sum = { rows: 0, negative: 0 };
      for (const { rows, negative } of counts) {
        sum.rows += rows;
        sum.negative += negative;
      }
      for (const [i, { rows, negative }] of counts.entries()) {
        const others = sum.rows - rows;
        if (rows < SKEW.rows || others < SKEW.rows) continue;
        const [own, rest] = [negative / rows, (sum.negative - negative) / others];
        const p = sum.negative / sum.rows;
        const deviation = Math.sqrt(p * (1 - p) * (1 / rows + 1 / others));
        if (own - rest < SKEW.difference || own - rest < SKEW.deviations * deviation) continue;
        const message = `${Math.round(100 * own)} % of the answers about ${GROUP_NAMES[i]} are negative or refuse, against ${Math.round(100 * rest)} % about other groups of people.`;
        yield { code: 'DATA_SKEW', severity: 'review', source: undefined, message, score: own - rest } satisfies Placed;
      }
    },
  };
}
