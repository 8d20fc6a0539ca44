// Shape legend: N tokens, D model width
import type { Value } from '../graph/index.ts';
import type { Architecture, LayerBuild, OuterTensor } from './architecture.ts';
import type { ModelConfig } from './config.ts';
import { type ConfigReader, everyLayer, idsOf, parseActivation } from './config-reader.ts';
import { activate, layerNorm, normWithBias } from './layer.ts';
import { llama } from './llama.ts';

/**
 * GPT-2 (Radford et al. 2019): layer norms with bias, learned positions, q, k, v in one matrix, a plain feed-forward layer. Hugging Face folders hold
 * its matrices as [in, out]. The dropout that its configs name is not applied.
 */
export const gpt2: Architecture = {
  ...llama,
  modelType: 'gpt2',
  className: 'GPT2LMHeadModel',
  isTransposed: true,
  parse: parseGpt2,
  write: (c) => ({
    n_embd: c.hiddenSize,
    n_inner: c.intermediateSize,
    n_layer: c.layers,
    n_head: c.heads,
    n_positions: c.maxPositions,
    layer_norm_epsilon: c.normEps,
    activation_function: 'gelu_new',
  }),
  gguf: {
    architecture: 'gpt2',
    isPermuted: false,
    normOffset: 0,
    parse: (r, common) => ({
      ...common,
      ...FACTS,
      normEps: r.number('attention.layer_norm_epsilon', 1e-5),
      layerKinds: everyLayer(common.layers, { rope: 'none', window: 0 }),
    }),
  },
  layersPrefix: 'transformer.h',
  names: [
    ['attn_norm', 'ln_1'],
    ['attn_qkv', 'attn.c_attn'],
    ['attn_output', 'attn.c_proj'],
    ['ffn_norm', 'ln_2'],
    ['ffn_up', 'mlp.c_fc'],
    ['ffn_down', 'mlp.c_proj'],
  ],
  outer: outerTensors,
  modules: (c) => {
    const own = (module: string, out: number, width: number) => ({ module, out, in: width, bias: true, reads: module });
    return [
      own('attn.c_attn', 3 * c.hiddenSize, c.hiddenSize),
      own('attn.c_proj', c.hiddenSize, c.hiddenSize),
      own('mlp.c_fc', c.intermediateSize, c.hiddenSize),
      own('mlp.c_proj', c.hiddenSize, c.intermediateSize),
    ];
  },
  norms: (c) =>
    ['ln_1', 'ln_2'].flatMap((name) =>
      ['weight', 'bias'].map((part) => ({ name: `${name}.${part}`, shape: [c.hiddenSize] })),
    ),
  layer: (build, x_ND) => {
    const { g, config, linear } = build;
    const attended_ND = g.add(x_ND, attention(build, normWithBias(build, 'ln_1', x_ND)));
    const inner = activate(g, config.activation, linear('mlp.c_fc', normWithBias(build, 'ln_2', attended_ND)));
    return g.add(attended_ND, linear('mlp.c_proj', inner));
  },
  finalNorm: (g, c, x) =>
    layerNorm(g, x, g.input('norm', [c.hiddenSize]), g.input('norm.bias', [c.hiddenSize]), c.normEps),
};

const FACTS = { activation: 'geluTanh', biases: { qkv: true, output: true, mlp: true } } as const;

function parseGpt2(r: ConfigReader): ModelConfig {
  for (const key of ['scale_attn_by_inverse_layer_idx', 'add_cross_attention']) {
    if (r.flag(key)) r.refuse(`${key} is not supported for gpt2.`);
  }
  const hiddenSize = r.number('n_embd');
  const heads = r.number('n_head');
  const layers = r.number('n_layer');
  const headDim = hiddenSize / heads;
  return {
    modelType: 'gpt2',
    hiddenSize,
    intermediateSize: r.number('n_inner', 4 * hiddenSize),
    layers,
    heads,
    kvHeads: heads,
    headDim,
    rotaryDim: headDim,
    normEps: r.number('layer_norm_epsilon', 1e-5),
    rope: { theta: 10_000, scaling: { kind: 'none' } },
    localRope: undefined,
    layerKinds: everyLayer(layers, { rope: 'none', window: 0 }),
    attentionScale: r.flag('scale_attn_weights', true) ? headDim ** -0.5 : 1,
    embeddingScale: 1,
    ...FACTS,
    activation: parseActivation(r, 'geluTanh'),
    vocabSize: r.number('vocab_size'),
    tiedEmbeddings: r.flag('tie_word_embeddings', true),
    maxPositions: r.number('n_positions', 1024),
    eosIds: idsOf(r.json.eos_token_id),
  };
}

function outerTensors(c: ModelConfig): readonly OuterTensor[] {
  const shape = [c.vocabSize, c.hiddenSize];
  const head: OuterTensor = { name: 'head', hf: 'lm_head.weight', gguf: 'output.weight', shape };
  return [
    { name: 'embed', hf: 'transformer.wte.weight', gguf: 'token_embd.weight', shape },
    {
      name: 'positionTable',
      hf: 'transformer.wpe.weight',
      gguf: 'position_embd.weight',
      shape: [c.maxPositions, c.hiddenSize],
    },
    { name: 'norm', hf: 'transformer.ln_f.weight', gguf: 'output_norm.weight', shape: [c.hiddenSize] },
    { name: 'norm.bias', hf: 'transformer.ln_f.bias', gguf: 'output_norm.bias', shape: [c.hiddenSize] },
    ...(c.tiedEmbeddings ? [] : [head]),
  ];
}

function attention({ g, config, kind, linear, attend }: LayerBuild, h_ND: Value): Value {
  const width = config.hiddenSize;
  const qkv = linear('attn.c_attn', h_ND);
  const part = (i: number) => g.slice(qkv, { axis: 1, start: i * width, end: (i + 1) * width });
  return linear('attn.c_proj', attend({ q: part(0), k: part(1), v: part(2) }, kind));
}
