import type { z } from 'zod';
import { nearestName, TunesmithError } from '../errors/index.ts';
import { flatten } from '../registry/runs.ts';
import { RunConfig } from '../train/config.ts';
import type { OptionValue } from './command.ts';
import type { ConfigFile } from './config-file.ts';
import { configFields, type Field, fieldValue } from './fields.ts';

/** A config with every default filled in, and where each value comes from. */
export interface ResolvedConfig {
  readonly config: RunConfig;
  /** By dotted path: `flag --lr`, `config tunesmith.config.ts` or `default`. */
  readonly origins: Readonly<Record<string, string>>;
}

/** A section before validation. */
type Raw = Record<string, unknown>;

/** The values that were given, by dotted path, and who gave them. */
interface Given {
  readonly flags: ReadonlyMap<string, string>;
  readonly file: ConfigFile | undefined;
  readonly has: (path: string) => boolean;
}

/**
 * Merges defaults < config file < flags and validates the whole, so that every fault is found in one pass.
 *
 * @param flags values by flag name; what is no field of the config is left alone
 * @throws CLI_OPTION_VALUE, CLI_OPTION_CONFLICT, CONFIG_KEY_UNKNOWN, CONFIG_VALUE, CLI_ARGUMENT; an AggregateError where there are several
 */
export function resolveConfig(
  flags: Readonly<Record<string, OptionValue | undefined>>,
  file: ConfigFile | undefined,
): ResolvedConfig {
  const fields = configFields();
  const set = fields.filter((field) => flags[field.flag] !== undefined);
  const byFlag = new Map(set.map((field) => [field.path, field.flag]));
  const raw = merge(set, flags, normalise(file?.value ?? {}));
  const fromFile = flatten(normalise(file?.value ?? {}));
  const has = (path: string) => byFlag.has(path) || (Object.hasOwn(fromFile, path) && at(raw, path) !== undefined);
  const given: Given = { flags: byFlag, file, has };
  const parsed = RunConfig.safeParse(raw);
  // A flag of another kind shows up as an unknown key too; the conflict says it better.
  const faults = conflicts(raw, given, fields);
  const issues = parsed.success
    ? []
    : parsed.error.issues.flatMap(innermost).flatMap((issue) => fromIssue(issue, raw, given, fields));
  const all = [...faults, ...(faults.length > 0 ? issues.filter((e) => e.code !== 'CLI_OPTION_CONFLICT') : issues)];
  if (all.length > 1) throw new AggregateError(all);
  if (all[0] !== undefined) throw all[0];
  if (!parsed.success) throw new Error(`internal: the config is refused without a reason: ${parsed.error.message}`);
  const origins = Object.keys(flatten(parsed.data)).map((path) => {
    const flag = byFlag.get(path);
    if (flag !== undefined) return [path, `flag --${flag}`];
    return [path, given.has(path) ? `config ${file?.file ?? ''}` : 'default'];
  });
  return { config: parsed.data, origins: Object.fromEntries(origins) };
}

/** `data: 'x.jsonl'` is short for `data: { train: 'x.jsonl' }`. */
function normalise(value: Raw): Raw {
  return typeof value.data === 'string' || Array.isArray(value.data)
    ? { ...value, data: { train: value.data } }
    : value;
}

/** Lays flags over the file. A flag that chooses another kind, or steps instead of epochs, takes the place of what the file has. */
function merge(set: readonly Field[], flags: Readonly<Record<string, OptionValue | undefined>>, file: Raw): Raw {
  const raw: Raw = structuredCloneOf(file);
  for (const { path, flag } of set) {
    const [section = '', key] = path.split('.');
    const there = raw[section];
    if (key === 'kind' && isSection(there) && there.kind !== flags[flag]) raw[section] = {};
    if (path === 'train.steps' && isSection(there)) delete there.epochs;
    if (path === 'train.epochs' && isSection(there)) delete there.steps;
  }
  for (const field of set) {
    const [section = '', key] = field.path.split('.');
    const value = fieldValue(field, flags[field.flag] ?? '');
    if (key === undefined) raw[section] = value;
    else raw[section] = { ...(isSection(raw[section]) ? raw[section] : {}), [key]: value };
  }
  for (const union of ['method', 'weights'] as const) {
    const section = raw[union];
    const first = configFields().find((field) => field.path === `${union}.kind`)?.spec.default;
    if (isSection(section) && section.kind === undefined) raw[union] = { kind: first, ...section };
  }
  return raw;
}

/** A copy of plain values; what is no plain value stays for validation to refuse. */
function structuredCloneOf(value: Raw): Raw {
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, isSection(v) ? structuredCloneOf(v) : v]));
}

