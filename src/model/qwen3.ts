import type { Value } from '../graph/index.ts';
import type { Architecture, LayerBuild, LayerVector, NamePairs } from './architecture.ts';
import type { ModelConfig } from './config.ts';
import { headNorm, preNormLayer, type QueryKeyNorms, selfAttention } from './layer.ts';
import { DECODER_NAMES, llama } from './llama.ts';
import { qwen2 } from './qwen2.ts';

/** Names of the norms of q and k. */
export const QUERY_KEY_NAMES: NamePairs = [
  ['attn_q_norm', 'self_attn.q_norm'],
  ['attn_k_norm', 'self_attn.k_norm'],
];

/** Weights of norms over each head of q and of k. */
export function headNorms(c: ModelConfig): readonly LayerVector[] {
  return ['q', 'k'].map((which) => ({ name: `self_attn.${which}_norm.weight`, shape: [c.headDim] }));
}

/** Norms over each head of q and of k, weights as {@link headNorms} (Henry et al. 2020, arXiv:2010.04245). */
export function perHead(build: LayerBuild): QueryKeyNorms {
  const norm = (name: string) => (x: Value) => headNorm(build, name, x);
  return { q: norm('self_attn.q_norm'), k: norm('self_attn.k_norm') };
}

/** Qwen 3 (Yang et al. 2025, arXiv:2505.09388): Qwen 2 with norms of q and k in place of their biases. */
export const qwen3: Architecture = {
  ...llama,
  modelType: 'qwen3',
  className: 'Qwen3ForCausalLM',
  parse: (r) => {
    const bias = r.flag('attention_bias');
    return { ...qwen2.parse(r), modelType: 'qwen3', biases: { qkv: bias, output: bias, mlp: false } };
  },
  write: (c) => ({ attention_bias: c.biases.qkv, use_sliding_window: false }),
  gguf: { architecture: 'qwen3', isPermuted: false, normOffset: 0, parse: (_r, common) => common },
  names: [...DECODER_NAMES, ...QUERY_KEY_NAMES],
  norms: (c, layer) => [...llama.norms(c, layer), ...headNorms(c)],
  layer: (build, x_ND) => preNormLayer(build, x_ND, (h_ND) => selfAttention(build, h_ND, perHead(build))),
};
