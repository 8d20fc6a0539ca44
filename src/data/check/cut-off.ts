import { permutation } from '../../math/random.ts';
import { hashWord, mix } from '../similar.ts';
import { type Features, predict, trainLinear } from './classifier.ts';

/** What is kept of an answer so that its end can be judged. */
export interface Ending {
  /** The last characters, without white space behind. */
  readonly tail: string;
  /** A passage that ends where the answer goes on: what a cut would have left. Undefined where it is too short to cut. */
  readonly cut: string | undefined;
  /** Whether a code fence, a bracket or a quotation mark is left open. */
  readonly open: boolean;
  readonly cutOpen: boolean;
  /** How the text before its end is written. */
  readonly style: Style;
  readonly cutStyle: Style;
}

/** Sentences with their full stops, items of a list, or neither. */
type Style = 'prose' | 'list' | 'line';

const TAIL = 80;
/** Answers shorter than this have no middle to learn from, and are not judged. */
const SHORTEST = 24;
const DIM = 2 ** 14;
/** Endings that classifiers learn from. */
export const MOST_LEARNED = 10_000;
/** Fewer endings than this teach nothing; then only the rule below speaks. */
const FEWEST = 40;

/** The end of an answer, and a middle of it at a place that depends on the row alone; undefined where it is too short. */
export function endingOf(answer: string, row: number): Ending | undefined {
  const text = answer.trimEnd();
  if (text.length < SHORTEST) return undefined;
  const share = 0.35 + 0.6 * ((mix(row ^ 0x3c6ef372) >>> 0) / 2 ** 32);
  let at = Math.floor(text.length * share);
  // Three of four cuts fall between words, as cuts between tokens do.
  if ((mix(row) & 3) !== 0) while (at < text.length - 1 && !/\s/.test(text[at]!)) at++;
  const head = text.slice(0, at).trimEnd();
  const usable = head.length >= SHORTEST / 2 && at < text.length - 4;
  return {
    tail: text.slice(-TAIL),
    cut: usable ? head.slice(-TAIL) : undefined,
    open: isOpen(text),
    cutOpen: usable && isOpen(head),
    style: styleOf(text),
    cutStyle: styleOf(head),
  };
}

function styleOf(text: string): Style {
  const end = text.slice(-500, -1);
  if ((end.match(/(?:^|\s)(?:\d{1,2}[.)]|[-*•·–])\s/g)?.length ?? 0) >= 2) return 'list';
  return /[\p{L})"'”]{2}[.!?]["'”)]?\s+\p{Lu}/u.test(end) ? 'prose' : 'line';
}

function isOpen(text: string): boolean {
  if (((text.match(/```/g)?.length ?? 0) & 1) === 1) return true;
  const end = text.slice(-400);
  const last = Math.max(end.lastIndexOf('('), end.lastIndexOf('['), end.lastIndexOf('{'));
  return last >= 0 && !/[)\]}]/.test(end.slice(last)) && !/[:;]-?[([]\s*$/.test(end);
}

/** Words after which no English sentence ends. */
const DANGLING =
  /(?:^|\s)(?:the|a|an|and|or|but|of|to|in|for|with|from|by|as|at|is|are|was|were|be|been|your|our|their|my|its|his|if|because|which|that|who|when|while|than|into|onto|about|between|can|will|would|should|could|may|might|must|have|has|had|this|these|those|every|each|such|very|so|then|also|including|through|during|before|after|under|over|we|they|he|she|i|it|you)$/i;

/** Why an answer has certainly no end, in words, or undefined. */
export function certainlyCut({ tail, open }: Ending): string | undefined {
  if (/[,([{]$/.test(tail)) return `ends with "${tail.slice(-1)}"`;
  const word = DANGLING.exec(tail)?.[0].trim();
  // Questions may end with a preposition and notes with "so": what is capitalised or quoted is a name.
  if (word !== undefined && word === word.toLowerCase() && /[a-z]{2,} [^.!?]*$/.test(tail))
    return `ends with the word "${word}"`;
  if (open && ((tail.match(/```/g)?.length ?? 0) & 1) === 1) return 'leaves a code block open';
  return undefined;
}

