import type { Action } from './desk.ts';
import type { Draft, PENDING, Pending } from './draft.ts';

/** What a key does beside changing the judgement. */
export type KeyAction = Action | { readonly type: 'help' } | { readonly type: 'quit' };

const LETTERS: Readonly<Record<string, KeyAction>> = {
  '0': { type: 'all-tied' },
  t: { type: 'all-tied' },
  x: { type: 'clear' },
  r: { type: 'reason' },
  s: { type: 'skip' },
  u: { type: 'undo' },
  '?': { type: 'help' },
  h: { type: 'help' },
  q: { type: 'quit' },
  Enter: { type: 'save' },
  Escape: { type: 'cancel' },
  Backspace: { type: 'clear' },
};

const PREFIXES: Readonly<Record<string, Pending>> = { '=': 'tie', w: 'worst', g: 'good', b: 'bad', e: 'edit' };

/** Keys that a page hands over: all that change a judgement. */
export const FORWARDED_KEYS: readonly string[] = [
  ...'123456789',
  ...Object.keys(PREFIXES),
  ...Object.keys(LETTERS).filter((key) => !['help', 'quit'].includes(LETTERS[key]!.type)),
];

/** What a key means, in the terminal as in the browser, or undefined where it means nothing. */
export function keyAction(key: string): KeyAction | undefined {
  if (/^[1-9]$/.test(key)) return { type: 'digit', at: Number(key) - 1 };
  const name = key.length === 1 ? key.toLowerCase() : key;
  if (Object.hasOwn(PREFIXES, name)) return { type: 'pending', what: PREFIXES[name]! };
  return Object.hasOwn(LETTERS, name) ? LETTERS[name] : undefined;
}

/** What the keys do, for people. */
export const KEY_HELP: readonly (readonly [keys: string, what: string])[] = [
  ['1 2 ...', 'order the answers, the best one first; once more takes one out'],
  ['= then 1-6', 'as good as the one before'],
  ['w then 1-6', 'the worst'],
  ['t', 'all are equally good'],
  ['g or b then 1-6', 'good or bad by itself'],
  ['e then 1-6', 'mend an answer: your text is the better one'],
  ['r', 'say why'],
  ['Enter', 'save and go on'],
  ['s', 'skip this prompt'],
  ['u', 'take the last judgement back'],
  ['x', 'start this one anew'],
];

/** What a draft waits for, in words. */
export function pendingText({ pending }: Draft): string {
  if (pending === undefined) return '';
  const words: Readonly<Record<(typeof PENDING)[number], string>> = {
    tie: 'as good as the last: which one?',
    worst: 'the worst: which one?',
    good: 'good: which one?',
    bad: 'bad: which one?',
    edit: 'mend: which one?',
  };
  return words[pending];
}
