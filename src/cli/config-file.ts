import { extname, join } from 'node:path';
import { isNode, LineCounter, parseDocument } from 'yaml';
import { TunesmithError } from '../errors/index.ts';
import { fileExists, readJson, readText } from '../io/files.ts';
import { importDefault } from '../io/load-module.ts';

/** A config as its file has it. */
export interface ConfigFile {
  readonly file: string;
  readonly value: Record<string, unknown>;
  /** The line of a dotted path or of the nearest key above it, from 1. */
  lineOf(path: string): number | undefined;
}

const NAMES = ['ts', 'mts', 'js', 'mjs', 'json', 'yaml', 'yml'].map((end) => `tunesmith.config.${end}`);

/** The config of a folder, found by its name. @throws CONFIG_AMBIGUOUS if there are several */
export function findConfig(folder: string): string | undefined {
  const found = NAMES.filter((name) => fileExists(join(folder, name)));
  if (found.length > 1) {
    const message = `${found.join(' and ')} stand side by side.`;
    throw new TunesmithError('CONFIG_AMBIGUOUS', { message, fix: `name one: tunesmith train ${found[0]}` });
  }
  return found[0];
}

/** Reads a config of any kind. @throws FILE_NOT_FOUND, FILE_NOT_JSON, CONFIG_BROKEN */
export async function readConfig(file: string): Promise<ConfigFile> {
  const text = readText(file);
  const kind = extname(file);
  let value: unknown;
  let lineOf: ConfigFile['lineOf'] = (path) => lineOfKey(text, path);
  if (kind === '.json' || kind === '.yaml' || kind === '.yml') {
    const counter = new LineCounter();
    // YAML holds JSON, so one parser tells the lines of both.
    const document = parseDocument(text, { lineCounter: counter });
    const fault = document.errors[0];
    value = kind === '.json' ? readJson(file) : document.toJS();
    if (fault !== undefined) throw broken(file, fault.message.split('\n')[0] ?? '', counter.linePos(fault.pos[0]).line);
    lineOf = (path) => {
      for (let keys = path.split('.'); keys.length > 0; keys = keys.slice(0, -1)) {
        const node = document.getIn(keys, true);
        if (isNode(node) && node.range) return counter.linePos(node.range[0]).line;
      }
      return undefined;
    };
  } else if (/^\.[mc]?[tj]s$/.test(kind)) value = await importConfig(file);
  else throw broken(file, 'is no .ts, .js, .json or .yaml file');
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw broken(file, kind.endsWith('s') ? 'has no default export that is a config' : 'holds no config');
  }
  return { file, value: value as Record<string, unknown>, lineOf };
}

async function importConfig(file: string): Promise<unknown> {
  try {
    return await importDefault(file);
  } catch (cause) {
    const why = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
    throw new TunesmithError('CONFIG_BROKEN', { message: `cannot be loaded: ${why}`, file, cause });
  }
}

/** In code the place of a key can only be guessed: the first line that sets the path's last key, or one above it. */
function lineOfKey(text: string, path: string): number | undefined {
  const lines = text.split('\n');
  for (const key of path.split('.').reverse()) {
    const at = lines.findIndex((line) =>
      new RegExp(`(^|[^\\w$])['"]?${key.replace(/[^\w]/g, '\\$&')}['"]?\\s*:`).test(line),
    );
    if (at >= 0) return at + 1;
  }
  return undefined;
}

function broken(file: string, message: string, line?: number): TunesmithError {
  return new TunesmithError('CONFIG_BROKEN', { message: `${message.replace(/\.$/, '')}.`, file, line });
}
