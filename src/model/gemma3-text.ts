import type { Builder, Value } from '../graph/index.ts';
import type { Architecture, LayerBuild, NamePairs } from './architecture.ts';
import type { LayerKind, ModelConfig } from './config.ts';
import { type ConfigReader, parseDecoder, parseRope, slidingKinds } from './config-reader.ts';
import { gatedMlp, headNorm, selfAttention, widthNorm } from './layer.ts';
import { DECODER_NAMES, llama } from './llama.ts';
import { headNorms, QUERY_KEY_NAMES } from './qwen3.ts';

const NAMES: NamePairs = [
  ...DECODER_NAMES.filter(([, hf]) => hf !== 'post_attention_layernorm'),
  ...QUERY_KEY_NAMES,
  ['post_attention_norm', 'post_attention_layernorm'],
  ['ffn_norm', 'pre_feedforward_layernorm'],
  ['post_ffw_norm', 'post_feedforward_layernorm'],
];

/** Every so many layers one sees all tokens, the others a window; llama.cpp knows no other pattern. */
const PATTERN = 6;
/** The theta of layers with a window. */
const LOCAL_THETA = 10_000;
/** Heads of the 27B model are as wide as those of a model without a width of its own; its file says so by its layers. */
const LAYERS_OF_27B = 62;

/**
 * Gemma 3 without its eyes (Kamath et al. 2025, arXiv:2503.19786): norms before and after, whose weights count from 1, norms of q and k, five layers with a window
 * and a rotation of their own to one without.
 */
export const gemma3Text: Architecture = {
  ...llama,
  modelType: 'gemma3_text',
  className: 'Gemma3ForCausalLM',
  parse: parseGemma3,
  write: (c) => ({
    hidden_activation: 'gelu_pytorch_tanh',
    query_pre_attn_scalar: c.attentionScale ** -2,
    sliding_window: Math.max(...c.layerKinds.map(({ window }) => window)),
    layer_types: c.layerKinds.map(({ window }) => (window === 0 ? 'full_attention' : 'sliding_attention')),
    rope_local_base_freq: c.localRope?.theta ?? LOCAL_THETA,
  }),
  gguf: {
    architecture: 'gemma3',
    isPermuted: false,
    normOffset: 1,
    parse: (r, common) => {
      const window = r.number('attention.sliding_window', 0);
      const perHead = common.layers === LAYERS_OF_27B ? common.hiddenSize / common.heads : common.headDim;
      return {
        ...common,
        ...gemmaFacts(common, r.number('rope.freq_base_swa', LOCAL_THETA)),
        attentionScale: perHead ** -0.5,
        layerKinds: common.layerKinds.map((_, layer) => kindOf((layer + 1) % PATTERN === 0 ? 0 : window)),
      };
    },
  },
  names: NAMES,
  norms: (c) => [
    widthNorm('input_layernorm', c),
    widthNorm('post_attention_layernorm', c),
    widthNorm('pre_feedforward_layernorm', c),
    widthNorm('post_feedforward_layernorm', c),
    ...headNorms(c),
  ],
  layer: (build, x_ND) => {
    const { g } = build;
    const fromOne = (weight: Value) => g.add(weight, g.scalar(1));
    const head = (name: string) => (x: Value) => headNorm(build, name, x, fromOne);
    const norms = { q: head('self_attn.q_norm'), k: head('self_attn.k_norm') };
    const attention = selfAttention(build, norm(build, 'input_layernorm', x_ND), norms);
    const attended = g.add(x_ND, norm(build, 'post_attention_layernorm', attention));
    const mlp = gatedMlp(build, norm(build, 'pre_feedforward_layernorm', attended));
    return g.add(attended, norm(build, 'post_feedforward_layernorm', mlp));
  },
  finalNorm: (g, c, x) => normFromOne(g, x, g.input('norm', [c.hiddenSize]), c),
};

function parseGemma3(r: ConfigReader): ModelConfig {
  for (const key of ['attn_logit_softcapping', 'final_logit_softcapping']) {
    if (typeof r.json[key] === 'number') r.refuse(`${key} ${String(r.json[key])} is not supported for gemma3_text.`);
  }
  if (r.flag('use_bidirectional_attention')) r.refuse('use_bidirectional_attention is not supported.');
  const common = parseDecoder(r, 'gemma3_text', { isTied: true, headDim: 256 });
  const pattern = r.number('sliding_window_pattern', r.number('_sliding_window_pattern', PATTERN));
  const kinds = slidingKinds(r, common.layers, {
    window: r.number('sliding_window', 4096),
    isSliding: (layer) => (layer + 1) % pattern !== 0,
  });
  // transformers 5 has one record for each type of layer, transformers 4 a second theta.
  const local = parseRope(r, 'sliding_attention').theta;
  return {
    ...common,
    ...gemmaFacts(common, r.json.rope_parameters === undefined ? r.number('rope_local_base_freq', LOCAL_THETA) : local),
    rope: parseRope(r, 'full_attention'),
    attentionScale: r.number('query_pre_attn_scalar', 256) ** -0.5,
    layerKinds: kinds.map(({ window }) => kindOf(window)),
  };
}

function kindOf(window: number): LayerKind {
  return { window, rope: window === 0 ? 'global' : 'local' };
}

function gemmaFacts(
  { hiddenSize }: ModelConfig,
  localTheta: number,
): Pick<ModelConfig, 'activation' | 'embeddingScale' | 'localRope'> {
  const localRope = { theta: localTheta, scaling: { kind: 'none' } } as const;
  return { activation: 'geluTanh', embeddingScale: Math.sqrt(hiddenSize), localRope };
}

function norm({ g, config }: LayerBuild, name: string, x: Value): Value {
  return normFromOne(g, x, g.input(`${name}.weight`, [config.hiddenSize]), config);
}

/** An RMS norm whose weight counts from 1. */
function normFromOne(g: Builder, x: Value, weight: Value, { normEps }: ModelConfig): Value {
  return g.rmsNorm(x, g.add(weight, g.scalar(1)), normEps);
}
