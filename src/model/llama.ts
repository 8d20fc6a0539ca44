import type { Architecture, NamePairs, OuterTensor } from './architecture.ts';
import type { ModelConfig } from './config.ts';
import { everyLayer, parseDecoder } from './config-reader.ts';
import { attentionModules, mlpModules, preNormLayer, selfAttention, widthNorm } from './layer.ts';

/** Names that most decoders share. */
export const DECODER_NAMES: NamePairs = [
  ['attn_norm', 'input_layernorm'],
  ['attn_q', 'self_attn.q_proj'],
  ['attn_k', 'self_attn.k_proj'],
  ['attn_v', 'self_attn.v_proj'],
  ['attn_output', 'self_attn.o_proj'],
  ['ffn_norm', 'post_attention_layernorm'],
  ['ffn_gate', 'mlp.gate_proj'],
  ['ffn_up', 'mlp.up_proj'],
  ['ffn_down', 'mlp.down_proj'],
];

/** Embedding, final norm and head as most decoders have them. */
export function decoderOuter(c: ModelConfig): readonly OuterTensor[] {
  const shape = [c.vocabSize, c.hiddenSize];
  const head: OuterTensor = { name: 'head', hf: 'lm_head.weight', gguf: 'output.weight', shape };
  return [
    { name: 'embed', hf: 'model.embed_tokens.weight', gguf: 'token_embd.weight', shape },
    { name: 'norm', hf: 'model.norm.weight', gguf: 'output_norm.weight', shape: [c.hiddenSize] },
    ...(c.tiedEmbeddings ? [] : [head]),
  ];
}

/** Llama 1 to 3.x and all that is built like it (Touvron et al. 2023, arXiv:2307.09288): norms before, gated SiLU, rotary positions. */
export const llama: Architecture = {
  modelType: 'llama',
  className: 'LlamaForCausalLM',
  parse: (r) => ({
    ...parseDecoder(r, 'llama'),
    biases: { qkv: r.flag('attention_bias'), output: r.flag('attention_bias'), mlp: r.flag('mlp_bias') },
  }),
  isTransposed: false,
  write: (c) => ({ attention_bias: c.biases.qkv, mlp_bias: c.biases.mlp }),
  gguf: {
    architecture: 'llama',
    isPermuted: true,
    normOffset: 0,
    parse: (r, common) => ({
      ...common,
      layerKinds: everyLayer(common.layers, { rope: 'global', window: r.number('attention.sliding_window', 0) }),
    }),
  },
  layersPrefix: 'model.layers',
  names: DECODER_NAMES,
  outer: decoderOuter,
  modules: (c) => [...attentionModules(c), ...mlpModules(c)],
  norms: (c) => [widthNorm('input_layernorm', c), widthNorm('post_attention_layernorm', c)],
  layer: (build, x_ND) => preNormLayer(build, x_ND, (h_ND) => selfAttention(build, h_ND)),
  finalNorm: (g, c, x) => g.rmsNorm(x, g.input('norm', [c.hiddenSize]), c.normEps),
};
