import { join } from 'node:path';
import { TunesmithError } from '../errors/index.ts';
import {
  fileExists,
  readJson,
  readSafetensorsHeader,
  type StoredTensor,
  type TensorToWrite,
  writeAtomic,
  writeSafetensors,
} from '../io/index.ts';
import type { Shape } from '../tensor/tensor.ts';
import { type AdapterSpec, resolveAdapter } from './adapter.ts';
import { architectureOf, linearModules } from './architectures.ts';
import type { ModelConfig } from './config.ts';
import { layerTensor } from './names.ts';

/** Two tensors of one adapted module. */
export type LoraPart = 'lora_A' | 'lora_B';

/** What an adapter makes of its base: a model that goes on writing, or one that classifies. */
export type AdapterTask = 'CAUSAL_LM' | 'SEQ_CLS';

/** A classifier's head [K, D] in an adapter file, as peft saves a module in full. */
export const SCORE_NAME = 'base_model.model.score.weight';

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

/** peft's name of an adapter tensor. */
export function peftName(model: Pick<ModelConfig, 'modelType'>, layer: number, module: string, part: LoraPart): string {
  return `base_model.model.${layerTensor(model, layer, module)}.${part}.weight`;
}

/** Every tensor of an adapter, by peft's name, in the order of layers and modules. */
export function adapterTensors(config: ModelConfig, spec: AdapterSpec): Map<string, Shape> {
  const tensors = new Map<string, Shape>();
  for (const [layer, adapted] of spec.modules.entries()) {
    for (const m of linearModules(config, layer)) {
      const lora = adapted.get(m.module);
      if (lora === undefined) continue;
      tensors.set(peftName(config, layer, m.module, 'lora_A'), [lora.rank, m.in]);
      tensors.set(peftName(config, layer, m.module, 'lora_B'), [m.out, lora.rank]);
    }
  }
  return tensors;
}

/** Keys of adapter_config.json that change the result and are not computed here; each must be absent, null, false or empty. */
const UNSUPPORTED = [
  'use_dora',
  'target_parameters',
  'trainable_token_indices',
  'layer_replication',
  'alora_invocation_tokens',
  'use_qalora',
  'use_bdlora',
  'lora_bias',
  'exclude_modules',
  'arrow_config',
  'monteclora_config',
  'velora_config',
  'kasa_config',
] as const;

/**
 * Opens an adapter folder in PEFT's layout.
 *
 * @param task a classifier may start from an adapter of either task; what writes takes none of a classifier
 * @throws ADAPTER_CONFIG, ADAPTER_UNSUPPORTED, ADAPTER_MISMATCH, ADAPTER_TARGETS, CLASSIFIER_USE
 */
export function openPeft(folder: string, config: ModelConfig, task: AdapterTask = 'CAUSAL_LM'): PeftAdapter {
  const file = join(folder, 'adapter_config.json');
  const weights = join(folder, 'adapter_model.safetensors');
  for (const path of [file, weights]) {
    if (!fileExists(path)) throw new TunesmithError('ADAPTER_CONFIG', { file: path, message: 'is not there.' });
  }
  const json = readJson(file) as Readonly<Record<string, unknown>>;
  const isClassifier = json.task_type === 'SEQ_CLS';
  if (isClassifier && task !== 'SEQ_CLS') {
    throw new TunesmithError('CLASSIFIER_USE', { file: folder, message: 'is a classifier, which writes no text.' });
  }
  refuseUnsupported(json, file);
  const spec = resolveAdapter(config, {
    rank: positive(json, 'r', file),
    alpha: positive(json, 'lora_alpha', file),
    rsLora: json.use_rslora === true,
    dropout: typeof json.lora_dropout === 'number' ? json.lora_dropout : 0,
    targets: targetsOf(json.target_modules, file),
    layers: layersOf(json.layers_to_transform),
    rankPattern: (json.rank_pattern ?? {}) as Record<string, number>,
    alphaPattern: (json.alpha_pattern ?? {}) as Record<string, number>,
  });
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

function refuseUnsupported(json: Readonly<Record<string, unknown>>, file: string): void {
  if (json.peft_type !== 'LORA') {
    throw new TunesmithError('ADAPTER_UNSUPPORTED', {
      file,
      message: `peft_type "${String(json.peft_type)}" is not LORA.`,
    });
  }
  for (const key of UNSUPPORTED) {
    const value = json[key];
    const empty =
      value === undefined || value === null || value === false || (Array.isArray(value) && value.length === 0);
    if (!empty) throw new TunesmithError('ADAPTER_UNSUPPORTED', { file, message: `${key} is not supported.` });
  }
  const saved = Array.isArray(json.modules_to_save) ? (json.modules_to_save as unknown[]) : [];
  // peft lists both names that a head may have for every classifier.
  const other = saved.find((name) => json.task_type !== 'SEQ_CLS' || (name !== 'score' && name !== 'classifier'));
  if (other !== undefined) {
    const message = `modules_to_save holds ${String(other)}, which is not supported.`;
    throw new TunesmithError('ADAPTER_UNSUPPORTED', { file, message });
  }
  if (json.bias !== undefined && json.bias !== 'none') {
    throw new TunesmithError('ADAPTER_UNSUPPORTED', { file, message: `bias "${String(json.bias)}" is not none.` });
  }
}

function positive(json: Readonly<Record<string, unknown>>, key: string, file: string): number {
  const value = json[key];
  if (typeof value === 'number' && value > 0) return value;
  throw new TunesmithError('ADAPTER_CONFIG', {
    file,
    message: `${key} must be a positive number, got ${JSON.stringify(value)}.`,
  });
}

function targetsOf(value: unknown, file: string): string | readonly string[] {
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.every((v): v is string => typeof v === 'string')) return value;
  throw new TunesmithError('ADAPTER_CONFIG', {
    file,
    message: 'target_modules is neither a text nor a list of names.',
  });
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
  const expected = adapterTensors(config, spec);
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
    if (!expected.has(name))
      throw new TunesmithError('ADAPTER_MISMATCH', { file, message: `tensor ${name} has no place in the model.` });
  }
}