/** Whether an ending has to be looked at: a full stop ends even where the rest of the file ends otherwise. */
export function mayBeCut({ tail, open }: Ending): boolean {
  return open || !/[.!?。]$/.test(tail);
}

/** Judges an ending: how surely it is the middle of a text and no end, from 0 to 1. */
export type Judge = (ending: Ending) => number;

/**
 * Two judges, each of which has learned from one of two halves of endings. A small classifier learns from answers themselves to tell their
 * ends from their middles, so that what an end looks like is learned from the data. The first judge has not learned from the first half.
 *
 * @param counts how often words stand in the middle of texts
 * @returns undefined where the endings are too few to learn from
 */
export function learnEndings(
  halves: readonly [readonly Ending[], readonly Ending[]],
  counts: Uint32Array,
): readonly [Judge, Judge] | undefined {
  if (halves[0].length + halves[1].length < FEWEST) return undefined;
  return [learnHalf(halves[1], 0, counts), learnHalf(halves[0], 1, counts)];
}

function learnHalf(learned: readonly Ending[], half: number, counts: Uint32Array): Judge {
  const words = (word: string) => counts[wordPlace(word.toLowerCase())]!;
  const rows: Features[] = [];
  const labels = new Int32Array(learned.length * 2);
  for (const [k, ending] of learned.entries()) {
    const middle = { tail: ending.cut!, open: ending.cutOpen, style: ending.cutStyle };
    rows.push(endingFeatures(ending, words), endingFeatures(middle, words));
    labels[2 * k + 1] = 1;
  }
  const order = permutation(half, 'endings', 0, rows.length);
  const model = trainLinear(rows, labels, { dim: DIM, classes: 2, epochs: 6, rate: 1.5, order: Array.from(order) });
  const p = new Float64Array(2);
  return (ending) => {
    predict(model, endingFeatures(ending, words), p);
    return p[1]!;
  };
}

/** Counters of words. */
export const WORDS = 2 ** 18;

const wordPlace = (word: string) => mix(hashWord(word)) & (WORDS - 1);

/** Counts the words in the middle of texts: a half word is one that stands nowhere else. */
export function countWords({ tail, cut }: Ending, counts: Uint32Array): void {
  for (const text of [tail, cut ?? '']) {
    const words = text.toLowerCase().match(/[\p{L}\p{M}]+/gu) ?? [];
    for (let i = 1; i < words.length - 1; i++) {
      const place = wordPlace(words[i]!);
      counts[place] = counts[place]! + 1;
    }
  }
}

function endingFeatures(
  { tail, open, style }: Pick<Ending, 'tail' | 'open' | 'style'>,
  seen: (word: string) => number,
): Features {
  const found = new Set<number>();
  const add = (name: string) => found.add(mix(hashWord(name)) & (DIM - 1));
  const last = tail.at(-1) ?? '';
  const kind = (c: string) =>
    /\p{Lu}/u.test(c) ? 'A' : /\p{L}/u.test(c) ? 'a' : /\p{N}/u.test(c) ? '0' : /\s/.test(c) ? '_' : c;
  const shape = Array.from(tail.slice(-12), kind)
    .join('')
    .replace(/(.)\1+/g, '$1');
  add(`last ${kind(last)}`);
  // An item of a list ends without a full stop, a sentence among sentences does not.
  add(`last ${kind(last)} in ${style}`);
  add(`last ${kind(last)} in ${style} again`);
  add(`sign ${last === kind(last) ? last : ''}`);
  add(`shape ${shape.slice(-3)}`);
  add(`shape ${shape.slice(-5)}`);
  if (open) add('open');
  const word = /[\p{L}\p{M}']+$/u.exec(tail)?.[0];
  if (word !== undefined) {
    add(`word ${word.toLowerCase()}`);
    const times = seen(word);
    add(`seen ${times === 0 ? 0 : times < 4 ? 1 : 2}`);
  }
  const line = tail.slice(tail.lastIndexOf('\n') + 1);
  add(`line ${Array.from(line.slice(0, 3), kind).join('')}`);
  add(`length ${Math.min(4, line.length >> 4)}`);
  return Int32Array.from(found);
}
