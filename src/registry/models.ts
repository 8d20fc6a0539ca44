import { basename, join } from 'node:path';
import { nearestName, TunesmithError } from '../errors/index.ts';
import { cachedModel, type ModelSource } from '../io/cache.ts';
import { fileExists, folderExists } from '../io/files.ts';
import { hubCached } from '../io/hub-cache.ts';
import { type HubId, parseHubId } from '../io/hub-id.ts';
import { type KnownModel, knownModel, nearestKnown } from '../model/catalogue.ts';
import { isRun, listRuns, type RunReference, tryResolveRun } from './runs.ts';

/** What a user means by MODEL. */
export type ModelReference =
  /** A .gguf file, or a folder in Hugging Face layout. */
  | {
      readonly kind: 'path';
      readonly path: string;
      readonly id: string;
      /** `owner/name`, as PEFT names the base. */
      readonly hubId: string | undefined;
      /** Whose cache it lies in, if it was named by id: ours, or that of Hugging Face's own tools. */
      readonly cache: 'own' | 'hub' | undefined;
    }
  /** A run: its base stands in its config, its weights or adapter in `run.weights`. */
  | { readonly kind: 'run'; readonly run: RunReference }
  /** Known or on the hub, and not yet in the cache. */
  | {
      readonly kind: 'missing';
      readonly id: string;
      readonly hubId: string;
      readonly known: KnownModel | undefined;
      readonly sources: readonly ModelSource[];
    };

/** Where models and runs are looked for. */
export interface Places {
  /** The cache folder. */
  readonly home: string;
  /** The folder that holds the runs. */
  readonly runs: string;
  /** The folder in which Hugging Face's own tools keep what they download. */
  readonly hubCache?: string | undefined;
}

/**
 * Finds out what a MODEL is: a run (`@last`, a name, a path), a .gguf file, a folder in Hugging Face layout, a name of the catalogue,
 * or a Hugging Face id (`owner/name`, with `@revision` and `:file.gguf` if need be); in this order.
 *
 * @throws MODEL_NOT_FOUND, RUN_NOT_FOUND, RUN_CHECKPOINT_NOT_FOUND, FILE_NOT_FOUND
 */
export function resolveModel(name: string, places: Places): ModelReference {
  const run = tryResolveRun(name, places.runs);
  if (run !== undefined) return { kind: 'run', run };
  if (name.startsWith('@')) throw new TunesmithError('RUN_NOT_FOUND', { message: `there is no run ${name}.` });
  const hub = parseHubId(name);
  if (name.toLowerCase().endsWith('.gguf') && hub?.file === undefined) {
    if (fileExists(name)) return local(name);
    throw new TunesmithError('FILE_NOT_FOUND', { message: 'is not there.', file: name });
  }
  if (folderExists(name)) return modelFolderAt(name);
  const known = knownModel(name);
  if (known !== undefined)
    return byId(known.id, { repo: known.hubId, revision: 'main', file: undefined }, known, places);
  if (hub !== undefined) return byId(name, hub, undefined, places);
  throw unknownName(name, places);
}

function byId(id: string, hub: HubId, known: KnownModel | undefined, places: Places): ModelReference {
  const hubId = hub.repo;
  const own = cachedModel(places.home, id);
  if (own !== undefined) return { kind: 'path', path: own.path, id, hubId, cache: 'own' };
  const others = places.hubCache === undefined ? undefined : hubCached(places.hubCache, hub);
  if (others !== undefined) return { kind: 'path', path: others.path, id, hubId, cache: 'hub' };
  const { repo, revision, file } = hub;
  const source: ModelSource = { kind: 'hub', repo, revision, ...(file === undefined ? {} : { file }) };
  return { kind: 'missing', id, hubId, known, sources: known?.sources ?? [source] };
}

function unknownName(name: string, places: Places): TunesmithError {
  const run = nearestName(
    name,
    listRuns(places.runs).map((one) => one.name),
  );
  const near = [...nearestKnown(name), ...(run === undefined ? [] : [run])];
  const fix = near.length === 0 ? undefined : `did you mean ${near.join(' or ')}?`;
  return new TunesmithError('MODEL_NOT_FOUND', { message: `${name} is no model that is known here.`, fix });
}

function modelFolderAt(path: string): ModelReference {
  if (fileExists(join(path, 'adapter_config.json'))) {
    const message = 'holds an adapter, not a model.';
    throw new TunesmithError('MODEL_NOT_FOUND', { message, file: path, fix: `--model BASE --adapter ${path}` });
  }
  if (fileExists(join(path, 'config.json')) && !isRun(path)) return local(path);
  throw new TunesmithError('MODEL_NOT_FOUND', { message: 'holds no config.json of a model.', file: path });
}

function local(path: string): ModelReference {
  return { kind: 'path', path, id: basename(path), hubId: undefined, cache: undefined };
}
