import type { Architecture } from './architecture.ts';
import { everyLayer, parseDecoder } from './config-reader.ts';
import { gpt2 } from './gpt2.ts';
import { activate, attentionModules, normWithBias, selfAttention } from './layer.ts';
import { DECODER_NAMES, decoderOuter, llama } from './llama.ts';

const NORMS = ['input_layernorm', 'post_attention_layernorm'];

/** StarCoder 2 (Lozhkov et al. 2024, arXiv:2402.19173): rotary positions, layer norms and biases everywhere, a plain feed-forward layer. */
export const starcoder2: Architecture = {
  ...llama,
  modelType: 'starcoder2',
  className: 'Starcoder2ForCausalLM',
  parse: (r) => {
    const common = parseDecoder(r, 'starcoder2', { isTied: true });
    const bias = r.flag('use_bias', true);
    return {
      ...common,
      normEps: r.number('norm_epsilon', 1e-5),
      biases: { qkv: bias, output: bias, mlp: bias },
      layerKinds: everyLayer(common.layers, { rope: 'global', window: r.number('sliding_window', 0) }),
    };
  },
  write: (c) => ({
    norm_epsilon: c.normEps,
    use_bias: c.biases.qkv,
    sliding_window: c.layerKinds[0]?.window || null,
  }),
  gguf: {
    architecture: 'starcoder2',
    isPermuted: false,
    normOffset: 0,
    parse: (r, common) => ({
      ...common,
      activation: 'geluTanh',
      normEps: r.number('attention.layer_norm_epsilon', 1e-5),
      biases: { qkv: true, output: true, mlp: true },
      layerKinds: everyLayer(common.layers, { rope: 'global', window: r.number('attention.sliding_window', 0) }),
    }),
  },
  names: [
    ...DECODER_NAMES.filter(([, hf]) => !hf.startsWith('mlp')),
    ['ffn_up', 'mlp.c_fc'],
    ['ffn_down', 'mlp.c_proj'],
  ],
  outer: (c) => {
    const bias = { name: 'norm.bias', hf: 'model.norm.bias', gguf: 'output_norm.bias', shape: [c.hiddenSize] } as const;
    return [...decoderOuter(c), bias];
  },
  modules: (c) => {
    const own = (module: string, out: number, width: number) => ({
      module,
      out,
      in: width,
      bias: c.biases.mlp,
      reads: module,
    });
    return [
      ...attentionModules(c),
      own('mlp.c_fc', c.intermediateSize, c.hiddenSize),
      own('mlp.c_proj', c.hiddenSize, c.intermediateSize),
    ];
  },
  norms: (c) =>
    NORMS.flatMap((name) => ['weight', 'bias'].map((part) => ({ name: `${name}.${part}`, shape: [c.hiddenSize] }))),
  layer: (build, x_ND) => {
    const { g, config, linear } = build;
    const attended = g.add(x_ND, selfAttention(build, normWithBias(build, 'input_layernorm', x_ND)));
    const inner = linear('mlp.c_fc', normWithBias(build, 'post_attention_layernorm', attended));
    return g.add(attended, linear('mlp.c_proj', activate(g, config.activation, inner)));
  },
  finalNorm: gpt2.finalNorm,
};
