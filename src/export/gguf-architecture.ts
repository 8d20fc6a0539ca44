import type { GgufField } from '../io/gguf-write.ts';
import type { TensorToWrite } from '../io/tensor-to-write.ts';
import { architectureOf } from '../model/architectures.ts';
import { type ModelConfig, parseGgufConfig } from '../model/config.ts';
import { inverseFrequencies } from '../model/rope.ts';

/** Metadata keys with their types. */
export type GgufFields = Readonly<Record<string, GgufField>>;

/** Whole numbers as llama.cpp wants them. */
export const u32 = (value: number): GgufField => ({ type: 'u32', value });
const f32 = (value: number): GgufField => ({ type: 'f32', value });

/** The keys that describe the graph. */
export function architectureFields(config: ModelConfig): GgufFields {
  const isGpt2 = config.modelType === 'gpt2';
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
    [`attention.layer_norm_${isGpt2 ? '' : 'rms_'}epsilon`]: f32(config.normEps),
    ...(isGpt2 ? {} : ropeFields(config)),
    ...windowFields(config),
    ...expertFields(config),
  };
  const { architecture } = architectureOf(config).gguf;
  return Object.fromEntries(Object.entries(fields).map(([key, field]) => [`${architecture}.${key}`, field]));
}

function ropeFields({ rotaryDim, rope, localRope }: ModelConfig): GgufFields {
  const { scaling } = rope;
  const text = (value: string): GgufField => ({ type: 'string', value });
  return {
    'rope.dimension_count': u32(rotaryDim),
    'rope.freq_base': f32(rope.theta),
    ...(localRope === undefined ? {} : { 'rope.freq_base_swa': f32(localRope.theta) }),
    ...(scaling.kind === 'linear'
      ? { 'rope.scaling.type': text('linear'), 'rope.scaling.factor': f32(scaling.factor) }
      : {}),
  };
}

function windowFields({ layerKinds }: ModelConfig): GgufFields {
  const window = Math.max(...layerKinds.map((kind) => kind.window));
  return window === 0 ? {} : { 'attention.sliding_window': u32(window) };
}

function expertFields({ experts }: ModelConfig): GgufFields {
  if (experts === undefined) return {};
  return {
    expert_count: u32(experts.count),
    expert_used_count: u32(experts.perToken),
    expert_feed_forward_length: u32(experts.width),
  };
}

/** Parts of a configuration that say nothing of the graph, or stand elsewhere. */
const NOT_OF_THE_GRAPH: ReadonlySet<string> = new Set(['modelType', 'maxPositions', 'eosIds', 'rope']);

/**
 * What the metadata cannot say of a model, as the name of a part of its configuration: what is read back from the keys must be what was written.
 * Undefined where all is said.
 */
export function unsaid(config: ModelConfig, path: string): string | undefined {
  const { scaling } = config.rope;
  // LongRoPE has two sets of factors, of which we keep one; the rotations of llama.cpp's families differ in what they do with them.
  if (scaling.kind === 'factors' && (scaling.attentionFactor !== 1 || config.modelType !== 'llama')) return 'rope';
  // llama.cpp reads no window for these, and would compute long rows without it.
  const hasWindow = config.layerKinds.some((kind) => kind.window > 0 && kind.window < config.maxPositions);
  if (hasWindow && architectureOf(config).gguf.architecture === 'llama') return 'layerKinds (a sliding window)';
  const metadata = Object.fromEntries(
    Object.entries(architectureFields(config)).map(([key, { value }]) => [key, value]),
  );
  const back = parseGgufConfig(
    { ...metadata, 'general.architecture': architectureOf(config).gguf.architecture },
    {
      tiedEmbeddings: config.tiedEmbeddings,
      vocabSize: config.vocabSize,
      ropeFactors: undefined,
      hasLongFactors: false,
    },
    path,
  );
  const keys = Object.keys(config) as (keyof ModelConfig)[];
  return keys.find((key) => !NOT_OF_THE_GRAPH.has(key) && plain(back[key]) !== plain(config[key]));
}

/** A layer that says nothing of experts has none. */
function plain(value: unknown): string | undefined {
  return JSON.stringify(value, (key, inner: unknown) => (key === 'hasExperts' && inner !== true ? undefined : inner));
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
