import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { folderExists, writeFully } from './files.ts';
import { errnoOf, readError, writeError } from './fs-errors.ts';

/** How names of unfinished files and folders end. */
const PARTIAL = '.partial';

/** Makes a folder and those above it. @throws FILE_WRITE_FAILED, DISK_FULL */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw writeError(error, path);
  }
}

/** Removes a file or a folder with all in it; nothing there is no error. @throws FILE_WRITE_FAILED */
export function remove(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch (error) {
    throw writeError(error, path);
  }
}

/**
 * Writes a file whole or not at all: beside its place, flushed to the disk, then renamed. Its folder must exist.
 *
 * @param content text, bytes, or a source of bytes that is drawn piece by piece
 * @throws DISK_FULL, FILE_WRITE_FAILED; whatever was at `path` is then still there
 */
export function writeAtomic(path: string, content: string | Uint8Array | Iterable<Uint8Array>): void {
  const partial = partialName(path);
  try {
    const descriptor = openSync(partial, 'wx');
    try {
      for (const bytes of pieces(content)) writeFully(descriptor, bytes);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(partial, path);
  } catch (error) {
    discard(partial);
    // What the source of the bytes threw is its own matter; only faults of the file system are ours to name.
    throw isSystemError(error) ? writeError(error, path) : error;
  }
  flushFolder(dirname(path));
}

/**
 * Writes a folder whole or not at all: `fill` gets an empty folder beside its place, which is then flushed and renamed.
 * A folder that is already at `path` is replaced; if the process dies between the two renames, {@link recoverFolder} puts the old one back.
 *
 * @throws DISK_FULL, FILE_WRITE_FAILED, and whatever `fill` throws; whatever was at `path` is then still there
 */
export async function writeFolderAtomic(path: string, fill: (folder: string) => void | Promise<void>): Promise<void> {
  recoverFolder(path);
  const partial = partialName(path);
  try {
    mkdirSync(partial);
    await fill(partial);
    flushTree(partial);
    const old = oldName(path);
    rmSync(old, { recursive: true, force: true });
    if (folderExists(path)) renameSync(path, old);
    renameSync(partial, path);
    flushFolder(dirname(path));
    rmSync(old, { recursive: true, force: true });
  } catch (error) {
    discard(partial);
    recoverFolder(path);
    throw isSystemError(error) ? writeError(error, path) : error;
  }
}

/**
 * Makes a folder that is not there yet, whole or not at all: `fill` gets an empty folder beside its place. Of several processes that make
 * the same folder one succeeds.
 *
 * @returns false, with nothing changed, if something with content is already at `path`
 * @throws DISK_FULL, FILE_WRITE_FAILED, and whatever `fill` throws
 */
export async function createFolderAtomic(
  path: string,
  fill: (folder: string) => void | Promise<void>,
): Promise<boolean> {
  const partial = partialName(path);
  try {
    mkdirSync(partial);
    await fill(partial);
    flushTree(partial);
    renameSync(partial, path);
    flushFolder(dirname(path));
    return true;
  } catch (error) {
    discard(partial);
    if (['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return false;
    // Windows does not say why; a folder in the way is the likely reason.
    if (errnoOf(error) === 'EPERM' && folderExists(path)) return false;
    throw isSystemError(error) ? writeError(error, path) : error;
  }
}

/** Puts back the folder that {@link writeFolderAtomic} had set aside when the process was killed. Harmless at any other time. */
export function recoverFolder(path: string): void {
  const old = oldName(path);
  if (folderExists(path) || !folderExists(old)) return;
  try {
    renameSync(old, path);
  } catch (error) {
    throw writeError(error, path);
  }
}

/** Removes the unfinished files and folders that a killed process left in `folder`. */
export function removePartials(folder: string): void {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    throw readError(error, folder);
  }
  for (const name of names) if (name.startsWith('.') && name.endsWith(PARTIAL)) remove(join(folder, name));
}

export function partialName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(4).toString('hex')}${PARTIAL}`);
}

function oldName(path: string): string {
  return join(dirname(path), `.${basename(path)}.old`);
}

function pieces(content: string | Uint8Array | Iterable<Uint8Array>): Iterable<Uint8Array> {
  if (typeof content === 'string') return [Buffer.from(content, 'utf8')];
  return content instanceof Uint8Array ? [content] : content;
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}

function discard(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // The fault that made us discard it is the one to report.
  }
}

function flushTree(folder: string): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (lstatSync(path).isDirectory()) flushTree(path);
    else flush(path, 'r+');
  }
  flushFolder(folder);
}

/** A rename is on the disk only once its folder is. Windows has no such call, and needs none. */
function flushFolder(folder: string): void {
  if (process.platform !== 'win32' && statSync(folder, { throwIfNoEntry: false }) !== undefined) flush(folder, 'r');
}

function flush(path: string, flags: 'r' | 'r+'): void {
  const descriptor = openSync(path, flags);
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
