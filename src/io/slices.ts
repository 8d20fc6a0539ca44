import { type FileHandle, open } from 'node:fs/promises';
import { TunesmithError } from '../errors/index.ts';
import { readError } from './fs-errors.ts';

/** A file whose parts are read when they are asked for. */
export interface Slices {
  readonly byteLength: number;
  /** Bytes from `start` up to `end`; a negative start counts from the end. @throws FILE_CUT_SHORT, FILE_UNREADABLE */
  slice(start: number, end?: number): Promise<ArrayBuffer>;
  close(): Promise<void>;
}

/** Opens a file for reading in parts. @throws FILE_NOT_FOUND, FILE_UNREADABLE */
export async function openSlices(path: string): Promise<Slices> {
  let handle: FileHandle;
  let byteLength: number;
  try {
    handle = await open(path, 'r');
    byteLength = (await handle.stat()).size;
  } catch (error) {
    throw readError(error, path);
  }
  return {
    byteLength,
    slice: async (start, end = byteLength) => {
      const from = Math.max(0, start < 0 ? byteLength + start : start);
      const bytes = new Uint8Array(Math.max(0, Math.min(end, byteLength) - from));
      for (let done = 0; done < bytes.length; ) {
        const { bytesRead } = await handle.read(bytes, done, bytes.length - done, from + done);
        if (bytesRead === 0) throw new TunesmithError('FILE_CUT_SHORT', { message: 'became shorter.', file: path });
        done += bytesRead;
      }
      return bytes.buffer;
    },
    close: () => handle.close(),
  };
}
