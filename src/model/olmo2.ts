import type { Architecture, NamePairs } from './architecture.ts';
import { parseDecoder } from './config-reader.ts';
import { gatedMlp, rmsNorm, selfAttention, widthNorm } from './layer.ts';
import { DECODER_NAMES, llama } from './llama.ts';
import { QUERY_KEY_NAMES } from './qwen3.ts';

const NAMES: NamePairs = [
  ...DECODER_NAMES.filter(([, hf]) => !hf.endsWith('layernorm')),
  ...QUERY_KEY_NAMES,
  ['post_attention_norm', 'post_attention_layernorm'],
  ['post_ffw_norm', 'post_feedforward_layernorm'],
];

/** OLMo 2 (2024, arXiv:2501.00656): norms after attention and feed-forward layer instead of before, and norms over the whole of q and of k. */
export const olmo2: Architecture = {
  ...llama,
  modelType: 'olmo2',
  className: 'Olmo2ForCausalLM',
  parse: (r) => {
    const bias = r.flag('attention_bias');
    return { ...parseDecoder(r, 'olmo2'), biases: { qkv: bias, output: bias, mlp: false } };
  },
  write: (c) => ({ attention_bias: c.biases.qkv }),
  gguf: {
    architecture: 'olmo2',
    isPermuted: false,
    normOffset: 0,
    // OLMo 3 carries the same name.
    parse: (r, common) =>
      r.json['attention.sliding_window'] === undefined
        ? common
        : r.refuse('a sliding window is not supported in olmo2.'),
  },
  names: NAMES,
  norms: (c) => [
    { name: 'self_attn.q_norm.weight', shape: [c.heads * c.headDim] },
    { name: 'self_attn.k_norm.weight', shape: [c.kvHeads * c.headDim] },
    widthNorm('post_attention_layernorm', c),
    widthNorm('post_feedforward_layernorm', c),
  ],
  layer: (build, x_ND) => {
    const { g } = build;
    const norms = {
      q: (q: typeof x_ND) => rmsNorm(build, 'self_attn.q_norm', q),
      k: (k: typeof x_ND) => rmsNorm(build, 'self_attn.k_norm', k),
    };
    const attended = g.add(x_ND, rmsNorm(build, 'post_attention_layernorm', selfAttention(build, x_ND, norms)));
    return g.add(attended, rmsNorm(build, 'post_feedforward_layernorm', gatedMlp(build, attended)));
  },
};
