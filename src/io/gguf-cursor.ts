import { isUtf8 } from 'node:buffer';
import { TunesmithError } from '../errors/index.ts';
import { readFully } from './files.ts';
import { quoted } from './json-checks.ts';

/** Metadata of real models takes some 10 MiB; what claims more than this is refused before it is read. */
const LONGEST_HEADER = 256 * 1024 * 1024;
const LONGEST_STRING = 16 * 1024 * 1024;

/** Reads the header of a GGUF file from its start on, and no further than it must. Every read is checked against the file's size first. */
export interface GgufCursor {
  /** The offset of the next byte. */
  readonly position: () => number;
  /** The file's size in bytes. */
  readonly size: number;
  /** Ensures that `bytes` more are there, and returns where they stand in {@link GgufCursor.view}. `what` is named if they are not. */
  readonly take: (bytes: number, what: string) => number;
  /** The bytes read so far; grows, so it is asked for after each `take`. */
  readonly view: () => DataView;
  readonly u32: (what: string) => number;
  readonly u64: (what: string) => number | bigint;
  readonly i64: (what: string) => number | bigint;
  /** A count of things that take at least `each` bytes; never more than the rest of the file could hold. */
  readonly count: (each: number, what: string) => number;
  readonly text: (what: string) => string;
}

/** The part of a file, from its start on, that was asked for so far; it is read in growing steps. */
interface Prefix {
  readonly bytes: () => Buffer;
  readonly view: () => DataView;
  /** Ensures that the bytes before `end` are there. */
  readonly reach: (end: number, what: string) => void;
}

function filePrefix(descriptor: number, size: number, path: string): Prefix {
  let bytes = Buffer.alloc(0);
  let view = new DataView(bytes.buffer, 0, 0);
  const reach = (end: number, what: string): void => {
    if (end <= bytes.length) return;
    if (end > size) fail(path, `is cut short: ${what} would end at byte ${end}, but the file has ${size}.`);
    if (end > LONGEST_HEADER) fail(path, `has a header of over ${LONGEST_HEADER} bytes.`);
    const grown = Buffer.alloc(Math.min(size, LONGEST_HEADER, Math.max(end, 1 << 20, bytes.length * 2)));
    bytes.copy(grown);
    readFully(descriptor, grown.subarray(bytes.length), bytes.length, path);
    bytes = grown;
    view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  };
  return { bytes: () => bytes, view: () => view, reach };
}

function fail(file: string, message: string): never {
  throw new TunesmithError('GGUF_HEADER', { message, file });
}

/** A cursor on an open file. */
export function ggufCursor(descriptor: number, size: number, path: string): GgufCursor {
  const prefix = filePrefix(descriptor, size, path);
  let position = 0;
  const take = (bytes: number, what: string): number => {
    const start = position;
    prefix.reach(start + bytes, what);
    position += bytes;
    return start;
  };
  const wide = (what: string, signed: boolean): number | bigint => {
    const at = take(8, what);
    const view = prefix.view();
    const high = signed ? view.getInt32(at + 4, true) : view.getUint32(at + 4, true);
    if (high >= -0x200000 && high < 0x200000) return high * 2 ** 32 + view.getUint32(at, true);
    return signed ? view.getBigInt64(at, true) : view.getBigUint64(at, true);
  };
  const count = (each: number, what: string): number => {
    const n = wide(what, false);
    const most = Math.floor((size - position) / each);
    return n <= most ? Number(n) : fail(path, `is cut short: ${what} says ${n}, but only ${most} could follow.`);
  };
  const text = (what: string): string => {
    const length = count(1, `the length of ${what}`);
    if (length > LONGEST_STRING) fail(path, `has ${what} of ${length} bytes.`);
    const start = take(length, what);
    return decode(prefix.bytes(), start, length, what, path);
  };
  return {
    position: () => position,
    size,
    take,
    view: prefix.view,
    u32: (what) => {
      const at = take(4, what); // before the view is asked for: this may replace it
      return prefix.view().getUint32(at, true);
    },
    u64: (what) => wide(what, false),
    i64: (what) => wide(what, true),
    count,
    text,
  };
}

function decode(bytes: Buffer, start: number, length: number, what: string, path: string): string {
  const end = start + length;
  // Most strings are tokens of a vocabulary, and short: for those a check of our own costs less than a call.
  if (length < 64 && isAscii(bytes, start, length)) return bytes.toString('latin1', start, end);
  if (isUtf8(bytes.subarray(start, end))) return bytes.toString('utf8', start, end);
  const shown = quoted(bytes.toString('utf8', start, start + Math.min(length, 80)));
  return fail(path, `has ${what} that is not UTF-8: ${shown}.`);
}

function isAscii(bytes: Uint8Array, start: number, length: number): boolean {
  for (let i = start; i < start + length; i++) if (bytes[i]! > 127) return false;
  return true;
}
