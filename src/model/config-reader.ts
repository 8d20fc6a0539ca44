import { TunesmithError } from '../errors/index.ts';
import type { Activation, GgufFacts, LayerKind, ModelConfig, ModelType, RopeConfig } from './config.ts';

type Json = Readonly<Record<string, unknown>>;

/** Reads the values of a config.json, refusing what is missing, bad or not computed here. */
export interface ConfigReader {
  readonly json: Json;
  readonly file: string;
  /** A positive number, or the fallback where there is none. @throws MODEL_CONFIG */
  number(key: string, fallback?: number): number;
  /** True or false; the fallback (false, if none is given) where there is neither. */
  flag(key: string, fallback?: boolean): boolean;
  /** A list of this many entries; undefined where there is none. @throws MODEL_CONFIG */
  list(key: string, length: number): readonly unknown[] | undefined;
  /** @throws MODEL_UNSUPPORTED */
  refuse(message: string): never;
}

/** A {@link ConfigReader} of the keys that begin with the architecture's name. */
export interface GgufReader extends ConfigReader {
  readonly facts: GgufFacts;
}

/** Reads config.json. */
export function configReader(json: Json, file: string): ConfigReader {
  return {
    json,
    file,
    number: (key, fallback) => numberOf(json, key, file, fallback),
    flag: (key, fallback = false) => (typeof json[key] === 'boolean' ? json[key] : fallback),
    list: (key, length) => {
      const value = json[key] ?? undefined;
      if (value === undefined || (Array.isArray(value) && value.length >= length)) return value;
      throw new TunesmithError('MODEL_CONFIG', { file, message: `${key} is no list of ${length} entries.` });
    },
    refuse: (message) => {
      throw new TunesmithError('MODEL_UNSUPPORTED', { file, message });
    },
  };
}

/** Reads the metadata of a GGUF file; keys are given without the architecture's name. */
export function ggufReader(metadata: Json, architecture: string, facts: GgufFacts, file: string): GgufReader {
  const own = Object.entries(metadata).flatMap(([key, value]) =>
    key.startsWith(`${architecture}.`) ? [[key.slice(architecture.length + 1), value] as const] : [],
  );
  const eos = metadata['tokenizer.ggml.eos_token_id'];
  return { ...configReader({ ...Object.fromEntries(own), eos_token_id: eos }, file), facts };
}

function numberOf(json: Json, key: string, file: string, fallback?: number): number {
  const value = json[key] ?? undefined;
  if (value === undefined && fallback !== undefined) return fallback;
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw new TunesmithError('MODEL_CONFIG', {
      file,
      message: `${key} must be a positive number, got ${JSON.stringify(json[key])}.`,
    });
  }
  return value;
}

/** The same kind for every layer. */
export function everyLayer(layers: number, kind: LayerKind): readonly LayerKind[] {
  return Array.from({ length: layers }, () => kind);
}

const NO_BIASES: ModelConfig['biases'] = { qkv: false, output: false, mlp: false };

/** What transformers takes where config.json says nothing, and what it may say. */
export interface DecoderDefaults {
  readonly isTied?: boolean;
  readonly headDim?: number;
  /** Only a part of each head may turn. */
  readonly isPartial?: boolean;
}

/** Reads the keys of config.json that nearly all decoders have: rotary positions, no window, no biases. */
export function parseDecoder(r: ConfigReader, modelType: ModelType, defaults: DecoderDefaults = {}): ModelConfig {
  refuseUnsupported(r);
  const heads = r.number('num_attention_heads');
  const hiddenSize = r.number('hidden_size');
  const headDim = r.number('head_dim', defaults.headDim ?? hiddenSize / heads);
  const share = rotatedShare(r);
  if (share !== 1 && defaults.isPartial !== true) {
    r.refuse(`partial_rotary_factor ${share} is not supported for this architecture.`);
  }
  const layers = r.number('num_hidden_layers');
  return {
    modelType,
    hiddenSize,
    intermediateSize: r.number('intermediate_size'),
    layers,
    heads,
    kvHeads: r.number('num_key_value_heads', heads),
    headDim,
    rotaryDim: Math.floor(headDim * share),
    normEps: r.number('rms_norm_eps', 1e-6),
    rope: parseRope(r),
    localRope: undefined,
    layerKinds: everyLayer(layers, { rope: 'global', window: 0 }),
    attentionScale: headDim ** -0.5,
    embeddingScale: 1,
    activation: parseActivation(r),
    biases: NO_BIASES,
    vocabSize: r.number('vocab_size'),
    tiedEmbeddings: r.flag('tie_word_embeddings', defaults.isTied),
    maxPositions: Math.min(r.number('max_position_embeddings', 2048), shortRows(r)),
    eosIds: idsOf(r.json.eos_token_id),
  };
}

