import type { GgufField } from '../io/gguf-write.ts';
import type { TensorToWrite } from '../io/tensor-to-write.ts';
import { architectureOf } from '../model/architectures.ts';
import type { ModelConfig, ModelType } from '../model/config.ts';
import { inverseFrequencies } from '../model/rope.ts';

/** Metadata keys with their types. */
export type GgufFields = Readonly<Record<string, GgufField>>;

/** Keys beyond those of every decoder, without the architecture's prefix, by `model_type`; what is not here cannot be written yet. */
const OWN_FIELDS: Readonly<Partial<Record<ModelType, (config: ModelConfig) => GgufFields>>> = {
  llama: ropeFields,
  mistral: ropeFields,
};

/** Whether models of this type can be written as GGUF. */
export function hasGgufForm({ modelType }: ModelConfig): boolean {
  return OWN_FIELDS[modelType] !== undefined;
}

/** Whole numbers as llama.cpp wants them. */
export const u32 = (value: number): GgufField => ({ type: 'u32', value });
const f32 = (value: number): GgufField => ({ type: 'f32', value });

/** The keys that describe the graph. */
export function architectureFields(config: ModelConfig): GgufFields {
  const fields: GgufFields = {
    vocab_size: u32(config.vocabSize),
    context_length: u32(config.maxPositions),
    embedding_length: u32(config.hiddenSize),
    block_count: u32(config.layers),
    feed_forward_length: u32(config.intermediateSize),
    'attention.head_count': u32(config.heads),
    'attention.head_count_kv': u32(config.kvHeads),
    'attention.key_length': u32(config.headDim),
    'attention.value_length': u32(config.headDim),
    'attention.layer_norm_rms_epsilon': f32(config.normEps),
    ...OWN_FIELDS[config.modelType]?.(config),
  };
  const { architecture } = architectureOf(config).gguf;
  return Object.fromEntries(Object.entries(fields).map(([key, field]) => [`${architecture}.${key}`, field]));
}

function ropeFields({ rotaryDim, rope }: ModelConfig): GgufFields {
  const base = { 'rope.dimension_count': u32(rotaryDim), 'rope.freq_base': f32(rope.theta) };
  if (rope.scaling.kind !== 'linear') return base;
  const scaling: GgufFields = {
    'rope.scaling.type': { type: 'string', value: 'linear' },
    'rope.scaling.factor': f32(rope.scaling.factor),
  };
  return { ...base, ...scaling };
}

/** The tensor that divides each rotary frequency, which stands for Llama 3's scaling in GGUF files. */
export function ropeFactors(config: ModelConfig): TensorToWrite[] {
  const { scaling } = config.rope;
  if (scaling.kind !== 'llama3' && scaling.kind !== 'factors') return [];
  const plain = inverseFrequencies({ ...config.rope, scaling: { kind: 'none' } }, config.rotaryDim);
  const scaled = inverseFrequencies(config.rope, config.rotaryDim);
  const data = Float32Array.from(plain, (frequency, i) => frequency / scaled[i]!);
  return [{ name: 'rope_freqs.weight', type: 'F32', shape: [data.length], data }];
}