/** What an adapter folder says of the base that it belongs to. */
export interface AdapterOrigin {
  /** Hub id, written to base_model_name_or_path. */
  readonly baseModel: string | undefined;
  readonly baseHash: string;
}

/** Writes a folder that peft loads unchanged (a classifier's with its head); no times or paths go in, so equal adapters are equal bytes. */
export function writePeft(
  folder: string,
  spec: AdapterSpec,
  tensors: readonly TensorToWrite<'F32'>[],
  origin: AdapterOrigin,
  task: AdapterTask = 'CAUSAL_LM',
): void {
  writeAtomic(join(folder, 'adapter_config.json'), `${JSON.stringify(adapterConfig(spec, origin, task), null, 2)}\n`);
  writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors, { base_sha256: origin.baseHash });
}

function adapterConfig(spec: AdapterSpec, origin: AdapterOrigin, task: AdapterTask): Record<string, unknown> {
  const rankPattern: Record<string, number> = {};
  const alphaPattern: Record<string, number> = {};
  for (const [layer, adapted] of spec.modules.entries()) {
    for (const [module, { rank, scale }] of adapted) {
      const alpha = scale * (spec.rsLora ? Math.sqrt(rank) : rank);
      if (rank !== spec.rank) rankPattern[layerTensor(spec, layer, module)] = rank;
      if (Math.abs(alpha - spec.alpha) > 1e-6 * spec.alpha) alphaPattern[layerTensor(spec, layer, module)] = alpha;
    }
  }
  const isPattern =
    typeof spec.targets === 'string' && spec.targets !== 'all-linear' && !/^[\w.,\s]+$/.test(spec.targets);
  return {
    alpha_pattern: alphaPattern,
    auto_mapping: null,
    base_model_name_or_path: origin.baseModel ?? null,
    bias: 'none',
    fan_in_fan_out: architectureOf(spec).isTransposed,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: spec.layers ?? null,
    lora_alpha: spec.alpha,
    lora_dropout: spec.dropout,
    modules_to_save: task === 'SEQ_CLS' ? ['score'] : null,
    peft_type: 'LORA',
    r: spec.rank,
    rank_pattern: rankPattern,
    revision: null,
    target_modules: isPattern && spec.layers === undefined ? spec.targets : targetNames(spec),
    task_type: task,
    use_dora: false,
    use_rslora: spec.rsLora,
  };
}

/** Short module names where every chosen layer has the same ones, full names otherwise. */
function targetNames(spec: AdapterSpec): string[] {
  const chosen = spec.modules
    .map((m, layer) => ({ layer, names: [...m.keys()] }))
    .filter(({ names }) => names.length > 0);
  const first = chosen[0]?.names ?? [];
  const layers = spec.layers?.length ?? spec.modules.length;
  const uniform = chosen.length === layers && chosen.every(({ names }) => String(names) === String(first));
  const names = uniform
    ? first.map((module) => module.split('.').at(-1)!)
    : chosen.flatMap(({ layer, names: modules }) => modules.map((module) => layerTensor(spec, layer, module)));
  return names.sort();
}
