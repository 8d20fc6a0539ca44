import { join } from 'node:path';
import { TunesmithError } from '../errors/index.ts';
import {
  fileExists,
  readJson,
  readSafetensorsHeader,
  readStored,
  type StoredTensor,
  type TensorToWrite,
  writeAtomic,
  writeSafetensors,
} from '../io/index.ts';
import { f32, type HostTensor, type Shape } from '../tensor/tensor.ts';
import {
  type AdapterRequest,
  type AdapterSpec,
  embedTensor,
  HEAD_TENSOR,
  resolveAdapter,
  targetNames,
} from './adapter.ts';
import {
  ADAPTER_KINDS,
  type AdaptedModule,
  type AdapterKind,
  methodOf,
  moduleTensors,
  type SharedTensor,
} from './adapters/index.ts';
import { type PeftReader, peftReader } from './adapters/peft-reader.ts';
import { joinedShape, joinFactor, splitFactor } from './adapters/start.ts';
import { isList } from './adapters/targets.ts';
import type { LinearModule } from './architecture.ts';
import { architectureOf, linearModules } from './architectures.ts';
import type { ModelConfig } from './config.ts';
import { layerTensor } from './names.ts';
import { readTokenRows, tokenTensors, writeTokenRows } from './token-rows.ts';
import { expectedTensors } from './weights.ts';

/** A PEFT adapter folder that fits a model. */
export interface PeftAdapter {
  readonly spec: AdapterSpec;
  /** By peft's tensor name. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** sha256 of the base that it was trained on, where the file says it. */
  readonly baseHash: string | undefined;
  readonly baseModel: string | undefined;
  /** The head of a classifier. */
  readonly score: StoredTensor | undefined;
}

/** What an adapter makes of its base: a model that goes on writing, or one that classifies. */
export type AdapterTask = 'CAUSAL_LM' | 'SEQ_CLS';

/** What peft puts before the name of a tensor of the model. */
export const PEFT_PREFIX = 'base_model.model.';

/** A classifier's head [K, D] in an adapter file, as peft saves a module in full. */
export const SCORE_NAME = `${PEFT_PREFIX}score.weight`;

/** peft's name of a tensor of an adapted module, such as its `lora_A.weight`. */
export function peftName(model: Pick<ModelConfig, 'modelType'>, layer: number, module: string, part: string): string {
  return `${PEFT_PREFIX}${layerTensor(model, layer, module)}.${part}`;
}

/** A trained tensor of an adapted module. */
export interface AdapterTensor {
  readonly layer: number;
  readonly size: LinearModule;
  readonly module: AdaptedModule;
  /** What follows the module's name. */
  readonly part: string;
  readonly shape: Shape;
}

/** The trained tensors of the adapted modules, in the order of layers and modules. */
export function* moduleTensorsOf(config: ModelConfig, spec: AdapterSpec): Generator<AdapterTensor> {
  for (const [layer, adapted] of spec.modules.entries()) {
    for (const size of linearModules(config, layer)) {
      const module = adapted.get(size.module);
      if (module === undefined) continue;
      for (const [part, shape] of Object.entries(moduleTensors(module, size))) {
        yield { layer, size, module, part, shape };
      }
    }
  }
}

/** Everything that an adapter trains, by peft's name: what its modules have, then what trains in full beside them. */
export function adapterTensors(config: ModelConfig, spec: AdapterSpec): Map<string, Shape> {
  const tensors = new Map<string, Shape>();
  for (const { layer, size, part, shape } of moduleTensorsOf(config, spec)) {
    tensors.set(peftName(config, layer, size.module, part), shape);
  }
  for (const name of spec.saved) tensors.set(`${PEFT_PREFIX}${name}`, savedShape(config, name));
  for (const { name, shape } of tokenTensors(config, spec)) tensors.set(`${PEFT_PREFIX}${name}`, shape);
  return tensors;
}

