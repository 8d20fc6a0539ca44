import { type ErrorCode, TunesmithError } from '../errors/index.ts';

/** The `code` of a Node error (ENOENT, ENOSPC, ...), or undefined. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/**
 * Turns what `node:fs` threw while reading into a catalogue error; a catalogue error passes through.
 *
 * @param path the file or folder that was read
 */
export function readError(error: unknown, path: string): TunesmithError {
  if (error instanceof TunesmithError) return error;
  const errno = errnoOf(error);
  switch (errno) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ERR_INVALID_ARG_VALUE':
      return fault('FILE_NOT_FOUND', path, 'is not there.', error);
    case 'EISDIR':
      return fault('FILE_UNREADABLE', path, 'is a folder where a file is expected.', error);
    case 'EACCES':
    case 'EPERM':
      return fault('FILE_UNREADABLE', path, 'may not be read by this user.', error);
    default:
      return fault('FILE_UNREADABLE', path, `cannot be read (${errno ?? String(error)}).`, error);
  }
}

/**
 * Turns what `node:fs` threw while writing into a catalogue error; a catalogue error passes through.
 *
 * @param path the file or folder that was to be written
 */
export function writeError(error: unknown, path: string): TunesmithError {
  if (error instanceof TunesmithError) return error;
  const errno = errnoOf(error);
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
      return fault('DISK_FULL', path, 'could not be written: no space is left on the disk.', error);
    case 'ENOENT':
      return fault('FILE_WRITE_FAILED', path, 'could not be written: its folder is not there (any more).', error);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return fault('FILE_WRITE_FAILED', path, 'may not be written by this user.', error);
    default:
      return fault('FILE_WRITE_FAILED', path, `could not be written (${errno ?? String(error)}).`, error);
  }
}

function fault(code: ErrorCode, file: string, message: string, cause: unknown): TunesmithError {
  return new TunesmithError(code, { message, file, cause });
}
