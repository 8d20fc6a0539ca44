import { closeSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { partialName } from './atomic.ts';
import { writeFully } from './files.ts';
import { writeError } from './fs-errors.ts';

/** A file of text that is written piece by piece, and is there only when it is whole. */
export interface TextWriter {
  /** @throws DISK_FULL, FILE_WRITE_FAILED */
  write(text: string): void;
  /** Puts the file in its place. @throws DISK_FULL, FILE_WRITE_FAILED */
  commit(): void;
  /** Takes away what was written; harmless after commit. */
  discard(): void;
}

/** Characters that are gathered before they are written. */
const BLOCK = 1 << 20;

/** Opens a file beside its place; one that ends in .gz is packed. @throws FILE_WRITE_FAILED, DISK_FULL */
export function openTextWriter(path: string): TextWriter {
  const partial = partialName(path);
  const isPacked = path.toLowerCase().endsWith('.gz');
  const guarded = <T>(act: () => T): T => {
    try {
      return act();
    } catch (error) {
      throw writeError(error, path);
    }
  };
  let descriptor: number | undefined = guarded(() => openSync(partial, 'wx'));
  let held: string[] = [];
  let size = 0;
  const flush = () => {
    if (size === 0 || descriptor === undefined) return;
    const bytes = Buffer.from(held.join(''), 'utf8');
    // A gzip file is one or more packed blocks, one after the other.
    writeFully(descriptor, isPacked ? gzipSync(bytes) : bytes);
    held = [];
    size = 0;
  };
  const close = () => {
    if (descriptor !== undefined) closeSync(descriptor);
    descriptor = undefined;
  };
  return {
    write: (text) => {
      held.push(text);
      size += text.length;
      if (size >= BLOCK) guarded(flush);
    },
    commit: () =>
      guarded(() => {
        flush();
        if (descriptor !== undefined) fsyncSync(descriptor);
        close();
        renameSync(partial, path);
      }),
    discard: () => {
      close();
      rmSync(partial, { force: true });
    },
  };
}
