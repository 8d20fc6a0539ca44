import { TunesmithError } from '../errors/index.ts';
import { decodeText } from '../io/files.ts';
import { jsonFault } from '../io/json-fault.ts';
import { type TextLine, textLines } from '../io/lines.ts';
import type { RawRecord } from './records.ts';

/** Longest record of an array, in bytes, as for lines. */
const MAX_RECORD = 64 * 2 ** 20;
/** A .json file that is no array has to fit into memory. */
const MAX_WHOLE = 2 ** 29;

/** A record a line; blank lines are none. */
export async function* jsonLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<RawRecord> {
  for await (const line of textLines(chunks)) {
    const record = lineRecord(line);
    if (record !== undefined) yield record;
  }
}

/** The record that a line holds, or what is wrong with it; undefined of a blank one. */
export function lineRecord(line: TextLine): RawRecord | undefined {
  if ('problem' in line) return badLine(line);
  return line.text.trim() === '' ? undefined : parseLine(line.text, line.line);
}

/** Lists and objects within one another that a record may have: more would overflow the stack of whatever walks through it. */
const DEEPEST = 500;

/** @throws SyntaxError */
function parsedRecord(text: string, line: number): RawRecord {
  const value = JSON.parse(text) as unknown;
  if (isWithin(value, DEEPEST)) return { line, value };
  return { line, code: 'DATA_JSON', message: `nests lists or objects more than ${DEEPEST} deep.` };
}

function isWithin(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (depth === 0) return false;
  if (Array.isArray(value)) return value.every((item) => isWithin(item, depth - 1));
  for (const key in value) if (!isWithin((value as Record<string, unknown>)[key], depth - 1)) return false;
  return true;
}

