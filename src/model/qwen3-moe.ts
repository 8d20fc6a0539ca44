// Shape legend: N tokens, D model width, E experts
import type { Value } from '../graph/index.ts';
import type { Architecture, LayerBuild, LinearModule } from './architecture.ts';
import type { Experts, ModelConfig } from './config.ts';
import type { ConfigReader } from './config-reader.ts';
import { activate, attentionModules, gatedMlp, mlpModules, preNormLayer, selfAttention } from './layer.ts';
import { perHead, qwen3 } from './qwen3.ts';

/** The three matrices of an expert. */
const PARTS = ['gate_proj', 'up_proj', 'down_proj'] as const;

/**
 * Qwen 3 with experts (Yang et al. 2025, arXiv:2505.09388): the feed-forward layer is many small ones, of which a router chooses a few for each token
 * (Shazeer et al. 2017, arXiv:1701.06538). The router is no linear module: it trains with all weights, never under an adapter.
 */
export const qwen3Moe: Architecture = {
  ...qwen3,
  modelType: 'qwen3_moe',
  className: 'Qwen3MoeForCausalLM',
  parse: (r) => {
    const common = { ...qwen3.parse(r), modelType: 'qwen3_moe' } as const;
    const dense = new Set(r.list('mlp_only_layers', 0));
    const step = r.number('decoder_sparse_step', 1);
    return {
      ...common,
      experts: parseExperts(r),
      layerKinds: common.layerKinds.map((kind, layer) => ({
        ...kind,
        hasExperts: !dense.has(layer) && (layer + 1) % step === 0,
      })),
    };
  },
  write: (c) => ({
    ...qwen3.write(c),
    num_experts: c.experts?.count,
    num_experts_per_tok: c.experts?.perToken,
    moe_intermediate_size: c.experts?.width,
    norm_topk_prob: c.experts?.isNormalised,
    decoder_sparse_step: 1,
    mlp_only_layers: c.layerKinds.flatMap(({ hasExperts }, layer) => (hasExperts === true ? [] : [layer])),
  }),
  gguf: {
    architecture: 'qwen3moe',
    isPermuted: false,
    normOffset: 0,
    parse: (r, common) => ({
      ...common,
      experts: {
        count: r.number('expert_count'),
        perToken: r.number('expert_used_count'),
        width: r.number('expert_feed_forward_length'),
        isNormalised: true,
      },
      layerKinds: common.layerKinds.map((kind) => ({ ...kind, hasExperts: true })),
    }),
  },
  names: [
    ...qwen3.names,
    ['ffn_gate_inp', 'mlp.gate'],
    ['ffn_gate_exps', 'mlp.experts.*.gate_proj'],
    ['ffn_up_exps', 'mlp.experts.*.up_proj'],
    ['ffn_down_exps', 'mlp.experts.*.down_proj'],
  ],
  modules: (c, layer) => [...attentionModules(c), ...(hasExperts(c, layer) ? expertModules(c) : mlpModules(c))],
  norms: (c, layer) => [
    ...qwen3.norms(c, layer),
    ...(hasExperts(c, layer) ? [{ name: 'mlp.gate.weight', shape: [expertsOf(c).count, c.hiddenSize] }] : []),
  ],
  layer: (build, x_ND) =>
    preNormLayer(
      build,
      x_ND,
      (h_ND) => selfAttention(build, h_ND, perHead(build)),
      (m_ND) => (build.kind.hasExperts === true ? mixture(build, m_ND) : gatedMlp(build, m_ND)),
    ),
};

function parseExperts(r: ConfigReader): Experts {
  if (r.flag('output_router_logits')) {
    r.refuse(
      'output_router_logits: set it to false in config.json; --router-loss trains with the auxiliary loss of the routers.',
    );
  }
  const perToken = r.number('num_experts_per_tok', 8);
  return {
    count: r.number('num_experts', r.number('num_local_experts', 128)),
    perToken,
    width: r.number('moe_intermediate_size', 768),
    isNormalised: r.flag('norm_topk_prob'),
  };
}

function hasExperts(c: ModelConfig, layer: number): boolean {
  return c.layerKinds[layer]?.hasExperts === true;
}

function expertsOf({ experts }: ModelConfig): Experts {
  if (experts === undefined) throw new Error('internal: a layer with experts in a model without');
  return experts;
}

function expertModules(c: ModelConfig): readonly LinearModule[] {
  const { count, width } = expertsOf(c);
  return Array.from({ length: count }, (_, e) =>
    PARTS.map((part): LinearModule => {
      const module = `mlp.experts.${e}.${part}`;
      const isDown = part === 'down_proj';
      const [out, from] = isDown ? [c.hiddenSize, width] : [width, c.hiddenSize];
      return { module, out, in: from, bias: false, reads: isDown ? module : 'mlp.experts', isExpert: true };
    }),
  ).flat();
}

/**
 * The sum of the chosen experts, weighted by the router. Every expert computes every token, and those that were not chosen count nothing.
 */
function mixture({ g, config, linear, onRouting }: LayerBuild, m_ND: Value): Value {
  const { count, perToken, isNormalised } = expertsOf(config);
  const router_ED = g.input('mlp.gate.weight', [count, config.hiddenSize]);
  const share_NE = g.softmax(g.matMul(m_ND, router_ED, { transB: true }));
  const chosen_NE = g.topMask(share_NE, perToken);
  onRouting?.({ share_NE, chosen_NE });
  const taken_NE = g.mul(share_NE, chosen_NE);
  const weight_NE = isNormalised ? g.div(taken_NE, g.reduceSum(taken_NE, [-1])) : taken_NE;
  const parts = Array.from({ length: count }, (_, e) => {
    const gate = activate(g, config.activation, linear(`mlp.experts.${e}.gate_proj`, m_ND));
    const y_ND = linear(`mlp.experts.${e}.down_proj`, g.mul(gate, linear(`mlp.experts.${e}.up_proj`, m_ND)));
    return g.mul(y_ND, g.slice(weight_NE, { axis: 1, start: e, end: e + 1 }));
  });
  return parts.reduce((sum, part) => g.add(sum, part));
}
