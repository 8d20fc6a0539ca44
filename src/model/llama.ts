// Shape legend: N tokens of a micro-batch, D model width, F feed-forward width, H query heads, G key/value heads, K head width
import type { Builder, Value } from '../graph/index.ts';
import { attention, type Layout } from './attention.ts';
import type { ModelConfig } from './config.ts';

/** A linear layer of a decoder layer by its module name, such as `self_attn.q_proj`: x [N, in] to [N, out]. */
export type Linear = (module: string, x: Value) => Value;

/** A linear module: its name within the layer and its size. */
export interface LinearModule {
  readonly module: string;
  readonly out: number;
  readonly in: number;
}

/** The linear modules of one decoder layer in the order of their use. */
export function llamaModules(c: ModelConfig): readonly LinearModule[] {
  const attentionWidth = c.heads * c.headDim;
  const kvWidth = c.kvHeads * c.headDim;
  return [
    { module: 'self_attn.q_proj', out: attentionWidth, in: c.hiddenSize },
    { module: 'self_attn.k_proj', out: kvWidth, in: c.hiddenSize },
    { module: 'self_attn.v_proj', out: kvWidth, in: c.hiddenSize },
    { module: 'self_attn.o_proj', out: c.hiddenSize, in: attentionWidth },
    { module: 'mlp.gate_proj', out: c.intermediateSize, in: c.hiddenSize },
    { module: 'mlp.up_proj', out: c.intermediateSize, in: c.hiddenSize },
    { module: 'mlp.down_proj', out: c.hiddenSize, in: c.intermediateSize },
  ];
}

/** The vectors of one decoder layer. */
export const LLAMA_NORMS = ['input_layernorm', 'post_attention_layernorm'] as const;

/** Attention of one layer: rotated q [N, H*K] and k [N, G*K], v [N, G*K] to [N, H*K]. */
export type Attend = (qkv: { readonly q: Value; readonly k: Value; readonly v: Value }) => Value;

/**
 * One decoder layer of the Llama family (Touvron et al. 2023, arXiv:2307.09288): x [N, D] to [N, D].
 *
 * @param attend within the rows of the layout, if not given
 */
export function llamaLayer(
  g: Builder,
  x_ND: Value,
  {
    config,
    layout,
    linear,
    attend = (qkv) => attention(g, qkv, config, layout),
  }: { readonly config: ModelConfig; readonly layout: Layout; readonly linear: Linear; readonly attend?: Attend },
): Value {
  const { hiddenSize, rmsNormEps, headDim } = config;
  const norm = (name: (typeof LLAMA_NORMS)[number], x: Value) =>
    g.rmsNorm(x, g.input(`${name}.weight`, [hiddenSize]), rmsNormEps);
  const cos_NK = g.input('cos', [layout.tokens, headDim / 2]);
  const sin_NK = g.input('sin', [layout.tokens, headDim / 2]);

  const h_ND = norm('input_layernorm', x_ND);
  const q = g.rope(linear('self_attn.q_proj', h_ND), cos_NK, sin_NK);
  const k = g.rope(linear('self_attn.k_proj', h_ND), cos_NK, sin_NK);
  const v = linear('self_attn.v_proj', h_ND);
  const attended_ND = g.add(x_ND, linear('self_attn.o_proj', attend({ q, k, v })));

  const m_ND = norm('post_attention_layernorm', attended_ND);
  const act_NF = g.mul(g.silu(linear('mlp.gate_proj', m_ND)), linear('mlp.up_proj', m_ND));
  return g.add(attended_ND, linear('mlp.down_proj', act_NF));
}