function savedShape(config: ModelConfig, name: string): Shape {
  const shape = expectedTensors(config).get(name === HEAD_TENSOR && config.tiedEmbeddings ? embedTensor(config) : name);
  if (shape === undefined) throw new Error(`internal: no tensor ${name}`);
  return shape;
}

/** Frozen tensors that the modules of an adapter share, by their names in the folder. */
export function sharedTensors(config: ModelConfig, spec: AdapterSpec): readonly SharedTensor[] {
  const sizes = spec.modules.flatMap((adapted, layer) =>
    linearModules(config, layer).filter(({ module }) => adapted.has(module)),
  );
  const shared = methodOf(spec.settings).shared?.(spec.settings, sizes) ?? [];
  return shared.map((tensor) => ({ ...tensor, name: `base_model.${tensor.name}` }));
}

/** What a folder holds: shapes by peft's name. */
function folderTensors(config: ModelConfig, spec: AdapterSpec): Map<string, Shape> {
  const trained = [...adapterTensors(config, spec)].map(
    ([name, shape]) => [name, isJoined(spec, name) ? joinedShape(name, shape) : shape] as const,
  );
  return new Map([...trained, ...sharedTensors(config, spec).map(({ name, shape }) => [name, shape] as const)]);
}

/** Whether the folder has this tensor together with what it was at the start. */
function isJoined({ settings }: AdapterSpec, name: string): boolean {
  return settings.kind === 'lora' && settings.start !== undefined && /\.lora_[AB]\.weight$/.test(name);
}

/**
 * Opens an adapter folder in PEFT's layout.
 *
 * @param task a classifier may start from an adapter of either task; what writes takes none of a classifier
 * @param own the adapter that the folder was written for, where it knows more than the folder says
 * @throws ADAPTER_CONFIG, ADAPTER_UNSUPPORTED, ADAPTER_MISMATCH, ADAPTER_TARGETS, CLASSIFIER_USE
 */
export function openPeft(
  folder: string,
  config: ModelConfig,
  task: AdapterTask = 'CAUSAL_LM',
  own?: AdapterSpec,
): PeftAdapter {
  const file = join(folder, 'adapter_config.json');
  const weights = join(folder, 'adapter_model.safetensors');
  for (const path of [file, weights]) {
    if (!fileExists(path)) throw new TunesmithError('ADAPTER_CONFIG', { file: path, message: 'is not there.' });
  }
  const json = readJson(file) as Json;
  const isClassifier = json.task_type === 'SEQ_CLS';
  if (isClassifier && task !== 'SEQ_CLS') {
    throw new TunesmithError('CLASSIFIER_USE', {
      file: folder,
      message: 'gives labels or rewards, and writes no text.',
    });
  }
  const spec = own ?? resolveAdapter(config, requestOf(json, config, file));
  const { tensors, metadata } = readSafetensorsHeader(weights);
  const byName = new Map(tensors.map((t) => [t.name, t]));
  const score = isClassifier ? scoreOf(byName, config, weights) : undefined;
  byName.delete(SCORE_NAME);
  checkTensors(config, spec, byName, weights);
  const baseModel = json.base_model_name_or_path;
  return {
    spec,
    tensors: byName,
    baseHash: metadata.base_sha256,
    baseModel: typeof baseModel === 'string' ? baseModel : undefined,
    score,
  };
}

function scoreOf(tensors: ReadonlyMap<string, StoredTensor>, { hiddenSize }: ModelConfig, file: string): StoredTensor {
  const score = tensors.get(SCORE_NAME);
  if (score?.shape.length === 2 && score.shape[1] === hiddenSize) return score;
  const message = `has no classifier head ${SCORE_NAME} [classes, ${hiddenSize}].`;
  throw new TunesmithError('ADAPTER_MISMATCH', { file, message });
}

type Json = Readonly<Record<string, unknown>>;