function parseLine(text: string, line: number): RawRecord {
  try {
    return parsedRecord(text, line);
  } catch {
    const hint = /^\s*\[\s*$/.test(text) ? ' (an array over several lines belongs in a .json file)' : '';
    const fault = jsonFault(text);
    return { line, code: 'DATA_JSON', message: `is not JSON at column ${fault?.column}: ${fault?.reason}${hint}.` };
  }
}

/** What is wrong with a line, as a record. */
export function badLine(line: TextLine & { problem: string }): RawRecord {
  if (line.problem === 'long') return { line: line.line, code: 'DATA_JSON', message: 'is longer than 64 MiB.' };
  const message = line.problem === 'utf16' ? 'is UTF-16 text, not UTF-8.' : 'has a byte that is not UTF-8.';
  return { line: line.line, code: 'FILE_NOT_UTF8', message };
}

/** The elements of an array, one after the other; or one value; or JSON lines under the name .json, which are common. */
export async function* jsonFile(chunks: AsyncIterable<Buffer>, path: string): AsyncGenerator<RawRecord> {
  const { head, all } = await peek(chunks);
  if (head.length === 0) return;
  if (isUtf16(head)) throw notUtf8(path, 1, 'is UTF-16 text.');
  const first = head.subarray(startOfText(head))[0];
  if (first === OPEN_LIST) yield* arrayElements(all, path);
  else if (isObjectLine(head)) yield* jsonLines(all);
  else yield* oneValue(all, path);
}

const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const COMMA = 0x2c;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Bytes up to the end of the first line that is not blank, and all bytes again. Each byte is looked at once, however long that line is. */
async function peek(chunks: AsyncIterable<Buffer>): Promise<{ head: Buffer; all: AsyncGenerator<Buffer> }> {
  const iterator = chunks[Symbol.asyncIterator]();
  const taken: Buffer[] = [];
  let first: number | undefined;
  for (let size = 0; size <= MAX_RECORD; ) {
    const { value: chunk, done } = await iterator.next();
    if (done === true) break;
    taken.push(chunk);
    size += chunk.length;
    const start = first === undefined ? startOfText(chunk) : 0;
    first ??= chunk[start];
    if (first === undefined) continue;
    if (!mayBeginJson(first) || first === OPEN_LIST || chunk.indexOf(10, start) >= 0) break;
  }
  const head = Buffer.concat(taken);
  async function* all(): AsyncGenerator<Buffer> {
    yield* taken;
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
  }
  return { head, all: all() };
}

/** Whether a value may begin so: an object, a list, a text, a number, true, false, null. */
function mayBeginJson(byte: number): boolean {
  return '{["-0123456789tfn'.includes(String.fromCharCode(byte));
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** Where the text begins after a byte order mark and white space. */
function startOfText(bytes: Uint8Array): number {
  let at = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  while (isSpace(bytes[at])) at++;
  return at;
}

function isUtf16(bytes: Uint8Array): boolean {
  return (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
}

function isObjectLine(head: Buffer): boolean {
  const start = startOfText(head);
  const feed = head.indexOf(10, start);
  try {
    const value: unknown = JSON.parse(head.subarray(start, feed < 0 ? head.length : feed).toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

async function* oneValue(chunks: AsyncIterable<Buffer>, path: string): AsyncGenerator<RawRecord> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    const begin = startOfText(chunk);
    if (parts.length === 0 && begin < chunk.length && !mayBeginJson(chunk[begin]!) && !isUtf16(chunk)) {
      // Nothing that comes later makes it JSON.
      yield fault(chunk.subarray(0, begin + 80).toString('utf8'), 1);
      return;
    }
    if (size > MAX_WHOLE) {
      const message = 'is one value of more than 512 MiB.';
      throw new TunesmithError('FILE_UNREADABLE', { message, file: path, fix: 'write an array, or .jsonl.' });
    }
    parts.push(chunk);
  }
  const text = decodeText(Buffer.concat(parts), path);
  if (text.trim() === '') return;
  try {
    yield parsedRecord(text, 1);
  } catch {
    yield fault(text, 1);
  }
}

/** What stands between the brackets of the array, and where its pieces are cut. */
interface Scan {
  /** Nesting within the element: 0 between elements. */
  depth: number;
  inString: boolean;
  escaped: boolean;
  inElement: boolean;
  /** Line of the file, from 1, at the byte at hand. */
  line: number;
  /** Line on which the element begins. */
  from: number;
  phase: 'before' | 'first' | 'element' | 'after element' | 'end';
  parts: Buffer[];
  size: number;
}

/** Reads an array without holding it. What follows a fault is not read: after it nothing is where it seems to be. */
async function* arrayElements(chunks: AsyncIterable<Buffer>, path: string): AsyncGenerator<RawRecord> {
  const scan: Scan = {
    ...{ depth: 0, inString: false, escaped: false, inElement: false, line: 1, from: 1, phase: 'before' },
    ...{ parts: [], size: 0 },
  };
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let count = 0;
  let isStart = true;
  for await (const chunk of chunks) {
    const skip = isStart && chunk[0] === 0xef ? 3 : 0;
    isStart = false;
    for (const piece of cut(chunk, skip, scan)) {
      const record = 'code' in piece ? piece : parseElement(piece, count + 1, scan.from, decoder, path);
      count++;
      yield record;
      if ('code' in record) return;
    }
  }
  if (scan.phase === 'end') return;
  const message = `ends within the array, after ${count} whole records.`;
  yield { line: scan.line, code: 'DATA_JSON', message };
}

/** The elements that end in a chunk; their bytes are checked by JSON.parse, what stands between them here. */
function* cut(chunk: Buffer, skip: number, scan: Scan): Generator<Buffer | (RawRecord & { code: string })> {
  let start = scan.inElement ? 0 : -1;
  for (let at = skip; at < chunk.length; at++) {
    const byte = chunk[at]!;
    if (scan.inElement) {
      if (!endsElement(byte, scan)) {
        if (byte === 0x0a) scan.line++;
        continue;
      }
      const part = chunk.subarray(start, at);
      const whole = scan.parts.length === 0 ? part : Buffer.concat([...scan.parts, part]);
      scan.parts = [];
      scan.size = 0;
      scan.inElement = false;
      scan.phase = 'after element';
      yield whole;
    }
    if (byte === 0x0a) scan.line++;
    if (isSpace(byte)) continue;
    const fault = between(byte, scan);
    if (fault !== undefined) {
      yield { line: scan.line, code: 'DATA_JSON', message: fault };
      return;
    }
    if (scan.inElement) {
      start = at;
      at--;
    }
  }
  if (!scan.inElement) return;
  const rest = chunk.subarray(Math.max(0, start));
  scan.size += rest.length;
  if (scan.size > MAX_RECORD) {
    yield { line: scan.from, code: 'DATA_JSON', message: 'holds a record that is longer than 64 MiB.' };
    return;
  }
  scan.parts.push(rest);
}

/** Whether the element ended before this byte. */
function endsElement(byte: number, scan: Scan): boolean {
  if (scan.inString) {
    if (scan.escaped) scan.escaped = false;
    else if (byte === BACKSLASH) scan.escaped = true;
    else if (byte === QUOTE) scan.inString = false;
    return false;
  }
  if (byte === QUOTE) scan.inString = true;
  else if (byte === OPEN_LIST || byte === 0x7b) scan.depth++;
  else if (byte === CLOSE_LIST || byte === 0x7d) {
    if (scan.depth === 0) return true;
    scan.depth--;
  } else if (byte === COMMA) return scan.depth === 0;
  return false;
}

/** Takes a byte between elements; returns what is wrong with it. */
function between(byte: number, scan: Scan): string | undefined {
  const { phase } = scan;
  if (phase === 'end') return 'goes on after the end of the array.';
  if (phase === 'before') {
    scan.phase = 'first';
    return undefined;
  }
  if (byte === CLOSE_LIST && phase !== 'element') {
    scan.phase = 'end';
    return undefined;
  }
  if (phase === 'after element') {
    if (byte !== COMMA) return 'has no comma between two records.';
    scan.phase = 'element';
    return undefined;
  }
  if (byte === COMMA || byte === CLOSE_LIST) return 'has a comma with no record after it.';
  scan.inElement = true;
  scan.from = scan.line;
  scan.depth = 0;
  return undefined;
}

function parseElement(bytes: Buffer, number: number, from: number, decoder: TextDecoder, path: string): RawRecord {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw notUtf8(path, from, `has a byte that is not UTF-8 in record ${number}, which begins here.`);
  }
  try {
    return parsedRecord(text, number);
  } catch {
    return fault(text, from);
  }
}

function fault(text: string, from: number): RawRecord {
  const found = jsonFault(text);
  const message = `is not JSON at column ${found?.column}: ${found?.reason}.`;
  return { line: from - 1 + (found?.line ?? 1), code: 'DATA_JSON', message };
}

function notUtf8(file: string, line: number, message: string): TunesmithError {
  return new TunesmithError('FILE_NOT_UTF8', { message, file, line });
}
