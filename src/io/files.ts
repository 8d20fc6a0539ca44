import { createHash } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  type Stats,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { TunesmithError } from '../errors/index.ts';
import { readError, writeError } from './fs-errors.ts';

/** Whether a plain file (or a link to one) is at `path`. */
export function fileExists(path: string): boolean {
  return statOf(path)?.isFile() ?? false;
}

/** Whether a folder (or a link to one) is at `path`. */
export function folderExists(path: string): boolean {
  return statOf(path)?.isDirectory() ?? false;
}

/** Something that may not be looked at, or has an impossible name, counts as not there. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/**
 * The size in bytes of the file at `path`.
 *
 * @throws FILE_NOT_FOUND if nothing is there, FILE_UNREADABLE if it is a folder
 */
export function fileSize(path: string): number {
  try {
    const stat = statSync(path);
    if (stat.isFile()) return stat.size;
  } catch (error) {
    throw readError(error, path);
  }
  throw new TunesmithError('FILE_UNREADABLE', { message: 'is not a plain file.', file: path });
}

/** Asserts that `path` is a folder. @throws FILE_NOT_FOUND */
export function requireFolder(path: string): void {
  if (folderExists(path)) return;
  const message = existsSync(path) ? 'is a file where a folder is expected.' : 'is not there.';
  throw new TunesmithError('FILE_NOT_FOUND', { message, file: path });
}

/** The names in a folder, sorted by code unit. @throws FILE_NOT_FOUND, FILE_UNREADABLE */
export function listFolder(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch (error) {
    throw readError(error, path);
  }
}

/** All bytes of a file. @throws FILE_NOT_FOUND, FILE_UNREADABLE */
export function readBytes(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw readError(error, path);
  }
}

/**
 * All text of a UTF-8 file, without its byte order mark. Line ends stay as they are.
 *
 * @throws FILE_NOT_FOUND, FILE_UNREADABLE, FILE_NOT_UTF8 (with the line of the first wrong byte)
 */
export function readText(path: string): string {
  return decodeText(readBytes(path), path);
}

/** Bytes of a UTF-8 file as text, without the byte order mark. @throws FILE_NOT_UTF8 */
export function decodeText(bytes: Uint8Array, path: string): string {
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
    throw new TunesmithError('FILE_NOT_UTF8', { message: 'is UTF-16 text.', file: path });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    // A string has at most some 2^29 characters, and running over that looks the same as a wrong byte.
    if (bytes.length >= 2 ** 29 - 24) {
      throw new TunesmithError('FILE_UNREADABLE', { message: 'is too large to be read as one text.', file: path });
    }
    const line = firstInvalidLine(bytes);
    throw new TunesmithError('FILE_NOT_UTF8', { message: 'has a byte that is not UTF-8.', file: path, line, cause });
  }
}

/** The line (from 1) of the first byte that is not UTF-8: no character of UTF-8 holds the byte of a line feed. */
export function firstInvalidLine(bytes: Uint8Array): number {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  for (let line = 1, start = 0; ; line++) {
    const feed = bytes.indexOf(0x0a, start);
    try {
      decoder.decode(bytes.subarray(start, feed < 0 ? bytes.length : feed));
    } catch {
      return line;
    }
    if (feed < 0) return line;
    start = feed + 1;
  }
}

/**
 * A JSON file's value.
 *
 * @throws FILE_NOT_FOUND, FILE_UNREADABLE, FILE_NOT_UTF8, FILE_NOT_JSON (with the line)
 */
export function readJson(path: string): unknown {
  const text = readText(path);
  try {
    return JSON.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const position = /at position (\d+)/.exec(why)?.[1];
    const line = position === undefined ? undefined : text.slice(0, Number(position)).split('\n').length;
    throw new TunesmithError('FILE_NOT_JSON', { message: `is not JSON: ${why}.`, file: path, line, cause });
  }
}

