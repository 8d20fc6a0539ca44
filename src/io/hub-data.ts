import { dirname, join } from 'node:path';
import { z } from 'zod';
import { nearestName, TunesmithError } from '../errors/index.ts';
import { makeFolder, writeAtomic } from './atomic.ts';
import { fileExists, fileSize, readJson } from './files.ts';
import { download, requireDisk } from './http.ts';
import { type HubFile, type HubOptions, hubDataset, hubHeaders, hubRefusal } from './hub.ts';
import { type HubId, parseHubId } from './hub-id.ts';
import { takeLock } from './lock.ts';

/** A data set of the hub, or a part of it: `datasets/OWNER/NAME[@REVISION][:PART]`. */
export interface DataId extends HubId {
  /** A split, a configuration, `CONFIGURATION/SPLIT`, or a file of the repository. */
  readonly part: string | undefined;
}

/** Reads the id of a data set: with `datasets/`, `hf:` or `hf://datasets/` before it. Undefined for what is none. */
export function parseDataId(text: string): DataId | undefined {
  const named = /^(?:hf:\/\/datasets\/|hf:(?:datasets\/)?|datasets\/)(.+)$/.exec(text)?.[1];
  const [, own = '', part] = /^([^:]+)(?::(.+))?$/.exec(named ?? '') ?? [];
  const id = parseHubId(own);
  return id === undefined ? undefined : { ...id, part };
}

/** What and how to fetch. */
export interface DataPullOptions extends HubOptions {
  /** The cache folder. */
  readonly home: string;
  /** Nothing is asked of the network. */
  readonly offline?: boolean | undefined;
  readonly onEvent?: ((event: DataPullEvent) => void) | undefined;
}

/** What happens while a data set is fetched. */
export type DataPullEvent =
  | { readonly type: 'source'; readonly source: string; readonly bytes: number; readonly commit: string }
  | { readonly type: 'progress'; readonly file: string; readonly bytes: number; readonly total: number | undefined };

const Fetched = z.object({
  id: z.string(),
  commit: z.string(),
  files: z.array(z.object({ name: z.string(), bytes: z.number() })),
});

/**
 * The files of a data set of the hub, in the cache: fetched unless they are there, verified by the hashes that the hub states.
 *
 * @param text the id as it was given
 * @returns paths of the files, those of one split
 * @throws DATA_HUB if it is not there, holds no data, or has several splits and none is named; MODEL_GATED, DOWNLOAD_*, DISK_FULL
 */
export async function pullDataset(text: string, id: DataId, options: DataPullOptions): Promise<string[]> {
  const folder = join(options.home, 'datasets', id.repo.replace('/', '--'));
  const record = join(folder, `${encodeURIComponent(`${id.revision}:${id.part ?? ''}`)}.json`);
  const known = cached(folder, record);
  if (known !== undefined) return known;
  if (options.offline === true) {
    throw new TunesmithError('DATA_HUB', {
      message: `${text} is not on this machine, and the network is not to be used.`,
      fix: 'leave out --offline and HF_HUB_OFFLINE, or name files.',
    });
  }
  const { commit, files } = await hubDataset(id, options);
  const chosen = chooseFiles(text, id, files);
  const bytes = chosen.reduce((sum, file) => sum + file.bytes, 0);
  options.onEvent?.({ type: 'source', source: `hub datasets/${id.repo}`, bytes, commit });
  const at = join(folder, commit);
  makeFolder(at);
  requireDisk(bytes, record);
  const lock = takeLock(join(at, 'fetch.lock'));
  if (lock.kind === 'refused') {
    const message = `process ${lock.holder.pid} on ${lock.holder.host} is fetching ${text}.`;
    throw new TunesmithError('DATA_HUB', { message, fix: 'run it again when that one is done.' });
  }
  try {
    for (const file of chosen) await fetchOne(file, at, id, options);
    const named = chosen.map((file) => ({ name: file.name, bytes: file.bytes }));
    writeAtomic(record, `${JSON.stringify({ id: text, commit, files: named }, null, 2)}\n`);
  } finally {
    lock.release();
  }
  return chosen.map((file) => join(at, file.name));
}

function cached(folder: string, record: string): string[] | undefined {
  if (!fileExists(record)) return undefined;
  const read = Fetched.safeParse(readJson(record));
  if (!read.success) return undefined;
  const files = read.data.files.map(({ name, bytes }) => ({ path: join(folder, read.data.commit, name), bytes }));
  const isWhole = files.every(({ path, bytes }) => fileExists(path) && fileSize(path) === bytes);
  return isWhole ? files.map(({ path }) => path) : undefined;
}

