/** Where and why a text is not JSON. */
export interface JsonFault {
  /** Count from 1. */
  readonly line: number;
  readonly column: number;
  /** Such as `expected a value, found "nope"`. */
  readonly reason: string;
}

type State = 'value' | 'first value' | 'first key' | 'key' | 'colon' | 'after';

const EXPECTED: Readonly<Record<State, string>> = {
  value: 'a value',
  'first value': 'a value or ]',
  'first key': 'a key in double quotes or }',
  key: 'a key in double quotes',
  colon: 'a colon',
  after: 'a comma or the end of what is open',
};

const SPACE = /[ \t\n\r]*/y;
const SCALAR = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y;

/**
 * Finds the first fault of a text that JSON.parse refused. V8 names no position for many of them, and quotes the text instead.
 *
 * @returns undefined if the text is JSON
 */
export function jsonFault(text: string): JsonFault | undefined {
  const open: ('{' | '[')[] = [];
  let state = 'value' as State;
  for (let at = skip(SPACE, text, 0); ; at = skip(SPACE, text, at)) {
    if (state === 'after' && open.length === 0) {
      return at === text.length ? undefined : fault(text, at, 'the end');
    }
    const c = text[at];
    const top = open.at(-1);
    if ((state === 'after' || state === 'first value') && c === ']' && top === '[') {
      open.pop();
      state = 'after';
      at++;
    } else if ((state === 'after' || state === 'first key') && c === '}' && top === '{') {
      open.pop();
      state = 'after';
      at++;
    } else if (state === 'after' && c === ',') {
      state = top === '{' ? 'key' : 'value';
      at++;
    } else if (state === 'colon' && c === ':') {
      state = 'value';
      at++;
    } else if (c === '"' && state !== 'after' && state !== 'colon') {
      const end = stringEnd(text, at);
      if (end.bad !== undefined) return fault(text, end.at, end.bad);
      state = state === 'key' || state === 'first key' ? 'colon' : 'after';
      at = end.at;
    } else if ((state === 'value' || state === 'first value') && (c === '{' || c === '[')) {
      open.push(c);
      state = c === '{' ? 'first key' : 'first value';
      at++;
    } else {
      const end = state === 'value' || state === 'first value' ? skip(SCALAR, text, at) : at;
      if (end === at) return fault(text, at, EXPECTED[state]);
      state = 'after';
      at = end;
    }
  }
}

function stringEnd(text: string, start: number): { readonly at: number; readonly bad?: string } {
  for (let i = start + 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x22) return { at: i + 1 };
    if (code < 0x20) return { at: i, bad: 'a closing quote (control characters are written as escapes such as \\n)' };
    if (code !== 0x5c) continue;
    const length = /^(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/.exec(text.slice(i + 1, i + 6))?.[0].length;
    if (length === undefined) return { at: i, bad: 'an escape such as \\n or \\u00e4' };
    i += length;
  }
  return { at: text.length, bad: 'a closing quote' };
}

function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}

function fault(text: string, at: number, expected: string): JsonFault {
  const before = text.slice(0, at);
  const line = before.split('\n').length;
  const column = at - before.lastIndexOf('\n');
  const word = /^[\w.+-]{1,20}/.exec(text.slice(at, at + 20))?.[0] ?? text.slice(at, at + 1);
  const found = at >= text.length ? 'the end of the text' : JSON.stringify(word);
  return { line, column, reason: `expected ${expected}, found ${found}` };
}
