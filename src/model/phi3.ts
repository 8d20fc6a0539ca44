// Shape legend: N tokens, D model width, F feed-forward width, Q width of all queries, K width of all keys
import type { Value } from '../graph/index.ts';
import type { Architecture, LayerBuild, NamePairs } from './architecture.ts';
import { everyLayer, parseDecoder } from './config-reader.ts';
import { activate, preNormLayer } from './layer.ts';
import { DECODER_NAMES, llama } from './llama.ts';

const NAMES: NamePairs = [
  ...DECODER_NAMES.filter(([, hf]) => !/\.(?:[qkv]|gate|up)_proj$/.test(hf)),
  ['attn_qkv', 'self_attn.qkv_proj'],
  ['ffn_up', 'mlp.gate_up_proj'],
];

/** Phi 3 and 4 (Abdin et al. 2024, arXiv:2404.14219): Llama with q, k, v in one matrix and gate, up in another. */
export const phi3: Architecture = {
  ...llama,
  modelType: 'phi3',
  className: 'Phi3ForCausalLM',
  parse: (r) => {
    const common = parseDecoder(r, 'phi3', { isPartial: true });
    return {
      ...common,
      layerKinds: everyLayer(common.layers, { rope: 'global', window: r.number('sliding_window', 0) }),
    };
  },
  write: (c) => ({
    sliding_window: c.layerKinds[0]?.window || null,
    partial_rotary_factor: c.rotaryDim / c.headDim,
    original_max_position_embeddings: c.maxPositions,
  }),
  gguf: {
    architecture: 'phi3',
    isPermuted: false,
    normOffset: 0,
    parse: (r, common) => ({
      ...common,
      layerKinds: everyLayer(common.layers, { rope: 'global', window: r.number('attention.sliding_window', 0) }),
    }),
  },
  names: NAMES,
  modules: (c) => {
    const width = c.heads * c.headDim;
    const [qkv, gateUp] = [width + 2 * c.kvHeads * c.headDim, 2 * c.intermediateSize];
    const own = (module: string, out: number, width: number) => ({
      module,
      out,
      in: width,
      bias: false,
      reads: module,
    });
    return [
      own('self_attn.qkv_proj', qkv, c.hiddenSize),
      own('self_attn.o_proj', c.hiddenSize, width),
      own('mlp.gate_up_proj', gateUp, c.hiddenSize),
      own('mlp.down_proj', c.hiddenSize, c.intermediateSize),
    ];
  },
  layer: (build, x_ND) =>
    preNormLayer(
      build,
      x_ND,
      (h_ND) => fusedAttention(build, h_ND),
      (m_ND) => fusedMlp(build, m_ND),
    ),
};

function fusedAttention({ g, config, kind, linear, attend }: LayerBuild, h_ND: Value): Value {
  const [q, k] = [config.heads * config.headDim, config.kvHeads * config.headDim];
  const qkv = linear('self_attn.qkv_proj', h_ND);
  const part = (start: number, end: number) => g.slice(qkv, { axis: 1, start, end });
  const attended = attend({ q: part(0, q), k: part(q, q + k), v: part(q + k, q + 2 * k) }, kind);
  return linear('self_attn.o_proj', attended);
}

function fusedMlp({ g, config, linear }: LayerBuild, m_ND: Value): Value {
  const width = config.intermediateSize;
  const both = linear('mlp.gate_up_proj', m_ND);
  const gate_NF = activate(g, config.activation, g.slice(both, { axis: 1, start: 0, end: width }));
  return linear('mlp.down_proj', g.mul(gate_NF, g.slice(both, { axis: 1, start: width, end: 2 * width })));
}
