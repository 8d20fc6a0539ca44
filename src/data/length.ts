import { TunesmithError } from '../errors/index.ts';
import { percentile } from '../math/stats.ts';
import { type Example, IGNORE, supervisedTokens } from '../text/example.ts';
import { createFindingLog, type FindingGroup, type FindingLog } from './findings.ts';
import type { Row, RowSource } from './row.ts';

/**
 * What turns a row into what the model sees: usually one example, or one for each answer where the template rewrites history. An example
 * for each answer comes in the order of the answers. May throw a catalogue error, which becomes a finding of the row.
 */
export type Render = (row: Row) => readonly Example[];

/** What happens to a row that is too long. */
export type OnLong = 'trim-context' | 'drop' | 'error';

/** How rows are fitted to a length. */
export interface LengthOptions {
  /** Longest example in tokens; undefined takes the 99.5th percentile (nearest rank), but no pre-tokenised row less. */
  readonly maxLength?: number | undefined;
  /** What memory or the model allows: the automatic length stays within. */
  readonly limit?: number | undefined;
  /** What sets the limit, in words. */
  readonly limitedBy?: string | undefined;
  readonly onLong: OnLong;
  /** Codes of findings that are let pass. */
  readonly allow?: readonly string[] | undefined;
}

/** An example and the row that it comes from. */
export interface PreparedExample {
  readonly row: Row;
  readonly example: Example;
}

/** Examples that fit, and what was done so that they do. */
export interface Prepared {
  readonly examples: readonly PreparedExample[];
  readonly maxLength: number;
  /** How the length came about, in words. */
  readonly lengthOrigin: string;
  /** Rows whose oldest turns were left out. */
  readonly trimmed: readonly RowSource[];
  /** Texts that became several windows. */
  readonly windowed: readonly RowSource[];
  /** Rows that were left out, whole or in part, because an answer does not fit. */
  readonly dropped: readonly RowSource[];
  readonly findings: readonly FindingGroup[];
}

/** Share of answers that may be lost to length before it is an error. */
const CUT_SHARE = 0.05;

/**
 * Renders every row once and fits the examples to the length: never by cutting an answer.
 *
 * `trim-context` leaves out the oldest turns of a conversation; a {text} row, of which every token is trained, becomes windows that follow
 * one another, so that each token is still predicted once; what fits neither way is dropped. Pre-tokenised rows are taken as they are: too
 * long is an error.
 */
export function prepareExamples(rows: readonly Row[], render: Render, options: LengthOptions): Prepared {
  const log = createFindingLog(options.allow);
  const rendered: Rendered[] = [];
  for (const row of rows) {
    const examples = tryRender(row, render, log);
    if (examples !== undefined) rendered.push({ row, examples });
  }
  const { maxLength, lengthOrigin } = chooseLength(rendered, options);
  const state: FitState = { render, maxLength, onLong: options.onLong, log, trimmed: [], windowed: [], dropped: [] };
  let answers = 0;
  let kept = 0;
  const prepared: PreparedExample[] = [];
  for (const item of rendered) {
    const fitted = fitRow(item, state);
    const before = count(item.examples, answerSpans);
    answers += before;
    kept += item.row.kind === 'text' && fitted.length > 0 ? before : count(fitted, answerSpans);
    for (const example of fitted) prepared.push({ row: item.row, example });
  }
  reportLost(state, answers, answers - kept);
  const [first] = state.dropped;
  if (prepared.length === 0 && first !== undefined) {
    const message = `no row is left when those of more than ${maxLength} tokens are left out.`;
    log.add({ code: 'DATA_NOTHING_SUPERVISED', file: first.file, message, fix: 'raise --max-length.' });
  }
  const { trimmed, windowed, dropped } = state;
  return { examples: prepared, maxLength, lengthOrigin, trimmed, windowed, dropped, findings: log.groups() };
}

interface Rendered {
  readonly row: Row;
  readonly examples: readonly Example[];
}

interface FitState {
  readonly render: Render;
  readonly maxLength: number;
  readonly onLong: OnLong;
  readonly log: FindingLog;
  readonly trimmed: RowSource[];
  readonly windowed: RowSource[];
  readonly dropped: RowSource[];
}

/** Faults of the template concern the row at hand, so that all come in one pass. */
function tryRender(row: Row, render: Render, log: FindingLog): readonly Example[] | undefined {
  try {
    return render(row);
  } catch (error) {
    if (!(error instanceof TunesmithError)) throw error;
    const { message, fix } = error.details;
    log.add({ code: error.code, ...row.source, message, fix });
    return undefined;
  }
}

function chooseLength(
  rendered: readonly Rendered[],
  { maxLength, limit = Number.POSITIVE_INFINITY, limitedBy = 'the model' }: LengthOptions,
): { maxLength: number; lengthOrigin: string } {
  if (maxLength !== undefined) return { maxLength, lengthOrigin: 'given' };
  const lengths = rendered.flatMap(({ examples }) => examples.map((e) => e.ids.length));
  const fixed = rendered
    .filter(({ row }) => row.kind === 'ids')
    .flatMap(({ examples }) => examples.map((e) => e.ids.length));
  const wanted = Math.max(
    2,
    percentile(lengths, 99.5) ?? 2,
    fixed.reduce((a, b) => Math.max(a, b), 0),
  );
  if (wanted <= limit) return { maxLength: wanted, lengthOrigin: '99.5th percentile of the rows' };
  return { maxLength: limit, lengthOrigin: `as long as ${limitedBy} allows; the rows would want ${wanted}` };
}

