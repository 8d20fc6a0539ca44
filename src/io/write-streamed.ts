import { closeSync, fsyncSync, openSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { writeFully } from './files.ts';
import { writeError } from './fs-errors.ts';

/**
 * Writes a large file into a folder that is itself written whole or not at all. Between the pieces other work gets its turn, such as that of a
 * signal, and `onPiece` may end the writing by throwing.
 *
 * @param pieces drawn one by one
 * @param onPiece told how many bytes were written
 * @throws DISK_FULL, FILE_WRITE_FAILED, and whatever `pieces` and `onPiece` throw
 */
export async function writeStreamed(
  path: string,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  onPiece: (bytes: number) => void = () => {},
): Promise<void> {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'wx');
  } catch (error) {
    throw writeError(error, path);
  }
  try {
    for await (const piece of pieces) {
      whileWriting(path, () => writeFully(descriptor, piece));
      onPiece(piece.length);
      await setImmediate();
    }
    whileWriting(path, () => fsyncSync(descriptor));
  } finally {
    closeSync(descriptor);
  }
}

/** Only faults of the file system are ours to name. */
function whileWriting(path: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    throw writeError(error, path);
  }
}
