import type { TokenKind, XrayExample, XrayToken } from '../evaluate/xray.ts';
import { countText } from './format.ts';
import type { Terminal } from './terminal.ts';

/** What the kinds are, in the words of the legend. */
export const LEGEND: Readonly<Record<TokenKind, string>> = {
  trained: 'trained: the model learns to say it',
  context: 'context: read, not trained',
  template: 'template: written by the chat template',
  special: 'special token, not trained',
  truncated: 'truncated: does not fit, never seen',
  padding: 'padding: computed for nothing',
};

/** Signs around stretches where there is no colour. Context stands as it is. */
const MARKS: Readonly<Record<TokenKind, readonly [string, string]>> = {
  trained: ['[+', '+]'],
  context: ['', ''],
  template: ['{', '}'],
  special: ['(', ')'],
  truncated: ['[-', '-]'],
  padding: ['[.', '.]'],
};

/** The legend on one line for each kind that there is. */
export function legendText(kinds: ReadonlySet<TokenKind>, terminal: Terminal): string {
  const lines = (Object.keys(LEGEND) as TokenKind[]).filter((kind) => kinds.has(kind));
  return lines.map((kind) => `  ${painted(' text ', kind, terminal)} ${LEGEND[kind]}`).join('\n');
}

/** An example as text: each stretch of one kind in its colour, or between its marks. */
export function xrayText({ source, example, of, tokens, counts, note }: XrayExample, terminal: Terminal): string {
  const place = `${source.file}:${source.line}${of > 1 ? ` example ${example} of ${of}` : ''}`;
  const parts = (Object.keys(LEGEND) as TokenKind[])
    .filter((kind) => counts[kind] > 0)
    .map((kind) => `${countText(counts[kind])} ${kind}`);
  const head = `${terminal.colours.bold(place)}  ${countText(tokens.length)} tokens: ${parts.join(', ')}`;
  const body = stretches(tokens).map(({ kind, text }) => painted(text, kind, terminal));
  return [head, ...(note === undefined ? [] : [`  ${note}`]), body.join('')].join('\n');
}

interface Stretch {
  readonly kind: TokenKind;
  readonly text: string;
}

/** Neighbours of one kind as one. */
export function stretches(tokens: readonly XrayToken[]): Stretch[] {
  const all: { kind: TokenKind; text: string }[] = [];
  for (const { kind, text } of tokens) {
    const shown = kind === 'padding' ? '·' : text;
    const last = all.at(-1);
    if (last?.kind === kind) last.text += shown;
    else all.push({ kind, text: shown });
  }
  return all.filter(({ text }) => text !== '');
}

function painted(text: string, kind: TokenKind, { colours }: Terminal): string {
  // Text of the file must not steer the terminal.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are meant
  const safe = text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd');
  if (!colours.isColorSupported) {
    const [open, close] = MARKS[kind];
    return `${open}${safe}${close}`;
  }
  const paint: Readonly<Record<TokenKind, (text: string) => string>> = {
    trained: (t) => colours.black(colours.bgGreen(t)),
    context: (t) => t,
    template: colours.cyan,
    special: colours.magenta,
    truncated: (t) => colours.strikethrough(colours.red(t)),
    padding: colours.gray,
  };
  // A colour that runs over a line end would colour the rest of the line.
  return safe
    .split('\n')
    .map((line) => (line === '' ? '' : paint[kind](line)))
    .join('\n');
}