function requestOf(json: Json, config: ModelConfig, file: string): AdapterRequest {
  const reader = peftReader(json, file);
  const kind = kindOf(json, file);
  const { folder } = methodOf({ kind });
  for (const key of folder.refused) {
    if (!isEmpty(json[key])) reader.refuse(`${key} is not supported.`);
  }
  if (json.bias !== undefined && json.bias !== 'none') reader.refuse(`bias "${String(json.bias)}" is not none.`);
  const dropout = folder.dropoutKey === undefined ? 0 : json[folder.dropoutKey];
  return {
    settings: folder.read(reader),
    dropout: typeof dropout === 'number' ? dropout : 0,
    targets: reader.names('target_modules'),
    layers: folder.knowsLayers ? layersOf(json.layers_to_transform) : undefined,
    save: savedNames(reader),
    tied: json.ensure_weight_tying === true,
    tokenRows: readTokenRows(json.trainable_token_indices, config, file),
  };
}

/** What trains in full. peft lists both names that a head may have for every classifier. */
function savedNames({ json, names }: PeftReader): string[] {
  if (isEmpty(json.modules_to_save)) return [];
  const isHead = (name: string) => json.task_type === 'SEQ_CLS' && (name === 'score' || name === 'classifier');
  return [names('modules_to_save')].flat().filter((name) => !isHead(name));
}

/** The first method that has the folder's peft_type and refuses nothing in it, or else the last that has it, which says what it refuses. */
function kindOf(json: Json, file: string): AdapterKind {
  const forms = ADAPTER_KINDS.map((kind) => ({ kind, ...methodOf({ kind }).folder }));
  const those = forms.filter(({ peftType }) => peftType === json.peft_type);
  const found = those.find(({ refused }) => refused.every((key) => isEmpty(json[key]))) ?? those.at(-1);
  if (found !== undefined) return found.kind;
  const known = [...new Set(forms.map(({ peftType }) => peftType))].join(', ');
  throw new TunesmithError('ADAPTER_UNSUPPORTED', {
    file,
    message: `peft_type "${String(json.peft_type)}" is not one of ${known}.`,
  });
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === false || (Array.isArray(value) && value.length === 0);
}

function layersOf(value: unknown): readonly number[] | undefined {
  if (typeof value === 'number') return [value];
  return Array.isArray(value) ? (value as number[]) : undefined;
}

function checkTensors(
  config: ModelConfig,
  spec: AdapterSpec,
  tensors: ReadonlyMap<string, StoredTensor>,
  file: string,
): void {
  const expected = folderTensors(config, spec);
  // peft saves an embedding that stays tied under both of its names; so do we.
  const isTiedTwin = spec.tie === 'kept';
  for (const [name, shape] of expected) {
    const found = tensors.get(name);
    if (found === undefined) throw new TunesmithError('ADAPTER_MISMATCH', { file, message: `has no tensor ${name}.` });
    if (String(found.shape) !== String(shape)) {
      throw new TunesmithError('ADAPTER_MISMATCH', {
        file,
        message: `tensor ${name} is [${found.shape}], the model needs [${shape}].`,
      });
    }
  }
  for (const name of tensors.keys()) {
    if (!expected.has(name) && !(isTiedTwin && name === `${PEFT_PREFIX}${HEAD_TENSOR}`))
      throw new TunesmithError('ADAPTER_MISMATCH', { file, message: `tensor ${name} has no place in the model.` });
  }
}

/**
 * A trained tensor out of a folder's, with what it was at the start where the folder has the two together; undefined where the shape is another.
 *
 * @param name peft's
 */
export function storedTrained(
  spec: AdapterSpec,
  name: string,
  stored: StoredTensor,
  shape: Shape,
): { readonly trained: StoredTensor | HostTensor; readonly start?: HostTensor } | undefined {
  if (!isJoined(spec, name)) return String(stored.shape) === String(shape) ? { trained: stored } : undefined;
  if (String(stored.shape) !== String(joinedShape(name, shape))) return undefined;
  return splitFactor(name, f32(readStored(stored), stored.shape));
}

