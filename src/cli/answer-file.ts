import { TunesmithError } from '../errors/index.ts';
import { fileExists, readJson, readText } from '../io/index.ts';

/** What the lines of a file depend on, as the file beside it records it. */
export type BegunWith = Readonly<Record<string, unknown>>;

/** The file that says what a file was begun with. */
export const metaOf = (out: string) => `${out}.meta.json`;

/** What a field of {@link BegunWith} is called by people. */
const CALLED: Readonly<Record<string, string>> = {
  model: 'the model',
  adapter: 'the adapter',
  against: '--against',
  data: '--data',
  prompts: 'the prompts (roles, system prompt, or the date in the chat template)',
};

/**
 * Whole batches of lines `{index, ...}` that an earlier call has written already, and their bytes.
 *
 * @param rows lines of the whole file
 * @param batch rows that are computed together
 * @throws FILE_EXISTS if the file holds something else, GENERATE_OUT_DIFFERS
 */
export function finished(
  out: string,
  rows: number,
  batch: number,
  begun: BegunWith,
): { readonly lines: number; readonly bytes: number } {
  if (!fileExists(out)) return { lines: 0, bytes: 0 };
  const text = readText(out);
  if (text === '') return { lines: 0, bytes: 0 };
  const whole = text.split('\n').slice(0, -1);
  const wrong = whole.findIndex((line, i) => indexOf(line) !== i);
  if (wrong >= 0 || !fileExists(metaOf(out))) {
    const message = 'is there, and was not begun by this command.';
    throw new TunesmithError('FILE_EXISTS', { message, file: out, fix: 'name another file with --out' });
  }
  requireSame(out, begun);
  // A batch that was torn is answered again as a whole, so that each row has the company that it would have had.
  const lines = whole.length >= rows ? rows : Math.floor(whole.length / batch) * batch;
  const kept = whole.slice(0, lines);
  return { lines, bytes: Buffer.byteLength(kept.map((line) => `${line}\n`).join('')) };
}

/** @throws GENERATE_OUT_DIFFERS, which names what differs */
export function requireSame(out: string, begun: BegunWith): void {
  const old = readJson(metaOf(out)) as BegunWith;
  const now = JSON.parse(JSON.stringify(begun)) as BegunWith;
  const names = [...new Set([...Object.keys(old), ...Object.keys(now)])];
  const differing = names.filter((name) => JSON.stringify(old[name]) !== JSON.stringify(now[name]));
  // Other rows have other prompts.
  const told = differing.includes('data') ? differing.filter((name) => name !== 'prompts') : differing;
  if (told.length === 0) return;
  const differences = told.map((name) => {
    const shown = (value: unknown) => (value === undefined ? 'not given' : JSON.stringify(value));
    if (name in CALLED) return `${CALLED[name]} differs`;
    return `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)} was ${shown(old[name])} and is ${shown(now[name])}`;
  });
  throw new TunesmithError('GENERATE_OUT_DIFFERS', {
    message: `was begun differently: ${differences.join('; ')}.`,
    file: out,
  });
}

function indexOf(line: string): unknown {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && 'index' in value ? value.index : undefined;
  } catch {
    return undefined;
  }
}
