// Shape legend: N tokens, D model width, F feed-forward width, H query heads, G key/value heads, K head width
import type { Builder, Value } from '../graph/index.ts';
import type { LayerBuild, LayerVector, LinearModule } from './architecture.ts';
import type { Activation, ModelConfig } from './config.ts';

/** The weight of a norm over the model's width. */
export function widthNorm(name: string, c: ModelConfig): LayerVector {
  return { name: `${name}.weight`, shape: [c.hiddenSize] };
}

/** RMS normalisation with a layer's own weight over the last axis of x. */
export function rmsNorm({ g, config }: LayerBuild, name: string, x: Value): Value {
  return g.rmsNorm(x, g.input(`${name}.weight`, [x.shape.at(-1)!]), config.normEps);
}

/** RMS normalisation of each head of x [N, heads * K] with one weight [K] for all. */
export function headNorm(
  { g, config }: LayerBuild,
  name: string,
  x: Value,
  weightOf = (weight_K: Value): Value => weight_K,
): Value {
  const { headDim, normEps } = config;
  const [n, width] = x.shape as [number, number];
  const heads = g.reshape(x, [(n * width) / headDim, headDim]);
  return g.reshape(g.rmsNorm(heads, weightOf(g.input(`${name}.weight`, [headDim])), normEps), [n, width]);
}

/** Layer normalisation with bias (Ba et al. 2016, arXiv:1607.06450): the RMS norm of what differs from the mean. */
export function layerNorm(g: Builder, x: Value, weight_D: Value, bias_D: Value, eps: number): Value {
  const mean = g.mul(g.reduceSum(x, [-1]), g.scalar(1 / x.shape.at(-1)!));
  return g.add(g.rmsNorm(g.sub(x, mean), weight_D, eps), bias_D);
}

/** {@link layerNorm} with a layer's own weight and bias. */
export function normWithBias({ g, config }: LayerBuild, name: string, x: Value): Value {
  const { hiddenSize, normEps } = config;
  return layerNorm(g, x, g.input(`${name}.weight`, [hiddenSize]), g.input(`${name}.bias`, [hiddenSize]), normEps);
}

/** What q and k go through before they are turned. */
export interface QueryKeyNorms {
  readonly q: (q: Value) => Value;
  readonly k: (k: Value) => Value;
}

/** Self-attention with one matrix each for q, k, v and the output: h [N, D] to [N, D]. */
export function selfAttention(build: LayerBuild, h_ND: Value, norms?: QueryKeyNorms): Value {
  const { linear, attend, kind } = build;
  const q = linear('self_attn.q_proj', h_ND);
  const k = linear('self_attn.k_proj', h_ND);
  const v = linear('self_attn.v_proj', h_ND);
  return linear('self_attn.o_proj', attend({ q: norms?.q(q) ?? q, k: norms?.k(k) ?? k, v }, kind));
}

/** The gated feed-forward layer (Shazeer 2020, arXiv:2002.05202): down(act(gate(m)) * up(m)). */
export function gatedMlp({ g, config, linear }: LayerBuild, m_ND: Value): Value {
  const act_NF = g.mul(activate(g, config.activation, linear('mlp.gate_proj', m_ND)), linear('mlp.up_proj', m_ND));
  return linear('mlp.down_proj', act_NF);
}

/** x + f(x), then that + g(that): a layer with its norms before attention and before the feed-forward layer. */
export function preNormLayer(
  build: LayerBuild,
  x_ND: Value,
  attention: (h_ND: Value) => Value,
  mlp: (m_ND: Value) => Value = (m_ND) => gatedMlp(build, m_ND),
): Value {
  const { g } = build;
  const attended_ND = g.add(x_ND, attention(rmsNorm(build, 'input_layernorm', x_ND)));
  return g.add(attended_ND, mlp(rmsNorm(build, 'post_attention_layernorm', attended_ND)));
}

/** An activation, element by element. */
export function activate(g: Builder, activation: Activation, x: Value): Value {
  switch (activation) {
    case 'silu':
      return g.silu(x);
    case 'geluTanh':
      return geluTanh(g, x);
    default:
      return activation satisfies never;
  }
}

/**
 * GELU with tanh (Hendrycks and Gimpel 2016, arXiv:1606.08415): (1 + tanh u) / 2 is the logistic function of 2 u, with
 * u = sqrt(2 / pi) (x + 0.044715 x^3).
 */
function geluTanh(g: Builder, x: Value): Value {
  const slope = 2 * Math.sqrt(2 / Math.PI);
  const inner = g.mul(x, g.add(g.mul(g.mul(x, x), g.scalar(slope * 0.044715)), g.scalar(slope)));
  return g.mul(x, g.sigmoid(inner));
}

/** The linear modules of {@link selfAttention}. */
export function attentionModules(c: ModelConfig): readonly LinearModule[] {
  const reads = 'self_attn';
  const width = c.heads * c.headDim;
  const kvWidth = c.kvHeads * c.headDim;
  const bias = c.biases.qkv;
  return [
    { module: 'self_attn.q_proj', out: width, in: c.hiddenSize, bias, reads },
    { module: 'self_attn.k_proj', out: kvWidth, in: c.hiddenSize, bias, reads },
    { module: 'self_attn.v_proj', out: kvWidth, in: c.hiddenSize, bias, reads },
    { module: 'self_attn.o_proj', out: c.hiddenSize, in: width, bias: c.biases.output, reads: 'self_attn.o_proj' },
  ];
}

/** The linear modules of {@link gatedMlp}. */
export function mlpModules(c: ModelConfig): readonly LinearModule[] {
  const bias = c.biases.mlp;
  return [
    { module: 'mlp.gate_proj', out: c.intermediateSize, in: c.hiddenSize, bias, reads: 'mlp' },
    { module: 'mlp.up_proj', out: c.intermediateSize, in: c.hiddenSize, bias, reads: 'mlp' },
    { module: 'mlp.down_proj', out: c.hiddenSize, in: c.intermediateSize, bias, reads: 'mlp.down_proj' },
  ];
}