function isSection(value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function at(raw: Raw, path: string): unknown {
  return path.split('.').reduce<unknown>((inner, key) => (isSection(inner) ? inner[key] : undefined), raw);
}

/** Pairs of which the second would contradict the first, or have no effect beside it. */
function conflicts(raw: Raw, given: Given, fields: readonly Field[]): TunesmithError[] {
  const found: TunesmithError[] = [];
  const clash = (first: string, second: string, why: string) => {
    const names = [first, second].map((path) => nameOf(path, given, fields));
    found.push(conflict(`${names[0]} and ${names[1]} do not go together: ${why}.`, given, second));
  };
  if (given.has('train.steps') && given.has('train.epochs')) {
    clash('train.steps', 'train.epochs', 'each says when training ends');
  }
  const kind = String(at(raw, 'weights.kind') ?? 'lora');
  for (const field of fields.filter((f) => f.kinds.length > 0 && !f.kinds.includes(kind) && given.has(f.path))) {
    const message = `${nameOf(field.path, given, fields)} has no effect on weights ${kind}, only on ${field.kinds.join(', ')}.`;
    found.push(conflict(message, given, field.path));
  }
  if (given.has('initAdapter')) {
    if (kind !== 'lora') clash('initAdapter', 'weights.kind', 'an adapter is trained as lora');
    else
      for (const key of ['rank', 'alpha', 'targets', 'layers'].filter((k) => given.has(`weights.${k}`))) {
        clash('initAdapter', `weights.${key}`, 'the adapter brings its own');
      }
  }
  if (at(raw, 'data.valid') === 'none') {
    for (const path of ['train.patience', 'output.evalEvery'].filter(given.has)) {
      clash('data.valid', path, 'without validation rows nothing is evaluated');
    }
  }
  const [batch, micro] = [at(raw, 'train.batch') ?? 16, at(raw, 'train.microBatch')];
  if (typeof batch === 'number' && typeof micro === 'number' && micro > batch) {
    clash('train.batch', 'train.microBatch', `a step has only ${batch} rows to compute at once`);
  }
  return found;
}

function conflict(message: string, given: Given, path: string): TunesmithError {
  if (given.flags.size > 0 || given.file === undefined) return new TunesmithError('CLI_OPTION_CONFLICT', { message });
  const { file } = given.file;
  return new TunesmithError('CLI_OPTION_CONFLICT', { message, file, line: given.file.lineOf(path) });
}

/** A path as the user wrote it: as a flag or as a key. */
function nameOf(path: string, given: Given, fields: readonly Field[]): string {
  const field = fields.find((f) => f.path === path);
  return given.flags.has(path) || given.file === undefined ? `--${field?.flag ?? path}` : path;
}

/** Of a union, what is wrong in the branch that was meant: the one that got beyond the kind of the value. */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union') return [issue];
  const meant = issue.errors.find((branch) => branch.some((inner) => inner.path.length > 0));
  if (meant === undefined) return [issue];
  return meant.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })).flatMap(innermost);
}

function fromIssue(issue: z.core.$ZodIssue, raw: Raw, given: Given, fields: readonly Field[]): TunesmithError[] {
  const path = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(path, key, given, fields));
  if (path === 'model' && at(raw, path) === undefined) {
    return [
      new TunesmithError('CLI_ARGUMENT', { message: 'no model is named.', fix: '--model smollm2-135m-instruct' }),
    ];
  }
  if ((path === 'data' || path === 'data.train') && at(raw, path) === undefined) {
    return [new TunesmithError('CLI_ARGUMENT', { message: 'no training rows are named.', fix: '--data FILE' })];
  }
  const flag = given.flags.get(path);
  const shown = JSON.stringify(at(raw, path));
  const message = `${flag === undefined ? path : `--${flag}`} ${shown}: ${reasonOf(issue)}.`;
  if (flag !== undefined) return [new TunesmithError('CLI_OPTION_VALUE', { message })];
  return [new TunesmithError('CONFIG_VALUE', { message, file: given.file?.file, line: given.file?.lineOf(path) })];
}

/** What zod says of the value, of all branches of a union the last, which is the widest. */
function reasonOf(issue: z.core.$ZodIssue): string {
  const inner = issue.code === 'invalid_union' ? issue.errors.at(-1)?.[0] : undefined;
  return inner === undefined ? issue.message.replace(/^Invalid input: /, '') : reasonOf(inner);
}

function unknownKey(section: string, key: string, given: Given, fields: readonly Field[]): TunesmithError {
  const path = section === '' ? key : `${section}.${key}`;
  const field = fields.find((f) => f.path === path);
  if (field !== undefined) {
    return conflict(`${nameOf(path, given, fields)} has no effect on this kind of ${section}.`, given, path);
  }
  const prefix = section === '' ? '' : `${section}.`;
  const siblings = new Set(
    fields.filter((f) => f.path.startsWith(prefix)).map((f) => f.path.slice(prefix.length).split('.')[0] ?? ''),
  );
  // A key may be right and only stand in the wrong section.
  const elsewhere = fields.find((f) => f.path.split('.').at(-1) === key);
  const near = elsewhere?.path ?? nearestName(key, siblings);
  return new TunesmithError('CONFIG_KEY_UNKNOWN', {
    message: `${section === '' ? 'a config' : section} has no key ${key}.`,
    file: given.file?.file,
    line: given.file?.lineOf(path),
    fix: near === undefined ? `its keys are ${[...siblings].join(', ')}` : `did you mean ${near}?`,
  });
}
