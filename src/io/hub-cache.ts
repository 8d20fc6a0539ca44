import { join } from 'node:path';
import { z } from 'zod';
import { fileExists, folderExists, listFolder, readJson, readText } from './files.ts';
import type { HubId } from './hub-id.ts';

/** A model that another program has downloaded from the hub. */
export interface HubCached {
  /** The snapshot's folder, or the .gguf file in it. */
  readonly path: string;
  readonly commit: string;
}

/** A commit as it names the folder of a snapshot. */
const COMMIT = /^[0-9a-f]{40}$/;

/**
 * Looks for a model in the cache that Hugging Face's own tools keep: `models--owner--name/refs/main` holds the commit, `snapshots/COMMIT/` the files.
 * What is there in part counts as not there.
 *
 * @param cache the folder HF_HUB_CACHE
 */
export function hubCached(cache: string, id: HubId): HubCached | undefined {
  const found = snapshotOf(cache, id);
  if (found === undefined) return undefined;
  const { folder, commit } = found;
  if (id.file === undefined) return isWholeModel(folder) ? { path: folder, commit } : undefined;
  const path = join(folder, ...id.file.split('/'));
  return fileExists(path) ? { path, commit } : undefined;
}

/** The .gguf files that the cache holds of a repository. */
export function hubCachedGgufs(cache: string, id: HubId): string[] {
  const found = snapshotOf(cache, id);
  return found === undefined ? [] : listFolder(found.folder).filter((name) => /\.gguf$/i.test(name));
}

function snapshotOf(cache: string, { repo, revision }: HubId): { folder: string; commit: string } | undefined {
  const root = join(cache, `models--${repo.replace('/', '--')}`);
  const ref = join(root, 'refs', ...revision.split('/'));
  const commit = COMMIT.test(revision) ? revision : fileExists(ref) ? readText(ref).trim() : '';
  const folder = join(root, 'snapshots', commit);
  return COMMIT.test(commit) && folderExists(folder) ? { folder, commit } : undefined;
}

const Index = z.object({ weight_map: z.record(z.string(), z.string()) });

/** The shards that an index of safetensors names, each once; undefined for a file that is no such index. */
export function shardsOf(index: string): string[] | undefined {
  try {
    return [...new Set(Object.values(Index.parse(readJson(index)).weight_map))].sort();
  } catch {
    return undefined;
  }
}

/** Another program may have wanted only the tokenizer. A file that is being downloaded has no name in a snapshot yet. */
function isWholeModel(folder: string): boolean {
  const has = (name: string) => fileExists(join(folder, name));
  if (!has('config.json') || !(has('tokenizer.json') || has('tokenizer.model'))) return false;
  if (has('model.safetensors')) return true;
  const shards = has('model.safetensors.index.json')
    ? shardsOf(join(folder, 'model.safetensors.index.json'))
    : undefined;
  return shards !== undefined && shards.length > 0 && shards.every(has);
}
