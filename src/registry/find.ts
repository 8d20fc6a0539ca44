import { homedir } from 'node:os';
import { join } from 'node:path';
import type { PullEvent } from '../io/cache.ts';
import { type LocatedModel, locateModel, type Pull } from './locate.ts';
import type { Places } from './models.ts';
import { type HubSettings, pullMissing } from './pull.ts';

/** Where models and runs are looked for, and how missing models are fetched. */
export interface FindOptions {
  readonly signal?: AbortSignal;
  /** The cache of models; `~/.cache/tunesmith` if not given. */
  readonly home?: string;
  /** The folder in which runs are looked for by name; `runs` if not given. */
  readonly runs?: string;
  /** How the hub is spoken to: endpoint, token, offline. No variable of the environment is read. */
  readonly hub?: HubSettings;
  /** Told how the pull of a missing model goes. */
  readonly onPull?: (event: PullEvent) => void;
}

/**
 * Finds a model by a catalogue name, a Hugging Face id, a path, or the name of a run, and pulls it if it is not here. What it returns can be
 * given to `score()` and `openModel()`; `path` also to `openModelSource()`.
 *
 * @throws MODEL_NOT_FOUND, RUN_NOT_FOUND, RUN_CHECKPOINT_NOT_FOUND, FILE_NOT_FOUND, MODEL_OFFLINE, DOWNLOAD_*
 */
export async function findModel(name: string, options: FindOptions = {}): Promise<LocatedModel> {
  const { places, pull } = finding(options);
  return locateModel(name, places, pull);
}

/** The defaults filled in. */
export function finding(options: FindOptions): { readonly places: Places; readonly pull: Pull } {
  const { hub = {}, signal, onPull, home = join(homedir(), '.cache', 'tunesmith'), runs = 'runs' } = options;
  const told = onPull === undefined ? {} : { onEvent: onPull };
  return {
    places: { home, runs, hubCache: hub.hubCache },
    pull: (missing) => pullMissing(missing, { home, hub, signal, ...told }),
  };
}
