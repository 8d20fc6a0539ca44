import type { Architecture } from './architecture.ts';
import { parseDecoder } from './config-reader.ts';
import { gatedMlp, rmsNorm, selfAttention } from './layer.ts';
import { llama } from './llama.ts';

/** Granite 3: Llama with a factor each for embeddings, attention, what a layer adds, and logits (Yang et al. 2022, arXiv:2203.03466). */
export const granite: Architecture = {
  ...llama,
  modelType: 'granite',
  className: 'GraniteForCausalLM',
  parse: (r) => {
    const common = parseDecoder(r, 'granite');
    const bias = r.flag('attention_bias');
    return {
      ...common,
      biases: { qkv: bias, output: bias, mlp: r.flag('mlp_bias') },
      embeddingScale: r.number('embedding_multiplier', 1),
      attentionScale: r.number('attention_multiplier', 1),
      residualScale: r.number('residual_multiplier', 1),
      logitScale: 1 / r.number('logits_scaling', 1),
    };
  },
  write: (c) => ({
    ...llama.write(c),
    embedding_multiplier: c.embeddingScale,
    attention_multiplier: c.attentionScale,
    residual_multiplier: c.residualScale ?? 1,
    logits_scaling: 1 / (c.logitScale ?? 1),
  }),
  gguf: {
    architecture: 'granite',
    isPermuted: true,
    normOffset: 0,
    parse: (r, common) => ({
      ...common,
      embeddingScale: r.number('embedding_scale', 1),
      attentionScale: r.number('attention.scale', common.attentionScale),
      residualScale: r.number('residual_scale', 1),
      logitScale: 1 / r.number('logit_scale', 1),
    }),
  },
  layer: (build, x_ND) => {
    const { g, config } = build;
    const scaled = (y: typeof x_ND) => g.mul(y, g.scalar(config.residualScale ?? 1));
    const attention = selfAttention(build, rmsNorm(build, 'input_layernorm', x_ND));
    const attended = g.add(x_ND, scaled(attention));
    return g.add(attended, scaled(gatedMlp(build, rmsNorm(build, 'post_attention_layernorm', attended))));
  },
  finalNorm: (g, c, x) => g.mul(llama.finalNorm(g, c, x), g.scalar(c.logitScale ?? 1)),
};
