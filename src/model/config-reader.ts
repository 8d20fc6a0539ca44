import { TunesmithError } from '../errors/index.ts';
import type { Activation, GgufFacts, LayerKind, ModelConfig, ModelType, RopeConfig } from './config.ts';

type Json = Readonly<Record<string, unknown>>;

/** Reads the values of a config.json, refusing what is missing, bad or not computed here. */
export interface ConfigReader {
  readonly json: Json;
  readonly file: string;
  /** A positive number, or the fallback where there is none. @throws MODEL_CONFIG */
  number(key: string, fallback?: number): number;
  flag(key: string): boolean;
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
    flag: (key) => json[key] === true,
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

/** Reads the keys of config.json that nearly all decoders have: rotary positions, no window, no biases. */
export function parseDecoder(r: ConfigReader, modelType: ModelType): ModelConfig {
  refuseUnsupported(r);
  const heads = r.number('num_attention_heads');
  const hiddenSize = r.number('hidden_size');
  const headDim = r.number('head_dim', hiddenSize / heads);
  const layers = r.number('num_hidden_layers');
  return {
    modelType,
    hiddenSize,
    intermediateSize: r.number('intermediate_size'),
    layers,
    heads,
    kvHeads: r.number('num_key_value_heads', heads),
    headDim,
    rotaryDim: headDim,
    normEps: r.number('rms_norm_eps', 1e-6),
    rope: parseRope(r),
    localRope: undefined,
    layerKinds: everyLayer(layers, { rope: 'global', window: 0 }),
    attentionScale: headDim ** -0.5,
    embeddingScale: 1,
    activation: parseActivation(r),
    biases: NO_BIASES,
    vocabSize: r.number('vocab_size'),
    tiedEmbeddings: r.flag('tie_word_embeddings'),
    maxPositions: r.number('max_position_embeddings', 2048),
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

function parseActivation(r: ConfigReader): Activation {
  const keys = ['hidden_act', 'hidden_activation', 'activation_function'];
  const key = keys.find((k) => typeof r.json[k] === 'string');
  if (key === undefined) return 'silu';
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
 * Reads `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling`.
 *
 * @throws MODEL_UNSUPPORTED, MODEL_CONFIG
 */
export function parseRope(r: ConfigReader): RopeConfig {
  const given = (r.json.rope_parameters ?? r.json.rope_scaling ?? {}) as Json;
  const theta = numberOf({ rope_theta: given.rope_theta ?? r.json.rope_theta }, 'rope_theta', r.file, 10_000);
  const kind = given.rope_type ?? given.type ?? 'default';
  const number = (key: string, fallback?: number) => numberOf(given, key, r.file, fallback);
  if (kind === 'default') return { theta, scaling: { kind: 'none' } };
  if (kind === 'linear') return { theta, scaling: { kind: 'linear', factor: number('factor') } };
  if (kind === 'longrope' && isPlainFactors(given)) {
    return { theta, scaling: { kind: 'factors', factors: given.short_factor as number[], attentionFactor: 1 } };
  }
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
  return r.refuse(`rope_type "${String(kind)}" is not one of: default, linear, llama3.`);
}

/** longrope that treats short and long rows alike, as folders tuned from GGUF files say it. */
function isPlainFactors({ short_factor, long_factor, attention_factor }: Json): boolean {
  return Array.isArray(short_factor) && attention_factor === 1 && String(short_factor) === String(long_factor);
}

/** Refuses a model some of whose head coordinates do not turn. */
export function requireFullRotation(r: ConfigReader): void {
  const rope = (r.json.rope_parameters ?? {}) as Json;
  const share = r.json.partial_rotary_factor ?? rope.partial_rotary_factor ?? 1;
  if (share !== 1) r.refuse(`partial_rotary_factor ${String(share)} is not supported for this architecture.`);
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
    rotaryDim: headDim,
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
    maxPositions: r.number('context_length', 2048),
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
