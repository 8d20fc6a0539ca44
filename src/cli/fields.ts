import { type ConfigField, configFields } from '../registry/fields.ts';
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

/** Flags that are not called after the last word of their path. */
const NAMES: Readonly<Record<string, string>> = {
  'data.train': 'data',
  'forget.generalText': 'forget-general-text',
  'forget.suite': 'forget-suite',
};
const VALUES: Readonly<Record<string, string>> = {
  model: 'MODEL',
  'data.train': 'FILE',
  'data.valid': 'FILE|FRACTION|none',
  'data.system': 'TEXT|FILE',
  'data.allow': 'CODE,...',
  'data.map': 'THEIRS=OURS,...',
  'data.role': 'THEIRS=OURS,...',
  'method.replay': 'FILE|self',
  'method.replayPrompts': 'FILE',
  'forget.generalText': 'PERCENT',
  'forget.suite': 'POINTS',
  'method.fromScratch': 'CONFIG',
  'method.rewardHead': 'FILE',
  'method.reward': 'REWARD',
  'weights.addTokens': 'TOKEN,...|FILE',
  initAdapter: 'DIR',
  'output.out': 'DIR',
  'output.name': 'NAME',
  'compute.memory': 'SIZE',
};
/** Headings of the sections in the help. */
const GROUPS: Readonly<Record<string, string>> = {
  method: 'Objective',
  weights: 'What trains',
  train: 'Training',
  forget: 'Budget of forgetting',
  output: 'What is kept',
  compute: 'Machine',
};

/** Every field of the run's config with its flag, in the order of the schema. */
export function configFlags(): readonly Field[] {
  return configFields().map(flagOf);
}

/** The flags of `train` that set the config. */
export function configOptions(): OptionSpecs {
  return Object.fromEntries(configFlags().map((field) => [field.flag, field.spec]));
}

/** `train.weightDecay` to `weight-decay`, `weights.kind` to `weights`. */
function flagName(path: string): string {
  const words = path.split('.');
  const word = words.at(-1) === 'kind' ? words[0] : words.at(-1);
  return NAMES[path] ?? (word ?? path).replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
}

/** Options of some kinds only stand together. */
function groupOf(path: string, kinds: readonly string[]): string {
  const section = path.split('.')[0]!;
  return kinds.length > 0 ? `With --${section} ${kinds.join(', ')}` : (GROUPS[section] ?? 'Model and data');
}

function flagOf({ path, schema, kinds }: ConfigField): Field {
  const types = (schema.anyOf ?? [schema]).map((one) => one.type);
  const array = types.includes('array');
  const reads =
    path === 'data.train' || path === 'method.reward'
      ? 'files'
      : types.includes('number') && types.length > 1
        ? 'number-or-text'
        : 'value';
  const text = array || types.length > 1;
  const type = text ? 'string' : (types[0] as OptionSpec['type']);
  const preset = schema.default;
  const shown = preset === undefined || (Array.isArray(preset) && preset.length === 0) ? undefined : String(preset);
  const value = VALUES[path] ?? (type === 'number' || type === 'integer' ? 'N' : undefined);
  const spec: OptionSpec = {
    type,
    description: schema.description ?? '',
    ...(value === undefined ? {} : { value }),
    ...(schema.enum === undefined ? {} : { choices: schema.enum }),
    ...(shown === undefined ? {} : { default: shown }),
    ...(type === 'boolean' ? { negatable: true } : {}),
    ...(reads === 'files' ? { many: true } : {}),
    group: groupOf(path, kinds),
  };
  const flag = flagName(path);
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
