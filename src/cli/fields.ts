import { z } from 'zod';
import { RunConfig } from '../train/config.ts';
import type { OptionSpec, OptionSpecs, OptionValue } from './command.ts';

/** A leaf of the run's config and the flag that sets it: both come from the one schema. */
export interface Field {
  /** Dotted: `train.weightDecay`. */
  readonly path: string;
  /** `weight-decay`. */
  readonly flag: string;
  readonly spec: OptionSpec;
  /** How the words of a command line become the value. */
  readonly reads: 'value' | 'number-or-text' | 'comma-list' | 'files';
  /** For parts of a union: the kinds that have the field. */
  readonly kinds: readonly string[];
}

interface Schema {
  readonly type?: string;
  readonly const?: string;
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
}

/** Flags that are not called after the last word of their path. */
const NAMES: Readonly<Record<string, string>> = { 'data.train': 'data' };
const VALUES: Readonly<Record<string, string>> = {
  model: 'MODEL',
  'data.train': 'FILE',
  'data.valid': 'FILE|FRACTION|none',
  'data.system': 'TEXT|FILE',
  'data.allow': 'CODE,...',
  'data.role': 'THEIRS=OURS,...',
  initAdapter: 'DIR',
  'output.out': 'DIR',
  'output.name': 'NAME',
  'compute.memory': 'SIZE',
};
const KINDS: Readonly<Record<string, string>> = {
  method: 'the objective',
  weights: 'what trains',
};

/** Every field of {@link RunConfig}, in the order of the schema. */
export function configFields(): readonly Field[] {
  const schema = z.toJSONSchema(RunConfig, { io: 'input' }) as Schema;
  return Object.entries(schema.properties ?? {}).flatMap(([name, part]) => sectionFields(name, part));
}

/** The flags of `train` that set the config. */
export function configOptions(): OptionSpecs {
  return Object.fromEntries(configFields().map((field) => [field.flag, field.spec]));
}

function sectionFields(name: string, schema: Schema): Field[] {
  const variants = schema.oneOf ?? [];
  if (variants.length > 0) return unionFields(name, variants);
  const object = schema.properties === undefined ? schema.anyOf?.find((one) => one.properties) : schema;
  if (object?.properties === undefined) return [field(name, schema, [])];
  return Object.entries(object.properties).map(([key, leaf]) => field(`${name}.${key}`, leaf, []));
}

function unionFields(name: string, variants: readonly Schema[]): Field[] {
  const kindOf = (variant: Schema) => variant.properties?.kind?.const ?? '';
  const choices = variants.map(kindOf);
  const spec: OptionSpec = { type: 'string', choices, description: KINDS[name] ?? name, default: choices[0] ?? '' };
  const keys = new Map<string, { leaf: Schema; kinds: string[] }>();
  for (const variant of variants) {
    for (const [key, leaf] of Object.entries(variant.properties ?? {})) {
      if (key === 'kind') continue;
      const known = keys.get(key) ?? { leaf, kinds: [] };
      keys.set(key, { leaf, kinds: [...known.kinds, kindOf(variant)] });
    }
  }
  return [
    { path: `${name}.kind`, flag: name, spec, reads: 'value', kinds: [] },
    ...[...keys].map(([key, { leaf, kinds }]) => field(`${name}.${key}`, leaf, kinds)),
  ];
}

function field(path: string, schema: Schema, kinds: readonly string[]): Field {
  const types = (schema.anyOf ?? [schema]).map((one) => one.type);
  const array = types.includes('array');
  const reads =
    path === 'data.train' ? 'files' : types.includes('number') && types.length > 1 ? 'number-or-text' : 'value';
  const text = array || types.length > 1;
  const type = text ? 'string' : (types[0] as OptionSpec['type']);
  const preset = schema.default;
  const shown = preset === undefined || (Array.isArray(preset) && preset.length === 0) ? undefined : String(preset);
  const flag = NAMES[path] ?? (path.split('.').at(-1) ?? path).replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
  const value = VALUES[path] ?? (type === 'number' || type === 'integer' ? 'N' : undefined);
  const spec: OptionSpec = {
    type,
    description: schema.description ?? '',
    ...(value === undefined ? {} : { value }),
    ...(schema.enum === undefined ? {} : { choices: schema.enum }),
    ...(shown === undefined ? {} : { default: shown }),
    ...(type === 'boolean' ? { negatable: true } : {}),
    ...(reads === 'files' ? { many: true } : {}),
  };
  return { path, flag, spec, reads: array && types.length === 1 ? 'comma-list' : reads, kinds };
}

/** The value that a flag gives its field. */
export function fieldValue(field: Field, value: OptionValue): unknown {
  switch (field.reads) {
    case 'value':
      return value;
    case 'comma-list':
      return String(value)
        .split(',')
        .map((word) => word.trim())
        .filter((word) => word !== '');
    case 'number-or-text':
      return value !== '' && Number.isFinite(Number(value)) ? Number(value) : value;
    case 'files':
      return Array.isArray(value) && value.length === 1 ? value[0] : value;
    default:
      return field.reads satisfies never;
  }
}
