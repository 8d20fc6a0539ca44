import { TunesmithError } from '../errors/index.ts';
import { RunConfig } from '../train/config.ts';
import { configFault, conflicts, type Raw } from './config-faults.ts';
import { configFields } from './fields.ts';
import { flatten } from './runs.ts';

/** A config with every default filled in, and where each value comes from. */
export interface ResolvedConfig {
  readonly config: RunConfig;
  /** By dotted path: `flag --lr`, `config tunesmith.config.ts`, `run support-v1`, `code` or `default`. */
  readonly origins: Readonly<Record<string, string>>;
}

/** Values that somebody gave, in the shape of the config, and how that somebody calls them. */
export type ConfigLayer =
  | { readonly kind: 'flags'; readonly value: Raw; readonly flagOf: (path: string) => string }
  | {
      readonly kind: 'file';
      readonly value: Raw;
      readonly file: string;
      /** The line of a dotted path or of the nearest key above it, from 1. */
      readonly lineOf: (path: string) => number | undefined;
    }
  /** What another run was told. */
  | { readonly kind: 'run'; readonly value: Raw; readonly name: string }
  | { readonly kind: 'code'; readonly value: Raw };

/** The values that were given, laid over each other, and who gave each. */
export interface Given {
  readonly raw: Raw;
  readonly layers: readonly ConfigLayer[];
  /** The uppermost layer that has a path and was not overruled. */
  readonly giver: (path: string) => ConfigLayer | undefined;
}

/**
 * Lays values over each other, fills in the defaults and validates the whole, so that every fault is found in one pass.
 *
 * @param layers the later go before the earlier
 * @throws CLI_OPTION_VALUE, CLI_OPTION_CONFLICT, CONFIG_KEY_UNKNOWN, CONFIG_VALUE, CLI_ARGUMENT; an AggregateError where there are several
 */
export function resolveLayers(layers: readonly ConfigLayer[]): ResolvedConfig {
  const laid = lay(layers.map((layer) => ({ ...layer, value: normalise(layer.value) })));
  const given = { ...laid, ...withNewModel(laid) };
  const parsed = RunConfig.safeParse(withKinds(given.raw));
  // A value of another kind shows up as an unknown key too; the conflict says it better.
  const clashes = conflicts(given);
  const issues = parsed.success ? [] : parsed.error.issues.flatMap((issue) => configFault(issue, given));
  const faults = [
    ...clashes,
    ...(clashes.length > 0 ? issues.filter((e) => e.code !== 'CLI_OPTION_CONFLICT') : issues),
  ];
  if (faults.length > 1) throw new AggregateError(faults, faults.map((fault) => fault.message).join('\n'));
  if (faults[0] !== undefined) throw faults[0];
  if (!parsed.success) throw new Error(`internal: the config is refused without a reason: ${parsed.error.message}`);
  const origins = Object.keys(flatten(parsed.data)).map((path) => [path, originOf(path, given.giver(path))]);
  return { config: parsed.data, origins: Object.fromEntries(origins) };
}

function originOf(path: string, layer: ConfigLayer | undefined): string {
  if (layer === undefined) return 'default';
  switch (layer.kind) {
    case 'flags':
      return `flag --${layer.flagOf(path)}`;
    case 'file':
      return `config ${layer.file}`;
    case 'run':
      return `run ${layer.name}`;
    case 'code':
      return 'code';
    default:
      return layer satisfies never;
  }
}

/** `data: 'x.jsonl'` is short for `data: { train: 'x.jsonl' }`. */
function normalise(value: Raw): Raw {
  return typeof value.data === 'string' || Array.isArray(value.data)
    ? { ...value, data: { train: value.data } }
    : value;
}

/** A layer that chooses another kind, or steps instead of epochs, takes the place of what those beneath it have. */
function lay(layers: readonly ConfigLayer[]): Given {
  const raw: Record<string, unknown> = {};
  const givers = new Map<string, ConfigLayer>();
  const drop = (section: string, key?: string) => {
    const there = raw[section];
    if (key === undefined) delete raw[section];
    else if (isSection(there)) delete there[key];
    const lost = key === undefined ? `${section}.` : `${section}.${key}`;
    for (const path of givers.keys())
      if (path === lost || (key === undefined && path.startsWith(lost))) givers.delete(path);
  };
  for (const layer of layers) {
    for (const [section, value] of Object.entries(layer.value)) {
      if (value === undefined) continue;
      const there = raw[section];
      if (isSection(value) && isSection(there) && value.kind !== undefined && value.kind !== there.kind) drop(section);
      if (isSection(value) && section === 'train') {
        if (value.steps !== undefined) drop(section, 'epochs');
        if (value.epochs !== undefined) drop(section, 'steps');
      }
      const under = raw[section];
      const own = isSection(value) ? Object.entries(value).filter(([, inner]) => inner !== undefined) : [];
      raw[section] = isSection(value) ? { ...(isSection(under) ? under : {}), ...Object.fromEntries(own) } : value;
      for (const path of isSection(value) ? own.map(([key]) => `${section}.${key}`) : [section])
        givers.set(path, layer);
    }
  }
  return { raw, layers, giver: (path) => givers.get(path) };
}

/** A new model is called after its config, and all its weights train. What follows from `--from-scratch` comes from who gave that. */
function withNewModel({ raw, giver }: Given): Pick<Given, 'raw' | 'giver'> {
  const { method, model, weights = {} } = raw;
  if (!isSection(method) || method.fromScratch === undefined || !isSection(weights)) return { raw, giver };
  const implied = new Set<string>();
  if (model === undefined) implied.add('model');
  if (weights.kind === undefined) implied.add('weights.kind');
  return {
    raw: { ...raw, model: model ?? method.fromScratch, weights: { kind: 'full', ...weights } },
    giver: (path) => giver(implied.has(path) ? 'method.fromScratch' : path),
  };
}

/** A union without its kind is of the first kind. */
function withKinds(raw: Raw): Raw {
  const filled: Record<string, unknown> = { ...raw };
  for (const { path, schema } of configFields().filter((field) => field.path.endsWith('.kind'))) {
    const [section = ''] = path.split('.');
    const value = raw[section];
    if (isSection(value) && value.kind === undefined) filled[section] = { kind: schema.default, ...value };
  }
  return filled;
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @throws CONFIG_VALUE for what is no config at all */
export function requireObject(value: unknown): Raw {
  if (isSection(value)) return value;
  throw new TunesmithError('CONFIG_VALUE', { message: `a config is an object, not ${JSON.stringify(value)}.` });
}
