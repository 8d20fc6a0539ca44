import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { TunesmithError } from '../errors/index.ts';
import { firstInvalidLine } from './files.ts';
import { readError } from './fs-errors.ts';

/** Bytes of a file as it stands on the disk. */
export interface FileDigest {
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly bytes: number;
}

/** A file's content as a stream, gunzipped where its first bytes say gzip. */
export interface ByteSource {
  readonly chunks: AsyncIterable<Buffer>;
  /** Bytes of the file on the disk that have been drawn. */
  drawn(): number;
  /** Known once `chunks` has been drawn to its end. */
  digest(): FileDigest;
}

/** A line of text without its end, or what is wrong with it. */
export type TextLine =
  | { readonly line: number; readonly text: string }
  | { readonly line: number; readonly problem: 'utf8' | 'utf16' | 'long' };

/** Longest line that is read, in bytes; what is longer is no row but a broken or hostile file. */
const MAX_LINE = 64 * 2 ** 20;
/** Most bytes that a gzip file may grow to: a guard against zip bombs. */
const MAX_INFLATED = 16 * 2 ** 30;

/**
 * Opens a file as a stream of bytes.
 *
 * While `chunks` is drawn: @throws FILE_NOT_FOUND, FILE_UNREADABLE, DATA_GZIP
 */
export function openBytes(path: string): ByteSource {
  const hash = createHash('sha256');
  let bytes = 0;
  async function* stored(): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of createReadStream(path, { highWaterMark: 1 << 18 })) {
        const buffer = chunk as Buffer;
        hash.update(buffer);
        bytes += buffer.length;
        yield buffer;
      }
    } catch (error) {
      throw readError(error, path);
    }
  }
  return {
    chunks: inflated(stored(), path),
    drawn: () => bytes,
    digest: () => ({ sha256: hash.copy().digest('hex'), bytes }),
  };
}

async function* inflated(stored: AsyncGenerator<Buffer>, path: string): AsyncGenerator<Buffer> {
  const first = await stored.next();
  if (first.done) return;
  const all = rejoin(first.value, stored);
  if (first.value[0] !== 0x1f || first.value[1] !== 0x8b) {
    yield* all;
    return;
  }
  yield* gunzip(all, path);
}

async function* rejoin(first: Buffer, rest: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  yield* rest;
}

async function* gunzip(stored: AsyncGenerator<Buffer>, path: string): AsyncGenerator<Buffer> {
  const stream = createGunzip();
  // Feeding runs beside reading; a fault of the source reaches the reader through destroy().
  const feed = (async () => {
    for await (const chunk of stored) {
      if (stream.destroyed) return;
      if (!stream.write(chunk)) await new Promise((resolve) => onceAny(stream, ['drain', 'close', 'error'], resolve));
    }
    stream.end();
  })().catch((error: unknown) => stream.destroy(error instanceof Error ? error : new Error(String(error))));
  let size = 0;
  try {
    for await (const chunk of stream) {
      const buffer = chunk as Buffer;
      size += buffer.length;
      if (size > MAX_INFLATED) {
        throw new TunesmithError('DATA_GZIP', { message: 'unpacks to more than 16 GiB.', file: path });
      }
      yield buffer;
    }
  } catch (error) {
    if (error instanceof TunesmithError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new TunesmithError('DATA_GZIP', { message: `is broken gzip: ${why}.`, file: path, cause: error });
  } finally {
    stream.destroy();
  }
  await feed;
}

function onceAny(emitter: NodeJS.EventEmitter, events: readonly string[], done: (value: unknown) => void): void {
  const finish = () => {
    for (const event of events) emitter.off(event, finish);
    done(undefined);
  };
  for (const event of events) emitter.on(event, finish);
}

/** Whole lines of a file, with their ends, or a line that cannot be read. */
export type LineBlock =
  | { readonly line: number; readonly bytes: Buffer }
  | { readonly line: number; readonly problem: 'utf16' | 'long' };

/** Cuts bytes into blocks of whole lines; `line` is the number of the first. Of a line that is too long only the number is told. */
export async function* lineBlocks(chunks: AsyncIterable<Buffer>): AsyncGenerator<LineBlock> {
  let line = 1;
  let pending: Buffer[] = [];
  let size = 0;
  const isLong = () => size > MAX_LINE;
  for await (const chunk of chunks) {
    const first = chunk.indexOf(10);
    if (first < 0) {
      size += chunk.length;
      // Of a line that is too long only its length is kept.
      if (isLong()) pending = [];
      else pending.push(chunk);
      continue;
    }
    let rest = chunk;
    if (size + first > MAX_LINE) {
      yield { line: line++, problem: 'long' };
      pending = [];
      rest = chunk.subarray(first + 1);
    }
    const last = rest.lastIndexOf(10);
    if (last >= 0) {
      const own = rest.subarray(0, last + 1);
      const bytes = pending.length === 0 ? own : Buffer.concat([...pending, own]);
      // Every second byte of UTF-16 is wrong in the same way: once is enough.
      if (line === 1 && isUtf16(bytes)) return yield { line, problem: 'utf16' };
      yield { line, bytes };
      for (let feed = bytes.indexOf(10); feed >= 0; feed = bytes.indexOf(10, feed + 1)) line++;
    }
    pending = [rest.subarray(last + 1)];
    size = rest.length - last - 1;
  }
  if (isLong()) yield { line, problem: 'long' };
  else if (size > 0) {
    const bytes = Buffer.concat(pending);
    yield line === 1 && isUtf16(bytes) ? { line, problem: 'utf16' } : { line, bytes };
  }
}

/** The lines of a block as text without their ends. */
export function* linesIn({
  bytes,
  line: first,
}: {
  readonly line: number;
  readonly bytes: Buffer;
}): Generator<TextLine> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let line = first;
  for (let start = 0; start < bytes.length; line++) {
    const feed = bytes.indexOf(10, start);
    const end = feed < 0 ? bytes.length : feed;
    yield decodeLine(bytes.subarray(start, end), line, decoder);
    start = end + 1;
  }
}

