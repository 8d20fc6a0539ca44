import { describe, expect, test } from 'vitest';
import { type ModelConfig, parseHfConfig } from './config.ts';
import { parameterCount } from './weights.ts';

type Json = Record<string, unknown>;

const parse = (json: Json): ModelConfig => parseHfConfig(json, 'config.json');
const shape = (hidden: number, inner: number, layers: number, heads: number, kvHeads: number) => ({
  hidden_size: hidden,
  intermediate_size: inner,
  num_hidden_layers: layers,
  num_attention_heads: heads,
  num_key_value_heads: kvHeads,
});

/** Facts of published models that are not in the catalogue, and how many weights they have. */
const PUBLISHED: readonly (readonly [name: string, weights: number, config: Json])[] = [
  [
    'gpt2',
    124_439_808,
    { model_type: 'gpt2', n_embd: 768, n_head: 12, n_layer: 12, n_positions: 1024, vocab_size: 50_257 },
  ],
  [
    'Mistral-7B-v0.1',
    7_241_732_096,
    { model_type: 'mistral', ...shape(4096, 14_336, 32, 32, 8), sliding_window: 4096, vocab_size: 32_000 },
  ],
  [
    'Qwen3-30B-A3B',
    30_532_122_624,
    {
      model_type: 'qwen3_moe',
      ...shape(2048, 6144, 48, 32, 4),
      head_dim: 128,
      num_experts: 128,
      moe_intermediate_size: 768,
      vocab_size: 151_936,
    },
  ],
  [
    'Phi-4-mini',
    3_836_021_760,
    { model_type: 'phi3', ...shape(3072, 8192, 32, 24, 8), vocab_size: 200_064, tie_word_embeddings: true },
  ],
];

const TINY = { ...shape(64, 96, 12, 4, 2), vocab_size: 100, max_position_embeddings: 512 };
const kinds = (json: Json, key: 'rope' | 'window') => parse({ ...TINY, ...json }).layerKinds.map((kind) => kind[key]);

describe('the configuration of a model', () => {
  test.each(PUBLISHED)('of %s has its number of weights', (_name, weights, config) => {
    expect(parameterCount(parse(config))).toBe(weights);
  });

  test('of gemma3_text sees all in every sixth layer, and turns by another theta there, in either spelling', () => {
    const older = { model_type: 'gemma3_text', rope_theta: 1e6, rope_local_base_freq: 1e4, sliding_window: 64 };
    const types = Array.from({ length: 12 }, (_, i) => (i % 6 === 5 ? 'full_attention' : 'sliding_attention'));
    const newer = {
      model_type: 'gemma3_text',
      sliding_window: 64,
      layer_types: types,
      rope_parameters: {
        full_attention: { rope_type: 'linear', factor: 8, rope_theta: 1e6 },
        sliding_attention: { rope_type: 'default', rope_theta: 1e4 },
      },
    };
    expect(kinds(older, 'window')).toEqual([64, 64, 64, 64, 64, 0, 64, 64, 64, 64, 64, 0]);
    expect(kinds(older, 'rope').slice(4, 7)).toEqual(['local', 'global', 'local']);
    const stretched = parse({ ...TINY, ...older, rope_scaling: { rope_type: 'linear', factor: 8 } });
    expect(parse({ ...TINY, ...newer })).toEqual(stretched);
    expect(stretched).toMatchObject({
      rope: { theta: 1e6, scaling: { kind: 'linear' } },
      localRope: { theta: 1e4, scaling: { kind: 'none' } },
      tiedEmbeddings: true,
      headDim: 256,
      embeddingScale: 8,
    });
  });

  test('of smollm3 has no positions in every fourth layer, or where it says so', () => {
    const every = kinds({ model_type: 'smollm3' }, 'rope');
    expect(every.map((rope) => (rope === 'none' ? 0 : 1))).toEqual([1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0]);
    const listed = Array.from({ length: 12 }, (_, i) => (i === 0 ? 0 : 1));
    expect(kinds({ model_type: 'smollm3', no_rope_layers: listed }, 'rope').indexOf('none')).toBe(0);
  });

  test('of qwen2 has a window only where it is used', () => {
    const window = { model_type: 'qwen2', sliding_window: 32, max_window_layers: 10 };
    expect(kinds(window, 'window')).toEqual(Array(12).fill(0));
    expect(kinds({ ...window, use_sliding_window: true }, 'window')).toEqual([...Array(10).fill(0), 32, 32]);
  });

  test('of phi3 keeps to rows that its factors for short ones are for', () => {
    const rope = { type: 'longrope', short_factor: [1, 2], long_factor: [3, 4] };
    const json = { model_type: 'phi3', ...TINY, original_max_position_embeddings: 128, partial_rotary_factor: 0.25 };
    const config = parse({ ...json, rope_scaling: rope });
    expect(config).toMatchObject({ maxPositions: 128, rotaryDim: 4, rope: { scaling: { factors: [1, 2] } } });
    expect(config.rope.scaling).toHaveProperty('attentionFactor', Math.sqrt(1 + Math.log(4) / Math.log(128)));
  });

  test.each([
    [{ model_type: 'gemma3_text', final_logit_softcapping: 30 }, /final_logit_softcapping 30/],
    [{ model_type: 'gemma3_text', use_bidirectional_attention: true }, /use_bidirectional_attention/],
    [{ model_type: 'llama', hidden_act: 'relu' }, /hidden_act "relu"/],
    [{ model_type: 'llama', partial_rotary_factor: 0.5 }, /partial_rotary_factor 0\.5/],
    [{ model_type: 'qwen3', rope_scaling: { rope_type: 'yarn', factor: 4 } }, /rope_type "yarn"/],
    [{ model_type: 'qwen2', layer_types: Array(12).fill('linear_attention') }, /layer_types "linear_attention"/],
    [{ model_type: 'llama', quantization_config: { bits: 4 } }, /quantization_config/],
    [{ model_type: 'gemma3' }, /model_type "gemma3".*nearest is gemma3_text/s],
    [{ model_type: 'qwen2_moe' }, /model_type "qwen2_moe".*nearest is qwen/s],
  ])('%j is refused by name', (json, message) => {
    expect(() => parse({ ...TINY, ...json })).toThrow(message);
  });

  test.each([
    [{ model_type: 'llama', hidden_size: 'wide' }, /hidden_size must be a positive number/],
    [{ model_type: 'smollm3', no_rope_layers: [1, 0] }, /no_rope_layers is no list of 12 entries/],
    [{ model_type: 'phi3', rope_scaling: { type: 'longrope' } }, /no short_factor/],
  ])('%j is a bad value', (json, message) => {
    expect(() => parse({ ...TINY, ...json })).toThrow(message);
  });
});
