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

/** A cursor on an open file. */
export function ggufCursor(descriptor: number, size: number, path: string): GgufCursor {
  let buffer = Buffer.alloc(0);
  let view = new DataView(buffer.buffer, 0, 0);
  let position = 0;
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  const fail = (message: string): never => {
    throw new TunesmithError('GGUF_HEADER', { message, file: path });
  };
  const load = (end: number, what: string): void => {
    if (end > size) fail(`is cut short: ${what} would end at byte ${end}, but the file has ${size}.`);
    if (end > LONGEST_HEADER) fail(`has a header of over ${LONGEST_HEADER} bytes.`);
    const grown = Buffer.alloc(Math.min(size, LONGEST_HEADER, Math.max(end, 1 << 20, buffer.length * 2)));
    buffer.copy(grown);
    readFully(descriptor, grown.subarray(buffer.length), buffer.length, path);
    buffer = grown;
    view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  };
  const take = (bytes: number, what: string): number => {
    const start = position;
    if (start + bytes > buffer.length) load(start + bytes, what);
    position += bytes;
    return start;
  };
  const wide = (what: string, signed: boolean): number | bigint => {
    const at = take(8, what);
    const high = signed ? view.getInt32(at + 4, true) : view.getUint32(at + 4, true);
    if (high >= -0x200000 && high < 0x200000) return high * 2 ** 32 + view.getUint32(at, true);
    return signed ? view.getBigInt64(at, true) : view.getBigUint64(at, true);
  };
  const count = (each: number, what: string): number => {
    const n = wide(what, false);
    const most = Math.floor((size - position) / each);
    return n <= most ? Number(n) : fail(`is cut short: ${what} says ${n}, but only ${most} could follow.`);
  };
  const text = (what: string): string => {
    const length = count(1, `the length of ${what}`);
    if (length > LONGEST_STRING) fail(`has ${what} of ${length} bytes.`);
    const start = take(length, what);
    if (length < 64 && isAscii(buffer, start, length)) return buffer.toString('latin1', start, start + length);
    try {
      return decoder.decode(buffer.subarray(start, start + length));
    } catch {
      const shown = quoted(buffer.toString('utf8', start, start + Math.min(length, 80)));
      return fail(`has ${what} that is not UTF-8: ${shown}.`);
    }
  };
  return {
    position: () => position,
    size,
    take,
    view: () => view,
    u32: (what) => view.getUint32(take(4, what), true),
    u64: (what) => wide(what, false),
    i64: (what) => wide(what, true),
    count,
    text,
  };
}

function isAscii(bytes: Uint8Array, start: number, length: number): boolean {
  for (let i = start; i < start + length; i++) if (bytes[i]! > 127) return false;
  return true;
}
