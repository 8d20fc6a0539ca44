import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileExists, readText } from '../io/files.ts';
import type { HubSettings } from '../registry/pull.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * How the hub is spoken to, by the variables that Hugging Face's own tools go by: HF_ENDPOINT, HF_TOKEN or the file that their login writes,
 * HF_HUB_CACHE, HF_HOME, HF_HUB_OFFLINE.
 */
export function hubSettings(env: Environment, offline: boolean): HubSettings {
  const cacheHome = env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const home = expanded(env.HF_HOME || join(cacheHome, 'huggingface'));
  return {
    endpoint: env.HF_ENDPOINT || undefined,
    token:
      env.HF_TOKEN?.trim() ||
      env.HUGGING_FACE_HUB_TOKEN?.trim() ||
      tokenIn(expanded(env.HF_TOKEN_PATH || join(home, 'token'))),
    hubCache: expanded(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, 'hub')),
    offline: offline || isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE),
  };
}

function tokenIn(file: string): string | undefined {
  return fileExists(file) ? readText(file).trim() || undefined : undefined;
}

function isTrue(value: string | undefined): boolean {
  return /^(1|on|yes|true)$/i.test(value ?? '');
}

function expanded(path: string): string {
  return path.replace(/^~(?=$|[/\\])/, homedir());
}