/** One id, a list of them, or none. */
export function idsOf(value: unknown): number[] {
  return [value].flat().filter((id): id is number => typeof id === 'number');
}

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  silu: 'silu',
  swish: 'silu',
  gelu_pytorch_tanh: 'geluTanh',
  gelu_new: 'geluTanh',
};

/** The activation of the feed-forward layers. @throws MODEL_UNSUPPORTED */
export function parseActivation(r: ConfigReader, fallback: Activation = 'silu'): Activation {
  const keys = ['hidden_activation', 'hidden_act', 'activation_function'];
  const key = keys.find((k) => typeof r.json[k] === 'string');
  if (key === undefined) return fallback;
  const given = String(r.json[key]);
  return ACTIVATIONS[given] ?? r.refuse(`${key} "${given}" is not one of: ${Object.keys(ACTIVATIONS).join(', ')}.`);
}

function refuseUnsupported(r: ConfigReader): void {
  const { json } = r;
  if (json.quantization_config !== undefined && json.quantization_config !== null) {
    r.refuse(
      'quantization_config: weights quantised by another program are not read from safetensors; use the original or a GGUF file.',
    );
  }
}

/**
 * Which layers have a window: as `layer_types` says, or where it is missing `isSliding`.
 *
 * @param window 0 for none at all
 */
export function slidingKinds(
  r: ConfigReader,
  layers: number,
  { window, isSliding }: { readonly window: number; readonly isSliding: (layer: number) => boolean },
): readonly LayerKind[] {
  const types = r.list('layer_types', layers);
  return Array.from({ length: layers }, (_, layer) => {
    const type = types?.[layer] ?? (isSliding(layer) ? 'sliding_attention' : 'full_attention');
    if (type !== 'sliding_attention' && type !== 'full_attention') {
      r.refuse(`layer_types "${String(type)}" is not one of: full_attention, sliding_attention.`);
    }
    return { rope: 'global', window: type === 'sliding_attention' ? window : 0 };
  });
}

/** The record that says how positions turn; transformers 5 may have one for each type of layer. */
function ropeRecord({ json }: ConfigReader, layerType = 'full_attention'): Json {
  const given = (json.rope_parameters ?? json.rope_scaling ?? {}) as Json;
  return (given[layerType] as Json | undefined) ?? given;
}

/**
 * Reads `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling`.
 *
 * @throws MODEL_UNSUPPORTED, MODEL_CONFIG
 */
export function parseRope(r: ConfigReader, layerType?: string): RopeConfig {
  const given = ropeRecord(r, layerType);
  const theta = numberOf({ rope_theta: given.rope_theta ?? r.json.rope_theta }, 'rope_theta', r.file, 10_000);
  const kind = given.rope_type ?? given.type ?? 'default';
  const number = (key: string, fallback?: number) => numberOf(given, key, r.file, fallback);
  if (kind === 'default') return { theta, scaling: { kind: 'none' } };
  if (kind === 'linear') return { theta, scaling: { kind: 'linear', factor: number('factor') } };
  if (kind === 'longrope' || kind === 'su') return { theta, scaling: parseLongRope(r, given) };
  if (kind === 'llama3') {
    return {
      theta,
      scaling: {
        kind: 'llama3',
        factor: number('factor'),
        lowFreqFactor: number('low_freq_factor'),
        highFreqFactor: number('high_freq_factor'),
        originalMaxPositions: number('original_max_position_embeddings'),
      },
    };
  }
  return r.refuse(`rope_type "${String(kind)}" is not one of: default, linear, llama3, longrope.`);
}