/** What an adapter folder says of the base that it belongs to. */
export interface AdapterOrigin {
  /** Hub id, written to base_model_name_or_path. */
  readonly baseModel: string | undefined;
  readonly baseHash: string;
}

/** What goes into an adapter folder beside what trains. */
export interface AdapterExtras {
  readonly task?: AdapterTask;
  /** What does not train and belongs to the adapter, by peft's name. */
  readonly constants?: ReadonlyMap<string, HostTensor>;
}

/** Writes a folder that peft loads unchanged (a classifier's with its head); no times or paths go in, so equal adapters are equal bytes. */
export function writePeft(
  folder: string,
  spec: AdapterSpec,
  tensors: readonly TensorToWrite<'F32'>[],
  origin: AdapterOrigin,
  { task = 'CAUSAL_LM', constants = new Map() }: AdapterExtras = {},
): void {
  const joined = tensors.map((tensor) => {
    if (!isJoined(spec, tensor.name)) return tensor;
    const start = constants.get(tensor.name);
    if (start === undefined) throw new Error(`internal: nothing says how ${tensor.name} began`);
    return {
      ...tensor,
      ...joinFactor(tensor.name, { dtype: 'f32', shape: tensor.shape, data: tensor.data as Float32Array }, start),
    };
  });
  const shared = [...constants].filter(([name]) => !isJoined(spec, name));
  const all = [
    ...joined,
    ...(spec.tie === 'kept' ? twins(spec, joined) : []),
    ...shared.map(([name, { shape, data }]) => ({ name, type: 'F32' as const, shape, data })),
  ];
  writeAtomic(join(folder, 'adapter_config.json'), `${JSON.stringify(adapterConfig(spec, origin, task), null, 2)}\n`);
  writeSafetensors(join(folder, 'adapter_model.safetensors'), all, { base_sha256: origin.baseHash });
}

/** peft reads an embedding that stays tied under both of its names. */
function twins({ embedding }: AdapterSpec, tensors: readonly TensorToWrite<'F32'>[]): TensorToWrite<'F32'>[] {
  return tensors
    .filter(({ name }) => name === `${PEFT_PREFIX}${embedding}`)
    .map((tensor) => ({ ...tensor, name: `${PEFT_PREFIX}${HEAD_TENSOR}` }));
}

function adapterConfig(spec: AdapterSpec, origin: AdapterOrigin, task: AdapterTask): Record<string, unknown> {
  const { folder } = methodOf(spec.settings);
  const adapted = spec.modules.flatMap((names, layer) =>
    [...names].map(([module, how]) => [layerTensor(spec, layer, module), how] as const),
  );
  const layers = folder.knowsLayers ? spec.layers : undefined;
  const isPattern = typeof spec.targets === 'string' && !isList(spec.targets);
  const targets = isPattern && spec.layers === undefined ? spec.targets : targetNames(spec);
  const saved = new Set(spec.saved.map((name) => name.replace(/\.(weight|bias)$/, '')));
  if (task === 'SEQ_CLS') saved.add('score');
  const { isTransposed } = architectureOf(spec);
  const entries: Record<string, unknown> = {
    fan_in_fan_out: isTransposed,
    auto_mapping: null,
    base_model_name_or_path: origin.baseModel ?? null,
    inference_mode: true,
    modules_to_save: saved.size === 0 ? null : [...saved],
    peft_type: folder.peftType,
    revision: null,
    target_modules: targets,
    task_type: task,
    ...(folder.dropoutKey === undefined ? {} : { [folder.dropoutKey]: spec.dropout }),
    ...(folder.knowsLayers ? { layers_pattern: null, layers_to_transform: layers ?? null } : {}),
    ...(spec.tie === 'kept' ? { ensure_weight_tying: true } : {}),
    ...(spec.tokenRows === undefined ? {} : { trainable_token_indices: writeTokenRows(spec, spec.tokenRows) }),
    ...folder.write(spec.settings, new Map(adapted), targets),
  };
  return Object.fromEntries(Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1)));
}