async function fetchOne(file: HubFile, folder: string, id: DataId, options: DataPullOptions): Promise<void> {
  const path = join(folder, file.name);
  if (fileExists(path) && fileSize(path) === file.bytes) return;
  makeFolder(dirname(path));
  await download({
    ...{ url: file.url, path, digest: file.digest, bytes: file.bytes, signal: options.signal },
    refusal: hubRefusal(id, options, false, 'data set'),
    onBusy: options.onBusy,
    ...(options.backoff === undefined ? {} : { backoff: options.backoff }),
    headers: hubHeaders(options),
    reachWithin: options.reachWithin ?? 30_000,
    onProgress: (bytes, total) => options.onEvent?.({ type: 'progress', file: file.name, bytes, total }),
  });
}

const DATA = /\.(parquet|jsonl|ndjson|json|csv|tsv|txt)(\.gz)?$/i;
/** Files beside the data, and paths that would lead out of a folder. */
const BESIDE = /(^|\/)(\.|\.\.\/)|(^|\/)(dataset_infos?|dataset_dict|state|README|LICENSE|requirements)[^/]*$/i;

/** Files of one configuration and split. */
interface Slice {
  readonly name: string;
  readonly config: string | undefined;
  readonly split: string;
  readonly files: readonly HubFile[];
}

function chooseFiles(text: string, id: DataId, files: readonly HubFile[]): readonly HubFile[] {
  const data = files.filter(({ name }) => DATA.test(name) && !BESIDE.test(name) && !name.includes('\\'));
  if (data.length === 0) {
    const message = `${text} holds no file of data that is read here, only ${files
      .slice(0, 5)
      .map(({ name }) => name)
      .join(', ')}.`;
    throw new TunesmithError('DATA_HUB', { message });
  }
  const exact = data.filter(({ name }) => name === id.part);
  if (exact.length > 0) return exact;
  const slices = slicesOf(data);
  const matching = slices.filter(
    ({ name, config, split }) => id.part === undefined || [name, config, split].includes(id.part),
  );
  const [only] = matching;
  if (matching.length === 1 && only !== undefined) return only.files;
  const names = (matching.length === 0 ? slices : matching).map(({ name }) => name);
  const base = `datasets/${id.repo}${id.revision === 'main' ? '' : `@${id.revision}`}`;
  const listed = names.slice(0, 12).map((name) => `${base}:${name}`);
  const near = matching.length === 0 ? nearestName(id.part ?? '', names) : undefined;
  throw new TunesmithError('DATA_HUB', {
    message:
      matching.length === 0
        ? `${base} has no split ${id.part}, but ${names.slice(0, 12).join(', ')}.`
        : `${text} has ${names.length} splits: ${names.slice(0, 12).join(', ')}${names.length > 12 ? ', ...' : ''}.`,
    fix: near === undefined ? `name one: ${listed.join(' or ')}` : `did you mean ${base}:${near}?`,
  });
}

const SPLITS: Readonly<Record<string, string>> = {
  ...{ train: 'train', training: 'train', test: 'test', testing: 'test', eval: 'test', evaluation: 'test' },
  ...{ validation: 'validation', valid: 'validation', val: 'validation', dev: 'validation' },
};

/** Files by configuration (a folder) and split (a word in the name), as the hub itself guesses them; of several forms of one split the first is taken. */
function slicesOf(files: readonly HubFile[]): Slice[] {
  const slices = new Map<string, { config: string | undefined; split: string; files: HubFile[] }>();
  for (const file of files) {
    const { config, split } = placeOf(file.name);
    const key = `${config ?? ''}/${split}`;
    const slice = slices.get(key) ?? { config, split, files: [] };
    slices.set(key, slice);
    slice.files.push(file);
  }
  return [...slices.values()].map(({ config, split, files: all }) => {
    const forms = ['parquet', 'jsonl', 'json', 'csv', 'tsv'];
    const form = forms.find((name) => all.some((file) => formOf(file.name) === name));
    const own = form === undefined ? all : all.filter((file) => formOf(file.name) === form);
    return { name: config === undefined ? split : `${config}/${split}`, config, split, files: own };
  });
}

const formOf = (name: string) => DATA.exec(name)?.[1]?.toLowerCase().replace('ndjson', 'jsonl');

function placeOf(name: string): { readonly config: string | undefined; readonly split: string } {
  const folders = name.replace(DATA, '').split('/');
  const file = folders.pop() ?? '';
  const words = (part: string) => part.toLowerCase().split(/[^a-z]+/);
  const splitIn = (part: string) =>
    words(part).flatMap((word) => (Object.hasOwn(SPLITS, word) ? [SPLITS[word]!] : []))[0];
  const own = splitIn(file);
  const above = folders.findLast((folder) => splitIn(folder) !== undefined);
  const config = folders.filter((folder) => folder !== 'data' && folder !== above).join('/') || undefined;
  const split = own ?? (above === undefined ? undefined : splitIn(above));
  // What names no split is a part of its own; numbers of shards belong to one.
  return { config, split: split ?? (file.replace(/[-_.]?\d+(?:-of-\d+)?(?:-[0-9a-f]{8,})?$/, '') || 'train') };
}
