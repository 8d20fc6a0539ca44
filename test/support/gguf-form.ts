import type { GgufField } from '../../src/io/gguf-write.ts';
import { readStored, type StoredTensor, type TensorToWrite } from '../../src/io/index.ts';
import { architectureOf } from '../../src/model/architectures.ts';
import type { ModelConfig } from '../../src/model/config.ts';
import { ggufName } from '../../src/model/names.ts';
import type { ModelSource } from '../../src/model/source.ts';
import { sizeOf } from '../../src/tensor/tensor.ts';

const u32 = (value: number): GgufField => ({ type: 'u32', value });
const f32 = (value: number): GgufField => ({ type: 'f32', value });

/** The metadata that llama.cpp's converter writes for a model, without its tokenizer. */
export function ggufMetadata(c: ModelConfig): Record<string, GgufField> {
  const window = Math.max(...c.layerKinds.map((kind) => kind.window));
  const { scaling } = c.rope;
  const fields: Record<string, GgufField> = {
    // LongRoPE: rows may be longer with the other factors.
    context_length: u32(scaling.kind === 'factors' ? 2 * c.maxPositions : c.maxPositions),
    embedding_length: u32(c.hiddenSize),
    block_count: u32(c.layers),
    feed_forward_length: u32(c.intermediateSize),
    'attention.head_count': u32(c.heads),
    'attention.head_count_kv': u32(c.kvHeads),
    ...(c.modelType === 'granite'
      ? {
          embedding_scale: f32(c.embeddingScale),
          'attention.scale': f32(c.attentionScale),
          residual_scale: f32(c.residualScale ?? 1),
          logit_scale: f32(1 / (c.logitScale ?? 1)),
        }
      : {}),
    ...(c.modelType === 'gpt2'
      ? { 'attention.layer_norm_epsilon': f32(c.normEps) }
      : {
          ...(c.modelType === 'starcoder2' ? { 'attention.layer_norm_epsilon': f32(c.normEps) } : {}),
          'attention.key_length': u32(c.headDim),
          'attention.value_length': u32(c.headDim),
          'attention.layer_norm_rms_epsilon': f32(c.normEps),
          'rope.dimension_count': u32(c.rotaryDim),
          'rope.freq_base': f32(c.rope.theta),
        }),
    ...(window > 0 ? { 'attention.sliding_window': u32(window) } : {}),
    ...(scaling.kind === 'factors'
      ? {
          'rope.scaling.attn_factor': f32(scaling.attentionFactor),
          'rope.scaling.original_context_length': u32(c.maxPositions),
        }
      : {}),
    ...(c.experts === undefined
      ? {}
      : {
          expert_count: u32(c.experts.count),
          expert_used_count: u32(c.experts.perToken),
          expert_feed_forward_length: u32(c.experts.width),
        }),
  };
  const { architecture } = architectureOf(c).gguf;
  const own = Object.entries(fields).map(([key, field]) => [`${architecture}.${key}`, field]);
  return { 'general.architecture': { type: 'string', value: architecture }, ...Object.fromEntries(own) };
}

/** A model's tensors as llama.cpp's converter writes them, in float32. */
export function ggufTensors({ config, tensors }: ModelSource): TensorToWrite[] {
  const stacked = new Map<string, StoredTensor[]>();
  for (const [hf, tensor] of tensors) {
    const name = ggufName(config, hf.replace(/\.experts\.\d+\./, '.experts.*.'));
    if (name === undefined) throw new Error(`${hf} has no name in GGUF files`);
    stacked.set(name, [...(stacked.get(name) ?? []), tensor]);
  }
  const { scaling } = config.rope;
  const factors = scaling.kind === 'factors' ? [scaling.factors, scaling.factors.map((factor) => 2 * factor)] : [];
  const lists = factors.map((values, i): TensorToWrite => {
    const name = `rope_factors_${i === 0 ? 'short' : 'long'}.weight`;
    return { name, type: 'F32', shape: [values.length], data: Float32Array.from(values) };
  });
  const own = [...stacked].map(([name, parts]): TensorToWrite => {
    const values = parts.map((part) => converted(name, readStored(part), config, part.shape[0]!));
    const data = new Float32Array(values.reduce((n, part) => n + part.length, 0));
    let at = 0;
    for (const part of values) {
      data.set(part, at);
      at += part.length;
    }
    const shape = parts.length === 1 ? parts[0]!.shape : [parts.length, ...parts[0]!.shape];
    if (sizeOf(shape) !== data.length) throw new Error(`${name} is of another size`);
    return { name, type: 'F32', shape, data };
  });
  return [...own, ...lists];
}

function converted(name: string, values: Float32Array, config: ModelConfig, rows: number): Float32Array {
  const { gguf } = architectureOf(config);
  if (name.endsWith('norm.weight')) return values.map((x) => x + gguf.normOffset);
  const heads = /attn_q\./.test(name) ? config.heads : /attn_k\./.test(name) ? config.kvHeads : undefined;
  if (!gguf.isPermuted || heads === undefined) return values;
  const [width, half] = [values.length / rows, rows / heads / 2];
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const head = Math.floor(row / (2 * half)) * 2 * half;
    const from = head + ((row - head) % 2) * half + ((row - head) >> 1);
    out.set(values.subarray(from * width, (from + 1) * width), row * width);
  }
  return out;
}
