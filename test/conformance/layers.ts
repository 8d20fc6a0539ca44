import type { Builder, Value } from '../../src/graph/index.ts';
import { type AdaptedModule, adaptedLinear, trainedInputs } from '../../src/model/adapters/index.ts';
import { decoderLayer, layerVectors, linearModules } from '../../src/model/architectures.ts';
import { attention, type Layout } from '../../src/model/attention.ts';
import { parseHfConfig } from '../../src/model/config.ts';
import { baseLinear } from '../../src/model/linear.ts';
import { ropeTables } from '../../src/model/rope.ts';
import { dropoutMask, exactly, indices, real, type TestInputs, type TestTensor } from './values.ts';

/** A segment with all its inputs. */
export interface SegmentCase {
  readonly name: string;
  readonly segment: (g: Builder) => Value;
  readonly inputs: TestInputs;
  /** Inputs whose gradients are checked. */
  readonly wanted: readonly string[];
}

/** Small, and no two sizes alike: a wrong axis then never fits. */
const config = parseHfConfig(
  {
    model_type: 'llama',
    hidden_size: 6,
    intermediate_size: 7,
    num_hidden_layers: 1,
    num_attention_heads: 6,
    num_key_value_heads: 2,
    head_dim: 4,
    rms_norm_eps: 1e-5,
    vocab_size: 32,
    tie_word_embeddings: true,
    max_position_embeddings: 64,
  },
  'config.json',
);
const NORMS = layerVectors(config, 0);
const MODULES = linearModules(config, 0);

const DENSE: Layout = { tokens: 10, rows: 2, length: 5, dense: true };

/** Rows of 4, 3 and 2 tokens and one token of padding, in a grid of three rows of four. */
const GRID: Layout = { tokens: 10, rows: 3, length: 4, dense: false };
const GRID_INPUTS: TestInputs = {
  'grid.index': indices([0, 1, 2, 3, 4, 5, 6, 0, 7, 8, 0, 0]),
  'grid.valid': exactly([12, 1], [1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 0]),
  'grid.inverse': indices([0, 1, 2, 3, 4, 5, 6, 8, 9, 0]),
  'token.valid': exactly([10, 1], [1, 1, 1, 1, 1, 1, 1, 1, 1, 0]),
};

function positionsOf({ dense, length, tokens }: Layout): Int32Array {
  if (!dense) return Int32Array.of(0, 1, 2, 3, 0, 1, 2, 0, 1, 0);
  return Int32Array.from({ length: tokens }, (_, i) => i % length);
}

function layerInputs(layout: Layout): Record<string, TestTensor> {
  const { cos, sin } = ropeTables(config.rope, config.rotaryDim, positionsOf(layout));
  const table = [layout.tokens, config.headDim / 2];
  const inputs: Record<string, TestTensor> = {
    x: real([layout.tokens, config.hiddenSize], -1, 1),
    cos: exactly(table, [...cos]),
    sin: exactly(table, [...sin]),
    ...(layout.dense ? {} : GRID_INPUTS),
  };
  for (const [i, { name, shape }] of NORMS.entries()) inputs[name] = real([...shape], 0.5, 1.5, i);
  for (const [i, m] of MODULES.entries()) {
    inputs[`${m.module}.weight`] = real([m.out, m.in], -0.6, 0.6, 10 + i);
    inputs[`${m.module}.lora_A.weight`] = real([2, m.in], -0.6, 0.6, 20 + i);
    inputs[`${m.module}.lora_B.weight`] = real([m.out, 2], -0.6, 0.6, 30 + i);
    inputs[`${m.module}.lora_A0.weight`] = real([2, m.in], -0.6, 0.6, 50 + i);
    inputs[`${m.module}.lora_B0.weight`] = real([m.out, 2], -0.6, 0.6, 60 + i);
    inputs[`${m.module}.lora_magnitude_vector`] = real([m.out], 0.5, 1.5, 70 + i);
    inputs[`${m.module}.weight_norm`] = real([m.out], 0.5, 1.5, 80 + i);
    inputs[`${m.module}.vera_lambda_b`] = real([m.out], -0.6, 0.6, 90 + i);
    inputs[`${m.module}.vera_lambda_d`] = real([2], -0.6, 0.6, 100 + i);
    inputs[`vera_A.${m.in}`] = real([2, m.in], -0.6, 0.6, 110);
    inputs[`vera_B.${m.out}`] = real([m.out, 2], -0.6, 0.6, 120);
    inputs[`${m.module}.ia3_l`] = real(m.module === 'mlp.down_proj' ? [1, m.in] : [m.out, 1], 0.5, 1.5, 130 + i);
    inputs[`${m.module}.dropout`] = dropoutMask([layout.tokens, m.in], 40 + i);
  }
  return inputs;
}