/** The examples of a row that fit. */
function fitRow({ row, examples }: Rendered, state: FitState): readonly Example[] {
  const { maxLength, log } = state;
  const fits = (e: Example) => e.ids.length <= maxLength;
  const long = examples.filter((e) => !fits(e));
  let fitted = examples;
  if (long.length > 0) {
    const longest = long.reduce((n, e) => Math.max(n, e.ids.length), 0);
    if (row.kind === 'ids' || state.onLong === 'error') {
      log.add({ code: 'DATA_TOO_LONG', ...row.source, message: `has ${longest} tokens, more than ${maxLength}.` });
      return [];
    }
    fitted = state.onLong === 'drop' ? examples.filter(fits) : shorten(row, examples, state);
    noteLong(row, longest, fitted.length, examples.length, state);
    if (fitted.length === 0) return [];
  }
  const trained = fitted.filter((e) => supervisedTokens(e) > 0);
  if (trained.length === 0) {
    const when = long.length > 0 ? ` after it was shortened to ${maxLength} tokens` : '';
    const fix = long.length > 0 ? 'raise --max-length, or remove the row.' : undefined;
    log.add({ code: 'DATA_NOTHING_SUPERVISED', ...row.source, message: `has no token that is trained${when}.`, fix });
  }
  return trained;
}

function noteLong(row: Row, longest: number, fitted: number, before: number, state: FitState): void {
  const { source } = row;
  const isShort = fitted < before;
  const how = isShort
    ? 'left out'
    : row.kind === 'text'
      ? row.labelled === undefined
        ? `split into ${fitted} windows`
        : 'cut at its end'
      : 'shortened by its oldest turns';
  (isShort ? state.dropped : row.kind === 'text' ? state.windowed : state.trimmed).push(source);
  const part = isShort && fitted > 0 ? ` (${before - fitted} of its ${before} answers)` : '';
  const message = `has ${longest} tokens, more than ${state.maxLength}: ${how}${part}.`;
  state.log.add({ code: 'DATA_ROW_LONG', ...source, message });
}

function shorten(row: Row, examples: readonly Example[], state: FitState): readonly Example[] {
  switch (row.kind) {
    case 'messages':
      return trimTurns(row, examples, state);
    case 'text':
      // A text that is classified is cut at its end, as transformers cuts it: each window would need a label of its own.
      return examples.flatMap((e) => (e.classes === undefined ? windows(e, state.maxLength) : cut(e, state.maxLength)));
    case 'prompt':
    case 'ids':
      // A raw prompt has no turns, and its beginning usually says what to do: nothing that could be left out safely.
      return examples.filter((e) => e.ids.length <= state.maxLength);
    default:
      return row satisfies never;
  }
}

/**
 * Leaves out the oldest turns, as many as needed. Examples of one row end with the same answers before and after, so the last examples
 * correspond; each takes the longest context with which it fits.
 */
function trimTurns(row: Row & { kind: 'messages' }, examples: readonly Example[], state: FitState): readonly Example[] {
  const fromEnd: (Example | undefined)[] = [...examples].reverse();
  const fits = (e: Example | undefined): e is Example => e !== undefined && e.ids.length <= state.maxLength;
  for (const shorter of withoutOldestTurns(row)) {
    if (fromEnd.every(fits)) break;
    const rendered = [...(tryRender(shorter, state.render, state.log) ?? [])].reverse();
    for (const [i, example] of rendered.entries()) if (!fits(fromEnd[i])) fromEnd[i] = example;
  }
  return fromEnd.filter(fits).reverse();
}

/** A conversation with ever fewer of its oldest turns; the system message and the last turn stay. Other rows have no turns. */
export function* withoutOldestTurns(row: Row): Generator<Row, void, void> {
  if (row.kind !== 'messages') return;
  const starts = turnStarts(row);
  const head = row.messages.slice(0, starts[0]);
  for (const start of starts.slice(1)) yield { ...row, messages: [...head, ...row.messages.slice(start)] };
}

/** Where turns begin: at each user message; what stands before the first (but the system message) belongs to it. */
function turnStarts({ messages }: Row & { kind: 'messages' }): number[] {
  const head = messages.findIndex((m) => m.role !== 'system');
  const users = messages.flatMap((m, i) => (m.role === 'user' ? [i] : []));
  return head < 0 ? [] : [head, ...users.slice(1)];
}

function cut({ ids, labels, ...rest }: Example, length: number): Example {
  return { ...rest, ids: ids.slice(0, length), labels: labels.slice(0, length) };
}

/** Windows that overlap by one token: the last of one is the context of the first prediction of the next. */
export function windows({ ids, labels }: Example, length: number): Example[] {
  const parts: Example[] = [];
  for (let start = 0; start + 1 < ids.length; start += length - 1) {
    parts.push({ ids: ids.slice(start, start + length), labels: labels.slice(start, start + length) });
  }
  return parts;
}

/** Runs of tokens with loss: the answers of an example. */
function answerSpans({ labels }: Example): number {
  let n = 0;
  for (let i = 1; i < labels.length; i++) {
    if (labels[i] !== IGNORE && (i === 1 || labels[i - 1] === IGNORE)) n++;
  }
  return n;
}

function count(examples: readonly Example[], of: (example: Example) => number): number {
  return examples.reduce((n, e) => n + of(e), 0);
}

/** Leaving out long rows is what `drop` asks for; where rows are to be trimmed, losing many answers is not. */
function reportLost(state: FitState, answers: number, lost: number): void {
  const first = state.dropped[0] ?? state.trimmed[0];
  if (state.onLong !== 'trim-context' || first === undefined || lost <= CUT_SHARE * answers) return;
  const percent = ((100 * lost) / answers).toFixed(1);
  const message = `${lost} of ${answers} answers (${percent} %) do not fit into ${state.maxLength} tokens, here the first.`;
  state.log.add({ code: 'DATA_ANSWERS_CUT', ...first, message });
}
