import { readdirSync } from 'node:fs';
import { join, posix } from 'node:path';
import { TunesmithError } from '../errors/index.ts';
import { fileExists, folderExists } from './files.ts';
import { readError } from './fs-errors.ts';

/**
 * Files for names, folders and patterns, in order and each once. A folder stands for the files in it, however deep, that `isWanted` takes;
 * in a pattern `*` and `?` stay within a name, `**` goes through folders. What starts with a dot is left out. A name that is there is never a
 * pattern; one that is not there is passed on, so that its reader says so.
 *
 * @param isWanted takes a path and says whether a folder stands for it too
 * @throws FILE_NOT_FOUND if a folder or a pattern stands for no file, FILE_UNREADABLE
 */
export function expandFiles(names: readonly string[], isWanted: (path: string) => boolean): string[] {
  return [...new Set(names.flatMap((name) => expandOne(name, isWanted)))];
}

function expandOne(name: string, isWanted: (path: string) => boolean): string[] {
  if (fileExists(name)) return [name];
  const isFolder = folderExists(name);
  if (!isFolder && !/[*?]/.test(name)) return [name];
  const found = isFolder ? filesIn(name).filter(isWanted) : matching(name.replaceAll('\\', '/'));
  if (found.length > 0) return found;
  const message = isFolder ? 'is a folder without a data file.' : 'is a pattern that no file matches.';
  throw new TunesmithError('FILE_NOT_FOUND', { message, file: name });
}

function matching(pattern: string): string[] {
  const parts = pattern.split('/');
  const fixed = parts.slice(
    0,
    parts.findIndex((part) => /[*?]/.test(part)),
  );
  const root = fixed.length === 0 ? '.' : fixed.join('/') || '/';
  if (!folderExists(root)) return [];
  const expression = patternExpression(pattern);
  const depth = parts.includes('**') ? Number.POSITIVE_INFINITY : parts.length - fixed.length;
  return filesIn(root, depth)
    .map((file) => (root === '.' ? posix.normalize(file.replaceAll('\\', '/')) : file.replaceAll('\\', '/')))
    .filter((file) => expression.test(file));
}

function patternExpression(pattern: string): RegExp {
  const source = posix
    .normalize(pattern)
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*\*\/|\*\*|\*|\?/g, (wild) =>
      wild === '**/' ? '(?:[^/]+/)*' : wild === '**' ? '.*' : wild === '*' ? '[^/]*' : '[^/]',
    );
  return new RegExp(`^${source}$`);
}

/** All files in a folder, sorted, at most `depth` levels down. */
function filesIn(folder: string, depth = Number.POSITIVE_INFINITY): string[] {
  let entries: { name: string; isDirectory(): boolean; isFile(): boolean; isSymbolicLink(): boolean }[];
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    throw readError(error, folder);
  }
  return entries
    .filter(({ name }) => !name.startsWith('.'))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      // Links to folders are not followed: they may lead around in a circle.
      if (entry.isDirectory()) return depth > 1 ? filesIn(path, depth - 1) : [];
      return entry.isFile() || (entry.isSymbolicLink() && fileExists(path)) ? [path] : [];
    });
}