const base = [...NORMS.map(({ name }) => name), ...MODULES.map((m) => `${m.module}.weight`)];

/** How every module is adapted in a case. */
const ADAPTED: Readonly<Record<string, (module: string) => AdaptedModule>> = {
  LoRA: () => ({ kind: 'lora', rank: 2, scale: 1.5 }),
  'LoRA off its start': () => ({ kind: 'lora', rank: 2, scale: 1.5, start: 'subtracted' }),
  DoRA: () => ({ kind: 'dora', rank: 2, scale: 1.5 }),
  VeRA: () => ({ kind: 'vera', rank: 2, dInitial: 0.1 }),
  '(IA)^3': (module) => ({ kind: 'ia3', scales: module === 'mlp.down_proj' ? 'input' : 'output' }),
};

function layer(layout: Layout, what: string, dropout = false): SegmentCase {
  const how = ADAPTED[what];
  const adapted = new Map(how === undefined ? [] : MODULES.map((m) => [m.module, how(m.module)] as const));
  const segment = (g: Builder) => {
    const linear = adaptedLinear(g, MODULES, { adapted, dropout, base: baseLinear(g, MODULES) });
    return decoderLayer(g, g.input('x', [layout.tokens, config.hiddenSize]), { config, layer: 0, layout, linear });
  };
  const wanted = ['x', ...(how === undefined ? base : trainedInputs(adapted, MODULES))];
  const where = layout.dense ? 'dense' : 'grid with padding';
  const name = `llama layer, ${what}${dropout ? ' with dropout' : ''}, ${where}`;
  return { name, segment, inputs: layerInputs(layout), wanted };
}

/** Attention alone in blocks of `queryBlock` queries; every case of a window has the same inputs and so the same result. */
export function attentionCase(layout: Layout, queryBlock: number, window = 0): SegmentCase {
  const { heads, kvHeads, headDim } = config;
  const inputs = {
    q: real([layout.tokens, heads * headDim], -2, 2, 1),
    k: real([layout.tokens, kvHeads * headDim], -2, 2, 2),
    v: real([layout.tokens, kvHeads * headDim], -2, 2, 3),
    ...(layout.dense ? {} : GRID_INPUTS),
  };
  const segment = (g: Builder) => {
    const [q, k, v] = (['q', 'k', 'v'] as const).map((name) => g.input(name, inputs[name].shape));
    return attention(g, { q: q!, k: k!, v: v! }, config, layout, { queryBlock, window });
  };
  const where = layout.dense ? 'dense' : 'grid';
  const seen = window === 0 ? '' : `, a window of ${window}`;
  return { name: `attention, ${where}, blocks of ${queryBlock}${seen}`, segment, inputs, wanted: ['q', 'k', 'v'] };
}

/** Attention in one block, in blocks that divide the length, and in blocks that do not. */
export const ATTENTION_CASES: readonly SegmentCase[] = [
  ...[1, 2, 5].map((block) => attentionCase(DENSE, block)),
  ...[3, 4].map((block) => attentionCase(GRID, block)),
  ...[1, 2, 5].map((block) => attentionCase(DENSE, block, 2)),
  ...[3, 4].map((block) => attentionCase(GRID, block, 3)),
];

/** The decoder layers that are trained: adapters and full weights, rows without and with padding, dropout. */
export const LAYER_CASES: readonly SegmentCase[] = [
  layer(GRID, 'LoRA'),
  ...Object.keys(ADAPTED).map((what) => layer(DENSE, what)),
  ...['LoRA', 'LoRA off its start', 'DoRA', 'VeRA'].map((what) => layer(DENSE, what, true)),
  layer(GRID, 'full weights'),
];
