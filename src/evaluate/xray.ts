import { gridLength, type OnLong, prepareExamples, type Row, type RowSource } from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { type Example, IGNORE, type Message, type Tokenizer } from '../text/index.ts';
import { rowRenderer, type TextSetup } from '../train/rows.ts';

/** What a token of a row is: the first of these that holds. */
export const TOKEN_KINDS = ['truncated', 'trained', 'special', 'template', 'context', 'padding'] as const;
export type TokenKind = (typeof TOKEN_KINDS)[number];

/** A token as the model sees it. */
export interface XrayToken {
  /** -1 for padding. */
  readonly id: number;
  /** Its part of the text; empty where a character needs several tokens and this is not the last of them. */
  readonly text: string;
  readonly kind: TokenKind;
  readonly special: boolean;
  /** Its weight in the loss. */
  readonly weight: 0 | 1;
  /** Where its text stands in the text of the example, in UTF-16 units. */
  readonly start: number;
  readonly end: number;
}

/** An example that a row becomes. */
export interface XrayExample {
  readonly source: RowSource;
  /** Counts from 1: where the template rewrites history, a row becomes an example for each answer. */
  readonly example: number;
  readonly of: number;
  readonly tokens: readonly XrayToken[];
  readonly counts: Readonly<Record<TokenKind, number>>;
  /** What was done because it is too long. */
  readonly note: string | undefined;
}

/** How rows are fitted, as in training. */
export interface XrayOptions {
  readonly maxLength: number;
  readonly onLong: OnLong;
  /** Without packing each row is padded. */
  readonly pack: boolean;
}

/**
 * A row as training would see it, by the renderer and the fitting of training.
 *
 * @throws DATA_TOO_LONG with onLong error, and what rendering throws, with the place of the row
 */
export function xrayRow(row: Row, text: TextSetup, options: XrayOptions): XrayExample[] {
  const { tokenizer } = text;
  if (tokenizer === undefined) {
    throw new TunesmithError('TOKENIZER_MISSING', {
      message: 'the model has no tokenizer, so its tokens have no text.',
    });
  }
  const render = rowRenderer(text, 'train');
  const whole = placed(row, () => render(row));
  const { maxLength, onLong } = options;
  const fitted = prepareExamples([row], render, {
    maxLength,
    onLong,
    allow: ['DATA_ANSWERS_CUT', 'DATA_NOTHING_SUPERVISED'],
  });
  const error = fitted.findings.find(({ severity }) => severity === 'error')?.examples[0];
  if (error !== undefined)
    throw new TunesmithError(error.code, { ...row.source, message: error.message, fix: error.fix });
  const kept = fitted.examples.map(({ example }) => example);
  const note = fitted.findings[0]?.examples[0]?.message;
  // The text of a {text} row is divided into windows, and nothing of it is lost.
  const isWindowed = row.kind === 'text' && kept.length > 0;
  return whole.map((example, i) => {
    const isLong = example.ids.length > maxLength && !isWindowed;
    const partner = kept[kept.length - whole.length + i];
    const lost = isLong ? lostSpan(example, partner) : ([0, 0] as const);
    const tokens = tokensOf(example, { row, tokenizer, lost, pack: options.pack });
    const counts = Object.fromEntries(TOKEN_KINDS.map((kind) => [kind, 0])) as Record<TokenKind, number>;
    for (const { kind } of tokens) counts[kind]++;
    const isNoted = example.ids.length > maxLength;
    return { source: row.source, example: i + 1, of: whole.length, tokens, counts, note: isNoted ? note : undefined };
  });
}

function placed<T>(row: Row, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof TunesmithError) || error.details.file !== undefined) throw error;
    throw new TunesmithError(error.code, { ...error.details, ...row.source });
  }
}

/** The tokens that the fitted example lacks: what stands between its beginning, which is not trained, and its end. */
function lostSpan({ ids, labels }: Example, fitted: Example | undefined): readonly [number, number] {
  if (fitted === undefined) return [0, ids.length];
  let start = 0;
  while (start < fitted.ids.length && ids[start] === fitted.ids[start] && labels[start] === fitted.labels[start])
    start++;
  return [start, ids.length - (fitted.ids.length - start)];
}

interface Look {
  readonly row: Row;
  readonly tokenizer: Tokenizer;
  readonly lost: readonly [number, number];
  readonly pack: boolean;
}

function tokensOf({ ids, labels }: Example, { row, tokenizer, lost, pack }: Look): XrayToken[] {
  const pieces = pieceTexts(ids, tokenizer);
  const isContent = contentOf(row, pieces.join(''));
  const tokens: XrayToken[] = [];
  let start = 0;
  for (const [i, id] of ids.entries()) {
    const text = pieces[i] ?? '';
    const end = start + text.length;
    const special = tokenizer.specialIds.has(id);
    const isLost = i >= lost[0] && i < lost[1];
    // The loss of the first token is never computed.
    const trained = i > 0 && labels[i] !== IGNORE && !isLost;
    const isText = isContent(start, Math.max(end, start + 1));
    const kind = isLost ? 'truncated' : trained ? 'trained' : special ? 'special' : isText ? 'context' : 'template';
    tokens.push({ id, text, kind, special, weight: trained ? 1 : 0, start, end });
    start = end;
  }
  const kept = ids.length - (lost[1] - lost[0]);
  const padding = pack || kept === 0 ? 0 : gridLength(kept) - kept;
  for (let i = 0; i < padding; i++) {
    tokens.push({ id: -1, text: '', kind: 'padding', special: false, weight: 0, start, end: start });
  }
  return tokens;
}

/** Tokens before one that are decoded with it, since some tokenizers drop the space that a text begins with. */
const BEFORE = 4;

/** The text that each token adds. Bytes of a character that is not complete yet count to the token that completes it. */
function pieceTexts(ids: Int32Array, tokenizer: Tokenizer): string[] {
  const pieces: string[] = [];
  let open = 0;
  for (let i = 0; i < ids.length; i++) {
    const from = Math.max(0, open - BEFORE);
    const before = tokenizer.decode([...ids.subarray(from, open)]);
    const all = tokenizer.decode([...ids.subarray(from, i + 1)]);
    const text = all.startsWith(before) ? all.slice(before.length) : tokenizer.decode([...ids.subarray(open, i + 1)]);
    const isOpen = text.endsWith('\ufffd') && i + 1 < ids.length && i - open < BEFORE;
    pieces.push(isOpen ? '' : text);
    if (!isOpen) open = i + 1;
  }
  return pieces;
}

/** Says whether a part of the text is what the row brought, not the template. */
function contentOf(row: Row, text: string): (start: number, end: number) => boolean {
  if (row.kind !== 'messages') return () => true;
  const spans: [number, number][] = [];
  let cursor = 0;
  for (const part of row.messages.flatMap(partsOf)) {
    const at = part === '' ? -1 : text.indexOf(part, cursor);
    if (at < 0) continue;
    spans.push([at, at + part.length]);
    cursor = at + part.length;
  }
  return (start, end) => spans.some(([from, to]) => start < to && end > from);
}

function partsOf({ reasoning_content, content, tool_calls }: Message): string[] {
  const calls = (tool_calls ?? []).map((call) => call.function.name);
  return [reasoning_content?.trim() ?? '', content.trim(), ...calls];
}