/**
 * Cuts bytes into lines of UTF-8 text: LF and CRLF end a line, a byte order mark at the start is left out. A line that cannot be read
 * is reported in its place and the next ones still come. Lines count from 1.
 */
export async function* textLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<TextLine> {
  for await (const block of lineBlocks(chunks)) {
    if ('problem' in block) yield block;
    else yield* linesIn(block);
  }
}

function decodeLine(bytes: Buffer, line: number, decoder: TextDecoder): TextLine {
  const mark = line === 1 && hasMark(bytes) ? 3 : 0;
  const end = bytes.at(-1) === 13 ? bytes.length - 1 : bytes.length;
  try {
    return { line, text: decoder.decode(bytes.subarray(mark, end)) };
  } catch {
    return { line, problem: 'utf8' };
  }
}

function isUtf16(bytes: Buffer): boolean {
  return (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
}

/**
 * UTF-8 text in blocks of whole lines, with their ends, without the byte order mark.
 *
 * @throws FILE_NOT_UTF8 with the line, FILE_UNREADABLE if a line is longer than 64 MiB
 */
export async function* textBlocks(chunks: AsyncIterable<Buffer>, path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let pending: Buffer[] = [];
  let size = 0;
  let line = 1;
  const decode = (end: Buffer): string => {
    const joined = pending.length === 0 ? end : Buffer.concat([...pending, end]);
    if (line === 1 && isUtf16(joined)) throw notUtf8(path, line, 'is UTF-16 text.');
    const bytes = line === 1 && hasMark(joined) ? joined.subarray(3) : joined;
    try {
      const text = decoder.decode(bytes);
      for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) line++;
      return text;
    } catch {
      throw notUtf8(path, line - 1 + firstInvalidLine(bytes), 'has a byte that is not UTF-8.');
    }
  };
  for await (const chunk of chunks) {
    const last = chunk.lastIndexOf(10);
    if (last >= 0) {
      yield decode(chunk.subarray(0, last + 1));
      pending = [];
      size = 0;
    }
    const rest = chunk.subarray(last + 1);
    size += rest.length;
    if (size > MAX_LINE) {
      throw new TunesmithError('FILE_UNREADABLE', { message: 'is longer than 64 MiB.', file: path, line });
    }
    pending.push(rest);
  }
  if (size > 0) yield decode(Buffer.alloc(0));
}

function hasMark(bytes: Uint8Array): boolean {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
}

function notUtf8(file: string, line: number, message: string): TunesmithError {
  return new TunesmithError('FILE_NOT_UTF8', { message, file, line });
}
