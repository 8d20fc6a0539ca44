import { nearestName, TunesmithError } from '../errors/index.ts';

/** Rotary embedding frequencies and how they are stretched. */
export interface RopeConfig {
  readonly theta: number;
  readonly scaling:
    | { readonly kind: 'none' }
    /** Positions are divided by factor. */
    | { readonly kind: 'linear'; readonly factor: number }
    /** Llama 3.1: low frequencies are divided by factor, high ones kept, those between blended. */
    | {
        readonly kind: 'llama3';
        readonly factor: number;
        readonly lowFreqFactor: number;
        readonly highFreqFactor: number;
        readonly originalMaxPositions: number;
      }
    /** Each frequency is divided by a factor of its own, as GGUF files of Llama 3.x carry them. */
    | { readonly kind: 'factors'; readonly factors: readonly number[] };
}

/** The architectures that are computed, as config.json names them. */
export const MODEL_TYPES = ['llama', 'mistral'] as const;

/** What the graph of a decoder depends on, whatever file it came from. */
export interface ModelConfig {
  readonly modelType: (typeof MODEL_TYPES)[number];
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly rmsNormEps: number;
  readonly rope: RopeConfig;
  readonly vocabSize: number;
  readonly tiedEmbeddings: boolean;
  readonly maxPositions: number;
  readonly eosIds: readonly number[];
}

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads a Hugging Face config.json in the spelling of transformers 4 or 5.
 *
 * @param file only for messages
 * @throws MODEL_UNSUPPORTED for an architecture or option that would be computed wrongly, MODEL_CONFIG for a missing or bad value
 */
export function parseHfConfig(json: Json, file: string): ModelConfig {
  const modelType = MODEL_TYPES.find((type) => type === json.model_type);
  if (modelType === undefined) throw unknownType(String(json.model_type), file);
  refuseUnsupported(json, file);
  const number = (key: string, fallback?: number) => numberOf(json, key, file, fallback);
  const heads = number('num_attention_heads');
  const hiddenSize = number('hidden_size');
  return {
    modelType,
    hiddenSize,
    intermediateSize: number('intermediate_size'),
    layers: number('num_hidden_layers'),
    heads,
    kvHeads: number('num_key_value_heads', heads),
    headDim: number('head_dim', hiddenSize / heads),
    rmsNormEps: number('rms_norm_eps', 1e-6),
    rope: parseRope(json, file),
    vocabSize: number('vocab_size'),
    tiedEmbeddings: json.tie_word_embeddings === true,
    maxPositions: number('max_position_embeddings', 2048),
    eosIds: [json.eos_token_id].flat().filter((id): id is number => typeof id === 'number'),
  };
}

/** Names the known type that is spelt most like it, or else one of the same family. */
function unknownType(modelType: string, file: string): TunesmithError {
  const family = (type: string) => /^[a-z]*/.exec(type)?.[0] ?? '';
  const near =
    nearestName(modelType, MODEL_TYPES) ??
    MODEL_TYPES.find((type) => family(modelType).length > 2 && family(type) === family(modelType));
  return new TunesmithError('MODEL_UNSUPPORTED', {
    file,
    message: `model_type "${modelType}" is not one of: ${MODEL_TYPES.join(', ')}.`,
    fix: near === undefined ? undefined : `use a model of a known type; the nearest is ${near}.`,
  });
}

function refuseUnsupported(json: Json, file: string): void {
  const refuse = (message: string) => {
    throw new TunesmithError('MODEL_UNSUPPORTED', { file, message });
  };
  if (json.hidden_act !== undefined && json.hidden_act !== 'silu')
    refuse(`hidden_act "${String(json.hidden_act)}" is not silu.`);
  for (const key of ['attention_bias', 'mlp_bias'])
    if (json[key] === true) refuse(`${key} is not supported for this architecture.`);
  if (typeof json.partial_rotary_factor === 'number' && json.partial_rotary_factor !== 1) {
    refuse(`partial_rotary_factor ${json.partial_rotary_factor} is not supported.`);
  }
  if (typeof json.sliding_window === 'number') refuse(`sliding_window ${json.sliding_window} is not supported yet.`);
  if (json.quantization_config !== undefined && json.quantization_config !== null) {
    refuse(
      'quantization_config: weights quantised by another program are not read from safetensors; use the original or a GGUF file.',
    );
  }
}

