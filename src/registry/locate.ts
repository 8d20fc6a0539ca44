import { join } from 'node:path';
import { TunesmithError } from '../errors/index.ts';
import type { CachedModel } from '../io/cache.ts';
import { fileExists, folderExists, readJson } from '../io/files.ts';
import { START } from '../train/context.ts';
import { type ModelReference, type Places, resolveModel } from './models.ts';
import { flatten } from './runs.ts';

/** Fetches a model that is not here yet. */
export type Pull = (missing: ModelReference & { readonly kind: 'missing' }) => Promise<CachedModel>;

/** Where the parts of a MODEL lie. */
export interface LocatedModel {
  /** A .gguf file or a folder in Hugging Face layout; for a run of full weights its folder of weights. */
  readonly path: string;
  /** The hub id of the base, where it is known. */
  readonly hubId: string | undefined;
  /** The PEFT folder of a run. */
  readonly adapter: string | undefined;
  /** The run that the model is. */
  readonly run: string | undefined;
}

/**
 * Finds the files of a MODEL, pulling it first if need be.
 *
 * @throws MODEL_NOT_FOUND, RUN_NOT_FOUND, RUN_CHECKPOINT_NOT_FOUND, FILE_NOT_FOUND, and what `pull` throws
 */
export async function locateModel(name: string, places: Places, pull: Pull): Promise<LocatedModel> {
  const found = resolveModel(name, places);
  if (found.kind === 'path') return { path: found.path, hubId: found.hubId, adapter: undefined, run: undefined };
  if (found.kind === 'missing') {
    return { path: (await pull(found)).path, hubId: found.hubId, adapter: undefined, run: undefined };
  }
  const { run, name: called, weights } = found.run;
  if (weights === undefined) {
    const fix = `tunesmith train --resume ${called}`;
    throw new TunesmithError('RUN_CHECKPOINT_NOT_FOUND', { message: `run ${called} has no checkpoint yet.`, fix });
  }
  const base = await locateBase(run, places, pull);
  if (configOf(run)['weights.kind'] === 'full') return { ...base, path: weights, run };
  return { ...base, adapter: weights, run };
}

/** The base model that a run was started with: where it lay then, or, if it is not there any more, what its name stands for now. A run that made its model holds it. */
export async function locateBase(run: string, places: Places, pull: Pull): Promise<LocatedModel> {
  const config = configOf(run);
  const { 'frozen.base.path': path, 'frozen.base.hubId': hubId } = config;
  if (typeof config['method.fromScratch'] === 'string') {
    return { path: join(run, START), hubId: undefined, adapter: undefined, run: undefined };
  }
  if (typeof path === 'string' && (fileExists(path) || folderExists(path))) {
    return { path, hubId: typeof hubId === 'string' ? hubId : undefined, adapter: undefined, run: undefined };
  }
  return locateModel(String(config.model), places, pull);
}

function configOf(run: string): Record<string, unknown> {
  return flatten(readJson(join(run, 'config.json')));
}
