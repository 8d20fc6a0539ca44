import { join } from 'node:path';
import { TunesmithError } from '../errors/index.ts';
import { type CachedModel, type PullEvent, pullModel } from '../io/cache.ts';
import { fileExists, readJson } from '../io/files.ts';
import { hubCachedGgufs } from '../io/hub-cache.ts';
import { formatHubId, parseHubId } from '../io/hub-id.ts';
import { isRecord } from '../io/json-checks.ts';
import { nearestKnown } from '../model/catalogue.ts';
import { parseHfConfig } from '../model/config.ts';
import type { ModelReference } from './models.ts';

/** How the hub is spoken to, and what other tools have of it on this machine. */
export interface HubSettings {
  /** Address of the hub or of a mirror (default: the public one). */
  readonly endpoint?: string | undefined;
  /** For models behind a licence. Sent to the endpoint only. */
  readonly token?: string | undefined;
  /** The folder in which Hugging Face's own tools keep what they download. */
  readonly hubCache?: string | undefined;
  /** Nothing is asked of the network. */
  readonly offline?: boolean | undefined;
}

/** What goes with a pull. */
export interface PullSettings {
  /** The cache folder. */
  readonly home: string;
  readonly hub: HubSettings;
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: (event: PullEvent) => void;
}

/**
 * Pulls a model that is not here. An architecture that is not computed here is refused before its weights are fetched.
 *
 * @throws MODEL_OFFLINE, MODEL_NOT_FOUND with the nearest names of the catalogue, MODEL_UNSUPPORTED, and what {@link pullModel} throws
 */
export async function pullMissing(
  missing: ModelReference & { readonly kind: 'missing' },
  { home, hub, signal, onEvent }: PullSettings,
): Promise<CachedModel> {
  const { id, sources } = missing;
  try {
    return await pullModel({
      id,
      sources,
      home,
      signal,
      endpoint: hub.endpoint,
      token: hub.token,
      offline: hub.offline === true,
      check: (folder) => checkConfig(folder, missing.hubId),
      ...(onEvent === undefined ? {} : { onEvent }),
    });
  } catch (error) {
    throw error instanceof TunesmithError ? withFix(error, missing, hub) : error;
  }
}

/** The folder is the cache's, and gone once this throws: the message names the file as the hub does. */
function checkConfig(folder: string, hubId: string): void {
  const path = join(folder, 'config.json');
  if (!fileExists(path)) {
    throw new TunesmithError('MODEL_NOT_FOUND', { message: `${hubId} holds no config.json of a model.` });
  }
  const json = readJson(path);
  const file = `${hubId}/config.json`;
  if (!isRecord(json)) throw new TunesmithError('MODEL_CONFIG', { message: 'is not a JSON object.', file });
  parseHfConfig(json, file);
}

function withFix(error: TunesmithError, { id, known }: ModelReference & { kind: 'missing' }, hub: HubSettings) {
  const { code, details } = error;
  if (code === 'MODEL_NOT_FOUND' && details.fix === undefined && known === undefined) {
    const near = nearestKnown(id);
    const fix = near.length === 0 ? undefined : `did you mean ${near.join(' or ')}?`;
    return new TunesmithError(code, { ...details, fix });
  }
  const named = code === 'MODEL_OFFLINE' ? parseHubId(id) : undefined;
  if (named === undefined || hub.hubCache === undefined) return error;
  const ggufs = hubCachedGgufs(hub.hubCache, named);
  if (ggufs.length === 0) return error;
  const names = ggufs.map((file) => formatHubId({ ...named, file }));
  return new TunesmithError(code, { ...details, fix: `of this repository these files are here: ${names.join(', ')}` });
}
