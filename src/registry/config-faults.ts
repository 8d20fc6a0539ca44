import type { z } from 'zod';
import { type ErrorDetails, nearestName, TunesmithError } from '../errors/index.ts';
import type { ConfigLayer, Given } from './config.ts';
import { configFields } from './fields.ts';

/** A config, or a section of it, before validation. */
export type Raw = Readonly<Record<string, unknown>>;

/** The value at a dotted path. */
function at(raw: Raw, path: string): unknown {
  return path.split('.').reduce<unknown>((inner, key) => (isRaw(inner) ? inner[key] : undefined), raw);
}

function isRaw(value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What an adapter to start from brings: all that is said of it but its method, which is checked, and the dropout, a matter of the training. */
export function broughtByAdapter(): string[] {
  const left = ['weights.kind', 'weights.dropout'];
  return configFields().flatMap(({ path }) => (path.startsWith('weights.') && !left.includes(path) ? [path] : []));
}

/** Pairs of which the second would contradict the first, or have no effect beside it. */
export function conflicts(given: Given): TunesmithError[] {
  const { raw } = given;
  const has = (path: string) => given.giver(path) !== undefined;
  const found: TunesmithError[] = [];
  const clash = (first: string, second: string, why: string) => {
    const [one, other] = [nameOf(first, given), nameOf(second, given)];
    found.push(conflict(`${one} and ${other} do not go together: ${why}.`, second, given));
  };
  if (has('train.steps') && has('train.epochs')) clash('train.steps', 'train.epochs', 'each says when training ends');
  for (const union of ['method', 'weights']) {
    const kind =
      at(raw, `${union}.kind`) ?? configFields().find(({ path }) => path === `${union}.kind`)?.schema.default;
    for (const { path, kinds } of configFields().filter((field) => field.path.startsWith(`${union}.`))) {
      if (kinds.length === 0 || kinds.includes(String(kind)) || !has(path)) continue;
      const message = `${nameOf(path, given)} has no effect on ${union} ${String(kind)}, only on ${kinds.join(', ')}.`;
      found.push(conflict(message, path, given));
    }
  }
  if (has('method.fromScratch')) {
    const own = (path: string) => at(raw, path) !== at(raw, 'method.fromScratch');
    if (own('model')) clash('method.fromScratch', 'model', 'a new model starts from no other');
    if (at(raw, 'weights.kind') !== 'full') {
      clash('method.fromScratch', 'weights.kind', 'all weights of a new model train');
    }
  }
  if (at(raw, 'output.eval') === true) {
    if (at(raw, 'method.kind') === 'classify') clash('method.kind', 'output.eval', 'what gives labels cannot speak');
    if (has('method.fromScratch')) clash('method.fromScratch', 'output.eval', 'a new model had nothing to forget');
  }
  if (has('initAdapter')) {
    if (at(raw, 'weights.kind') === 'full') {
      clash('initAdapter', 'weights.kind', 'an adapter trains in place of the whole model');
    } else {
      for (const path of broughtByAdapter().filter(has)) clash('initAdapter', path, 'the adapter brings its own');
    }
  }
  if (at(raw, 'data.valid') === 'none') {
    for (const path of ['train.patience', 'output.evalEvery'].filter(has)) {
      clash('data.valid', path, 'without validation rows nothing is evaluated');
    }
  }
  const [batch, micro] = [at(raw, 'train.batch') ?? 16, at(raw, 'train.microBatch')];
  if (typeof batch === 'number' && typeof micro === 'number' && micro > batch) {
    clash('train.batch', 'train.microBatch', `a step has only ${batch} rows to compute at once`);
  }
  return found;
}

function conflict(message: string, path: string, given: Given): TunesmithError {
  return new TunesmithError('CLI_OPTION_CONFLICT', { message, ...placeOf(path, given) });
}

/** The file and line that gave a value; none for flags, code and other runs. */
function placeOf(path: string, { giver, layers }: Given): Pick<ErrorDetails, 'file' | 'line'> {
  const layer = giver(path) ?? layers.find(({ kind }) => kind === 'file');
  return layer?.kind === 'file' ? { file: layer.file, line: layer.lineOf(path) } : {};
}

/** A path as the one who gave it wrote it, or as the first one would have: as a flag or as a key. */
function nameOf(path: string, { giver, layers }: Given): string {
  const layer = giver(path) ?? layers[0];
  return layer?.kind === 'flags' ? `--${layer.flagOf(path)}` : path;
}

/** What is wrong, by an issue of the schema. */
export function configFault(issue: z.core.$ZodIssue, given: Given): TunesmithError[] {
  return innermost(issue).flatMap((inner) => fromIssue(inner, given));
}

/** Of a union, what is wrong in the branch that was meant: the one that got beyond the kind of the value. */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union') return [issue];
  const meant = issue.errors.find((branch) => branch.some((inner) => inner.path.length > 0));
  if (meant === undefined) return [issue];
  return meant.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })).flatMap(innermost);
}

function fromIssue(issue: z.core.$ZodIssue, given: Given): TunesmithError[] {
  const path = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(path, key, given));
  const value = at(given.raw, path);
  if (value === undefined && path === 'model')
    return [missing('no model is named', 'smollm2-135m-instruct', path, given)];
  if (value === undefined && (path === 'data' || path === 'data.train')) {
    return [missing('no training rows are named', 'FILE', 'data.train', given)];
  }
  // An element of a list was given with the list.
  const giver = issue.path.map((_, i) => given.giver(issue.path.slice(0, i + 1).join('.'))).findLast((one) => one);
  const message = `${nameOf(path, given)} ${JSON.stringify(value)}: ${reasonOf(issue)}.`;
  if (giver?.kind === 'flags') return [new TunesmithError('CLI_OPTION_VALUE', { message })];
  return [new TunesmithError('CONFIG_VALUE', { message, ...placeOf(path, given) })];
}

function missing(what: string, example: string, path: string, { layers }: Given): TunesmithError {
  const top: ConfigLayer | undefined = layers.at(-1);
  const key = path === 'data.train' ? 'data' : path;
  const fix = top?.kind === 'code' ? `${key}: '${example}'` : `--${key} ${example}`;
  return new TunesmithError('CLI_ARGUMENT', { message: `${what}.`, fix });
}

/** What zod says of the value, of all branches of a union the last, which is the widest. */
function reasonOf(issue: z.core.$ZodIssue): string {
  const inner = issue.code === 'invalid_union' ? issue.errors.at(-1)?.[0] : undefined;
  return inner === undefined ? issue.message.replace(/^Invalid input: /, '') : reasonOf(inner);
}

function unknownKey(section: string, key: string, given: Given): TunesmithError {
  const path = section === '' ? key : `${section}.${key}`;
  const fields = configFields();
  if (fields.some((field) => field.path === path)) {
    return conflict(`${nameOf(path, given)} has no effect on this kind of ${section}.`, path, given);
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
    ...placeOf(path, given),
    fix: near === undefined ? `its keys are ${[...siblings].join(', ')}` : `did you mean ${near}?`,
  });
}