function numberOf(json: Json, key: string, file: string, fallback?: number): number {
  const value = json[key] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw new TunesmithError('MODEL_CONFIG', {
      file,
      message: `${key} must be a positive number, got ${JSON.stringify(json[key])}.`,
    });
  }
  return value;
}

function parseRope(json: Json, file: string): RopeConfig {
  const given = (json.rope_parameters ?? json.rope_scaling ?? {}) as Json;
  const theta = numberOf({ rope_theta: given.rope_theta ?? json.rope_theta }, 'rope_theta', file, 10_000);
  const kind = given.rope_type ?? given.type ?? 'default';
  const number = (key: string, fallback?: number) => numberOf(given, key, file, fallback);
  if (kind === 'default') return { theta, scaling: { kind: 'none' } };
  if (kind === 'linear') return { theta, scaling: { kind: 'linear', factor: number('factor') } };
  if (kind === 'longrope' && isPlainFactors(given)) {
    return { theta, scaling: { kind: 'factors', factors: given.short_factor as number[] } };
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
  throw new TunesmithError('MODEL_UNSUPPORTED', {
    file,
    message: `rope_type "${String(kind)}" is not one of: default, linear, llama3.`,
  });
}

/** longrope that treats short and long rows alike, as folders tuned from GGUF files say it. */
function isPlainFactors({ short_factor, long_factor, attention_factor }: Json): boolean {
  return Array.isArray(short_factor) && attention_factor === 1 && String(short_factor) === String(long_factor);
}

/** Reads the configuration that a GGUF file's metadata carries (general.architecture llama). */
export function parseGgufConfig(
  metadata: Readonly<Record<string, unknown>>,
  facts: {
    readonly tiedEmbeddings: boolean;
    readonly vocabSize: number;
    readonly ropeFactors: readonly number[] | undefined;
  },
  file: string,
): ModelConfig {
  const arch = metadata['general.architecture'];
  if (arch !== 'llama') {
    throw new TunesmithError('MODEL_UNSUPPORTED', {
      file,
      message: `general.architecture "${String(arch)}" is not one of: llama.`,
    });
  }
  const number = (key: string, fallback?: number) => numberOf(metadata, `llama.${key}`, file, fallback);
  const heads = number('attention.head_count');
  const hiddenSize = number('embedding_length');
  const scaling = metadata['llama.rope.scaling.type'] ?? 'none';
  if (scaling !== 'none' && scaling !== 'linear') {
    throw new TunesmithError('MODEL_UNSUPPORTED', {
      file,
      message: `llama.rope.scaling.type "${String(scaling)}" is not one of: none, linear.`,
    });
  }
  const ggufScaling = (): RopeConfig['scaling'] => {
    if (facts.ropeFactors !== undefined) return { kind: 'factors', factors: facts.ropeFactors };
    return scaling === 'linear' ? { kind: 'linear', factor: number('rope.scaling.factor') } : { kind: 'none' };
  };
  return {
    modelType: 'llama',
    hiddenSize,
    intermediateSize: number('feed_forward_length'),
    layers: number('block_count'),
    heads,
    kvHeads: number('attention.head_count_kv', heads),
    headDim: number('attention.key_length', hiddenSize / heads),
    rmsNormEps: number('attention.layer_norm_rms_epsilon', 1e-6),
    rope: {
      theta: number('rope.freq_base', 10_000),
      scaling: ggufScaling(),
    },
    vocabSize: facts.vocabSize,
    tiedEmbeddings: facts.tiedEmbeddings,
    maxPositions: number('context_length', 2048),
    eosIds: [metadata['tokenizer.ggml.eos_token_id']].filter((id): id is number => typeof id === 'number'),
  };
}
