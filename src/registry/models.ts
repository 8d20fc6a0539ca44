import { basename, join } from 'node:path';
import { nearestName, TunesmithError } from '../errors/index.ts';
import { cachedModel, type ModelSource } from '../io/cache.ts';
import { fileExists, folderExists } from '../io/files.ts';
import { isHubId, KNOWN_MODELS, type KnownModel, knownModel } from '../model/catalogue.ts';
import { isRun, listRuns, type RunReference, tryResolveRun } from './runs.ts';

/** What a user means by MODEL. */
export type ModelReference =
  /** A .gguf file, or a folder in Hugging Face layout. */
  | { readonly kind: 'path'; readonly path: string; readonly id: string; readonly hubId: string | undefined }
  /** A run: its base stands in its config, its weights or adapter in `run.weights`. */
  | { readonly kind: 'run'; readonly run: RunReference }
  /** Known or on the hub, and not yet in the cache. */
  | {
      readonly kind: 'missing';
      readonly id: string;
      readonly known: KnownModel | undefined;
      readonly sources: readonly ModelSource[];
    };

/** Where models and runs are looked for. */
export interface Places {
  /** The cache folder. */
  readonly home: string;
  /** The folder that holds the runs. */
  readonly runs: string;
}

/**
 * Finds out what a MODEL is: a run (`@last`, a name, a path), a .gguf file, a folder in Hugging Face layout, a name of the catalogue,
 * or a Hugging Face id; in this order.
 *
 * @throws MODEL_NOT_FOUND, RUN_NOT_FOUND, RUN_CHECKPOINT_NOT_FOUND, FILE_NOT_FOUND
 */
export function resolveModel(name: string, places: Places): ModelReference {
  const run = tryResolveRun(name, places.runs);
  if (run !== undefined) return { kind: 'run', run };
  if (name.startsWith('@')) throw new TunesmithError('RUN_NOT_FOUND', { message: `there is no run ${name}.` });
  if (name.toLowerCase().endsWith('.gguf')) {
    if (fileExists(name)) return local(name);
    throw new TunesmithError('FILE_NOT_FOUND', { message: 'is not there.', file: name });
  }
  if (folderExists(name)) return modelFolderAt(name);
  return byName(name, places);
}

function byName(name: string, places: Places): ModelReference {
  const known = knownModel(name);
  const id = known?.id ?? name;
  if (known === undefined && !isHubId(name)) {
    const names = [...KNOWN_MODELS.map((model) => model.id), ...listRuns(places.runs).map((run) => run.name)];
    const near = nearestName(name, names);
    const fix = near === undefined ? undefined : `did you mean ${near}?`;
    throw new TunesmithError('MODEL_NOT_FOUND', { message: `${name} is no model that is known here.`, fix });
  }
  const hubId = known?.hubId ?? name;
  const cached = cachedModel(places.home, id);
  if (cached !== undefined) return { kind: 'path', path: cached.path, id, hubId };
  const sources = known?.sources ?? [{ kind: 'hub', repo: name, revision: 'main' }];
  return { kind: 'missing', id, known, sources };
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
  return { kind: 'path', path, id: basename(path), hubId: undefined };
}
