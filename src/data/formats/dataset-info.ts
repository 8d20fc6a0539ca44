import { basename, dirname, join } from 'node:path';
import { TunesmithError } from '../../errors/index.ts';
import { fileExists, readJson } from '../../io/files.ts';
import { isRecord } from '../../io/json-checks.ts';
import type { Role } from '../../text/messages.ts';
import type { Fields } from '../shapes.ts';

/** The name of the file in which LLaMA-Factory describes the data files beside it. */
export const DATASET_INFO = 'dataset_info.json';

/** How LLaMA-Factory's description says that a file is to be read. */
export interface FileNotes {
  /** The key of the description, for people. */
  readonly name: string;
  /** Renames columns to those of Alpaca or ShareGPT rows, and the keys of messages. */
  apply(fields: Fields): Fields;
  /** Roles of the file that have another name than ours. */
  readonly roles: Readonly<Record<string, Role>>;
}

/** LLaMA-Factory's columns as ours, where they are not called so. */
const COLUMNS: Readonly<Record<string, string>> = {
  prompt: 'instruction',
  query: 'input',
  response: 'output',
  messages: 'conversations',
};
/** Names that its columns have if a description does not say. */
const DEFAULTS: Readonly<Record<string, string>> = {
  prompt: 'instruction',
  query: 'input',
  response: 'output',
  messages: 'conversations',
};
const ROLE_TAGS: Readonly<Record<string, Role>> = {
  user_tag: 'user',
  assistant_tag: 'assistant',
  observation_tag: 'tool',
  system_tag: 'system',
};

/**
 * What a `dataset_info.json` beside the file says of it.
 *
 * @returns undefined if there is none, or if it does not name the file
 * @throws FILE_NOT_JSON, DATA_MESSAGE if the description is not as LLaMA-Factory writes it
 */
export function readDatasetInfo(path: string): FileNotes | undefined {
  const file = join(dirname(path), DATASET_INFO);
  if (basename(path) === DATASET_INFO || !fileExists(file)) return undefined;
  const all = readJson(file);
  if (!isRecord(all)) throw new TunesmithError('DATA_MESSAGE', { message: 'is no object of data sets.', file });
  for (const [name, info] of Object.entries(all)) {
    if (isRecord(info) && info.file_name === basename(path)) return notesOf(name, info, file);
  }
  return undefined;
}

function notesOf(name: string, info: Readonly<Record<string, unknown>>, file: string): FileNotes {
  const columns = stringsOf(info.columns, `${name}.columns`, file);
  const tags = stringsOf(info.tags, `${name}.tags`, file);
  const renames = new Map<string, string>();
  for (const [theirs, ours] of Object.entries(COLUMNS)) {
    const inFile = columns[theirs] ?? (info.columns === undefined ? DEFAULTS[theirs] : undefined);
    if (inFile !== undefined && inFile !== ours) renames.set(inFile, ours);
  }
  for (const same of ['system', 'tools', 'history', 'chosen', 'rejected', 'kto_tag', 'images']) {
    const inFile = columns[same];
    if (inFile !== undefined && inFile !== same) renames.set(inFile, same);
  }
  const roles: Record<string, Role> = {};
  for (const [tag, role] of Object.entries(ROLE_TAGS)) if (tags[tag] !== undefined) roles[tags[tag]] = role;
  const keys: [string, string][] = [
    [tags.role_tag ?? 'from', 'from'],
    [tags.content_tag ?? 'value', 'value'],
  ];
  const calls = tags.function_tag;
  const message = (value: unknown) => (isRecord(value) ? renameMessage(value, keys, calls) : value);
  const isPlainText = columns.prompt !== undefined && columns.response === undefined && columns.chosen === undefined;
  if (isPlainText && columns.messages === undefined) renames.set(columns.prompt ?? '', 'text');
  return {
    name,
    roles,
    apply: (fields) => {
      const renamed = Object.entries(fields).map(([key, value]): [string, unknown] => [renames.get(key) ?? key, value]);
      const result: Record<string, unknown> = Object.fromEntries(renamed);
      if (Array.isArray(result.conversations)) result.conversations = result.conversations.map(message);
      for (const answer of ['chosen', 'rejected'])
        if (isRecord(result[answer])) result[answer] = message(result[answer]);
      return result;
    },
  };
}

function renameMessage(
  value: Readonly<Record<string, unknown>>,
  keys: readonly (readonly [string, string])[],
  calls: string | undefined,
): Fields {
  const names = new Map(keys);
  const renamed = Object.entries(value).map(([key, v]): [string, unknown] => {
    const name = names.get(key) ?? key;
    return [name, name === 'from' && v === calls ? 'function_call' : v];
  });
  return Object.fromEntries(renamed);
}

function stringsOf(value: unknown, what: string, file: string): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {};
  if (isRecord(value) && Object.values(value).every((v) => typeof v === 'string' || v === null)) {
    return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== null)) as Record<string, string>;
  }
  throw new TunesmithError('DATA_MESSAGE', { message: `has ${what} that are not names.`, file });
}