/** The SHA-256 of bytes (a string counts as UTF-8), in lower-case hexadecimal. */
export function sha256(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex');
}

/** The SHA-256 of a file, read as a stream, in lower-case hexadecimal. @throws FILE_NOT_FOUND, FILE_UNREADABLE */
export async function sha256File(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk);
  } catch (error) {
    throw readError(error, path);
  }
  return hash.digest('hex');
}

/** Bytes that this user may still write on the disk of `folder`; the folder need not be there yet. */
export function freeDiskBytes(folder: string): number {
  let existing = resolve(folder);
  while (!folderExists(existing) && dirname(existing) !== existing) existing = dirname(existing);
  try {
    const { bavail, bsize } = statfsSync(existing);
    return bavail * bsize;
  } catch (error) {
    throw readError(error, existing);
  }
}

/** Opens a file for reading, lends its descriptor and closes it in any case. @throws FILE_NOT_FOUND, FILE_UNREADABLE */
export function withFile<T>(path: string, use: (descriptor: number, size: number) => T): T {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    throw readError(error, path);
  }
  try {
    const stat = fstatSync(descriptor);
    if (stat.isDirectory()) throw new TunesmithError('FILE_UNREADABLE', { message: 'is a folder.', file: path });
    return use(descriptor, stat.size);
  } finally {
    closeSync(descriptor);
  }
}

/** Fills `target` from the bytes at `offset`. @throws FILE_CUT_SHORT if the file ends before, FILE_UNREADABLE */
export function readFully(descriptor: number, target: Uint8Array, offset: number, path: string): void {
  // One read of Linux or macOS moves at most 2 GiB.
  const most = 1 << 30;
  for (let done = 0; done < target.length; ) {
    let n: number;
    try {
      n = readSync(descriptor, target, done, Math.min(most, target.length - done), offset + done);
    } catch (error) {
      throw readError(error, path);
    }
    if (n === 0) {
      const message = `ends at byte ${offset + done} where ${target.length - done} more are expected.`;
      throw new TunesmithError('FILE_CUT_SHORT', { message, file: path });
    }
    done += n;
  }
}

/** Writes all bytes at the descriptor's position. Throws what `node:fs` throws. */
export function writeFully(descriptor: number, bytes: Uint8Array): void {
  const most = 1 << 30;
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(descriptor, bytes, done, Math.min(most, bytes.length - done));
  }
}

/** A file that only grows, such as a log of events. */
export interface Appender {
  /** Adds text and hands it to the operating system at once, so that a killed process loses none of it. Returns the file's new size in bytes. */
  append(text: string): number;
  close(): void;
}

/**
 * Opens a file to append to, making it if need be.
 *
 * @param keep bytes to keep of what is there; the rest is cut off (default: all)
 * @throws FILE_CUT_SHORT if fewer than `keep` bytes are there, FILE_WRITE_FAILED, DISK_FULL
 */
export function openAppender(path: string, keep?: number): Appender {
  let descriptor: number;
  let size: number;
  try {
    descriptor = openSync(path, 'a');
    size = fstatSync(descriptor).size;
    if (keep !== undefined && keep < size) ftruncateSync(descriptor, keep);
  } catch (error) {
    throw writeError(error, path);
  }
  if (keep !== undefined && keep > size) {
    closeSync(descriptor);
    throw new TunesmithError('FILE_CUT_SHORT', { message: `has ${size} bytes, not the ${keep} expected.`, file: path });
  }
  size = keep ?? size;
  const append = (text: string): number => {
    const bytes = Buffer.from(text, 'utf8');
    try {
      writeFully(descriptor, bytes);
    } catch (error) {
      dropTornLine(descriptor, size);
      throw writeError(error, path);
    }
    size += bytes.length;
    return size;
  };
  return { append, close: () => closeSync(descriptor) };
}

function dropTornLine(descriptor: number, size: number): void {
  try {
    ftruncateSync(descriptor, size);
  } catch {
    // The fault that tore the line is the one to report.
  }
}
