import type { ErrorCode } from '../../errors/index.ts';
import type { Scratch } from '../../io/scratch.ts';
import type { Role } from '../../text/messages.ts';
import type { RowSource } from '../row.ts';
import type { Sketches } from './near.ts';
import type { NoteReader, NoteWriter } from './notes.ts';

/** Errors stop a training run; warnings should be mended; what is to be reviewed may be right; the rest is good to know. */
export const SEVERITIES = ['error', 'warning', 'review', 'info'] as const;
export type CheckSeverity = (typeof SEVERITIES)[number];

/** A piece of a row's text. */
export interface Part {
  /** `text` is trained as it is, `other` stands in a row of no known shape. */
  readonly role: Role | 'text' | 'other';
  readonly text: string;
  /** Where it stands, in words: `message 2 (user)`. */
  readonly where: string;
}

/** A row as the checks see it. */
export interface CheckRow {
  readonly source: RowSource;
  readonly parts: readonly Part[];
  /** What is asked: system prompts left out. Empty where nothing is. */
  readonly prompt: string;
  /** The last answer, or the text. */
  readonly answer: string;
  /** Whether `answer` answers something, and is no plain text. */
  readonly answers: boolean;
  /** What the row is classified as. */
  readonly label: string | undefined;
  /** All that it says and how it is labelled: rows with the same key are duplicates. */
  readonly key: string;
  /** Ids of a pre-tokenised row, and what is trained of them. */
  readonly tokens?: { readonly ids: readonly number[]; readonly labels: readonly number[] };
}

/** What a check found in a row. */
export interface Found {
  readonly message: string;
  /** The passage, shortened, with secrets and personal data masked. */
  readonly quote?: string | undefined;
  /** Where it differs from the check's own. */
  readonly severity?: CheckSeverity | undefined;
  readonly fix?: string | undefined;
  /** Lines of other rows that belong to it, counted from 1. */
  readonly related?: readonly number[] | undefined;
  /** Evidence from 0 to 1, by which findings of one code are ranked. */
  readonly score?: number | undefined;
}

/** What a check over many rows found; without a source it concerns all rows. */
export interface Placed extends Found {
  readonly code: ErrorCode;
  readonly severity: CheckSeverity;
  readonly source: RowSource | undefined;
}

/** One finding. */
export interface CheckFinding {
  readonly code: ErrorCode;
  readonly severity: CheckSeverity;
  readonly file: string;
  /** Counts from 1; undefined for what concerns the whole file. */
  readonly line: number | undefined;
  readonly message: string;
  readonly fix: string | undefined;
  readonly related: readonly number[];
  readonly quote: string | undefined;
  readonly score: number | undefined;
}

/** A check of rows alone. */
export interface RowCheck {
  readonly code: ErrorCode;
  readonly severity: CheckSeverity;
  find(row: CheckRow): Found | undefined;
}

/** Takes down what a check over many rows needs of each. Rows may be divided among threads, each of which has its own. */
export interface Noter {
  note(row: CheckRow, out: NoteWriter): void;
  /** What was counted over all rows that this one saw; the counts of several are added up. */
  readonly counts?: Uint32Array;
}

/** Gathers what was noted of all rows, in their order, and says at the end what is wrong with them. */
export interface Collector {
  take(note: NoteReader, index: number): void;
  finish(counts: Uint32Array): Iterable<Placed>;
}

/** Numbers of rows, a bit each. */
export interface RowSet {
  add(row: number): void;
  has(row: number): boolean;
}

/** What collectors share. */
export interface Corpus {
  readonly scratch: Scratch;
  /** Where the row of a number stands. */
  sourceOf(index: number): RowSource;
  /** Rows that say exactly what one before them says; known once exact copies have been looked for. */
  readonly copies: RowSet;
  /** Of each row the words that near-duplicates are found by. */
  readonly sketches: Sketches;
  /** Rows that are held out to test with. */
  readonly heldOut: readonly CheckRow[];
}

/** A check over all rows together; what it keeps of each is small. */
export interface CorpusCheck {
  /** @param heldOut rows to test with */
  noter(heldOut: readonly CheckRow[]): Noter;
  collector(corpus: Corpus): Collector;
}

/** The first 100 characters of a text, on one line. */
export function quoteStart(text: string): string {
  return text.slice(0, 100).replace(/\s+/g, ' ');
}

/** A passage of at most 100 characters around `at`, on one line. */
export function quoteAt(text: string, at = 0, length = 0): string {
  const from = Math.max(0, at - 40);
  const to = Math.min(text.length, Math.max(at + length + 40, from + 80));
  const cut = text.slice(from, to).replace(/\s+/g, ' ').slice(0, 100).trim();
  return `${from > 0 ? '…' : ''}${cut}${to < text.length ? '…' : ''}`;
}