/** LongRoPE has two lists of factors; the one for short rows is taken, and rows are kept short: see {@link shortRows}. */
function parseLongRope(r: ConfigReader, given: Json): RopeConfig['scaling'] {
  const factors = configReader(given, r.file).list('short_factor', 1);
  if (!factors?.every((factor): factor is number => typeof factor === 'number')) {
    throw new TunesmithError('MODEL_CONFIG', { file: r.file, message: 'longrope has no short_factor.' });
  }
  const original = originalPositions(r, given);
  const stretch = numberOf(given, 'factor', r.file, r.number('max_position_embeddings', 2048) / original);
  const usual = stretch <= 1 ? 1 : Math.sqrt(1 + Math.log(stretch) / Math.log(original));
  return { kind: 'factors', factors, attentionFactor: numberOf(given, 'attention_factor', r.file, usual) };
}

function originalPositions(r: ConfigReader, given: Json): number {
  const key = 'original_max_position_embeddings';
  const value = given[key] ?? r.json[key] ?? r.json.max_position_embeddings;
  return numberOf({ [key]: value }, key, r.file);
}

/** Positions up to which LongRoPE takes its factors for short rows; without end for every other rotation. */
function shortRows(r: ConfigReader): number {
  const given = ropeRecord(r);
  const isLong = given.long_factor !== undefined && String(given.long_factor) !== String(given.short_factor);
  return isLong ? originalPositions(r, given) : Number.POSITIVE_INFINITY;
}

/** Share of each head that turns. */
function rotatedShare(r: ConfigReader): number {
  const given = ropeRecord(r).partial_rotary_factor ?? r.json.partial_rotary_factor;
  return numberOf({ partial_rotary_factor: given }, 'partial_rotary_factor', r.file, 1);
}

/** Reads the metadata keys that nearly all decoders have. */
export function parseGgufDecoder(r: GgufReader, modelType: ModelType): ModelConfig {
  const heads = r.number('attention.head_count');
  const hiddenSize = r.number('embedding_length');
  const headDim = r.number('attention.key_length', hiddenSize / heads);
  const layers = r.number('block_count');
  return {
    modelType,
    hiddenSize,
    intermediateSize: r.number('feed_forward_length'),
    layers,
    heads,
    kvHeads: r.number('attention.head_count_kv', heads),
    headDim,
    rotaryDim: Math.min(headDim, r.number('rope.dimension_count', headDim)),
    normEps: r.number('attention.layer_norm_rms_epsilon', 1e-6),
    rope: { theta: r.number('rope.freq_base', 10_000), scaling: ggufScaling(r) },
    localRope: undefined,
    layerKinds: everyLayer(layers, { rope: 'global', window: 0 }),
    attentionScale: headDim ** -0.5,
    embeddingScale: 1,
    activation: 'silu',
    biases: NO_BIASES,
    vocabSize: r.facts.vocabSize,
    tiedEmbeddings: r.facts.tiedEmbeddings,
    maxPositions: Math.min(
      r.number('context_length', 2048),
      r.facts.hasLongFactors ? r.number('rope.scaling.original_context_length') : Number.POSITIVE_INFINITY,
    ),
    eosIds: idsOf(r.json.eos_token_id),
  };
}

function ggufScaling(r: GgufReader): RopeConfig['scaling'] {
  const kind = r.json['rope.scaling.type'] ?? 'none';
  if (kind !== 'none' && kind !== 'linear' && !(kind === 'longrope' && r.facts.ropeFactors !== undefined)) {
    r.refuse(`rope.scaling.type "${String(kind)}" is not one of: none, linear.`);
  }
  if (r.facts.ropeFactors !== undefined) {
    return { kind: 'factors', factors: r.facts.ropeFactors, attentionFactor: r.number('rope.scaling.attn_factor', 1) };
  }
  return kind === 'linear' ? { kind: 'linear', factor: r.number('rope.scaling.factor') } : { kind: 'none' };
}
