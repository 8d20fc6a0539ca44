import { z } from 'zod';
import { RunConfig } from '../train/config.ts';

/** What the schema says of a value, as JSON Schema. */
export interface FieldSchema {
  readonly type?: string;
  readonly const?: string;
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly description?: string;
  readonly anyOf?: readonly FieldSchema[];
}

/** A leaf of the run's config. */
export interface ConfigField {
  /** Dotted: `train.weightDecay`. */
  readonly path: string;
  readonly schema: FieldSchema;
  /** For parts of a union: the kinds that have the field. */
  readonly kinds: readonly string[];
}

interface Schema extends FieldSchema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
}

const KINDS: Readonly<Record<string, string>> = {
  method: 'the objective',
  weights: 'what trains',
};

/** Every leaf of {@link RunConfig}, in the order of the schema. */
export function configFields(): readonly ConfigField[] {
  const schema = z.toJSONSchema(RunConfig, { io: 'input' }) as Schema;
  return Object.entries(schema.properties ?? {}).flatMap(([name, part]) => sectionFields(name, part));
}

function sectionFields(name: string, schema: Schema): ConfigField[] {
  const variants = schema.oneOf ?? [];
  if (variants.length > 0) return unionFields(name, variants);
  const object = schema.properties === undefined ? schema.anyOf?.find((one) => one.properties) : schema;
  if (object?.properties === undefined) return [{ path: name, schema, kinds: [] }];
  return Object.entries(object.properties).map(([key, leaf]) => ({
    path: `${name}.${key}`,
    schema: leaf,
    kinds: [],
  }));
}

function unionFields(name: string, variants: readonly Schema[]): ConfigField[] {
  const kindOf = (variant: Schema) => variant.properties?.kind?.const ?? '';
  const choices = variants.map(kindOf);
  const keys = new Map<string, { leaf: Schema; kinds: string[] }>();
  for (const variant of variants) {
    for (const [key, leaf] of Object.entries(variant.properties ?? {})) {
      if (key === 'kind') continue;
      const known = keys.get(key) ?? { leaf, kinds: [] };
      keys.set(key, { leaf: joined(known.leaf, leaf), kinds: [...known.kinds, kindOf(variant)] });
    }
  }
  const kind = { type: 'string', enum: choices, default: choices[0], description: KINDS[name] ?? name };
  return [
    { path: `${name}.kind`, schema: kind, kinds: [] },
    ...[...keys].map(([key, { leaf, kinds }]) => ({ path: `${name}.${key}`, schema: leaf, kinds })),
  ];
}

/** A key of several kinds has the choices of all; the schema of its kind says which it takes. */
function joined(first: Schema, other: Schema): Schema {
  if (first.enum === undefined || other.enum === undefined) return first;
  return { ...first, enum: [...new Set([...first.enum, ...other.enum])] };
}
