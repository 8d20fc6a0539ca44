import { statSync } from 'node:fs';
import { readError } from './fs-errors.ts';

/** When a file was last changed, in milliseconds since 1970. @throws FILE_NOT_FOUND, FILE_UNREADABLE */
export function modifiedAt(path: string): number {
  try {
    return statSync(path).mtimeMs;
  } catch (error) {
    throw readError(error, path);
  }
}
