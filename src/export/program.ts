// Shape legend: B rows, L new tokens of each, N = B * L, P tokens of the cache, T = P + L, D model width, V vocabulary, G key/value heads, Q = H / G, K head width
import { type DynamicAxis, standIns } from '../engine/index.ts';
import { inputWeights } from '../generate/programs.ts';
import { type Builder, createBuilder, finishGraph, type Graph, type Value } from '../graph/index.ts';
import type { Attend } from '../model/architecture.ts';
import { decoderLayer, embedded, finalNorm } from '../model/architectures.ts';
import type { LayerKind, ModelConfig } from '../model/config.ts';
import { rotate, rotationInputs } from '../model/rope.ts';
import { expectedTensors } from '../model/weights.ts';

/** Lengths of the axes that a program leaves open. */
export interface OpenAxes {
  readonly batch: number;
  readonly length: number;
  /** Tokens of the cache and new ones. */
  readonly total: number;
}

/** A graph with open axes. */
export interface OpenProgram {
  readonly graph: Graph;
  readonly axes: readonly DynamicAxis[];
}

/**
 * The whole decoder with its cache, under the names that optimum gives: `input_ids`, `position_ids` [B, L], `attention_mask` [B, T] (0 for padding),
 * `past_key_values.i.key` and `.value` [B, G, P, K] to `logits` [B, L, V], `present.i.key` and `.value` [B, G, T, K]. Weights are inputs, and so are
 * the tables of positions, [positions, K/2].
 */
export function decoderProgram(config: ModelConfig): OpenProgram {
  const [batch, length, total] = freeLengths(config);
  const axes: DynamicAxis[] = [
    { name: 'batch_size', length: batch, from: { input: 'input_ids', axis: 0 } },
    { name: 'sequence_length', length, from: { input: 'input_ids', axis: 1 } },
    { name: 'total_sequence_length', length: total, from: { input: 'attention_mask', axis: 1 } },
    { name: 'past_sequence_length', length: total - length },
  ];
  return { graph: decoderGraph(config, { batch, length, total }), axes };
}

/** The graph of {@link decoderProgram} for axes of these lengths. */
export function decoderGraph(config: ModelConfig, axes: OpenAxes): Graph {
  const g = createBuilder();
  const { batch, length, total } = axes;
  const { kvHeads, headDim } = config;
  const outputs: Record<string, Value> = {};
  const joined: Join = (layer, which, rows) => {
    const past = g.input(`past_key_values.${layer}.${which}`, [batch, kvHeads, total - length, headDim]);
    const all = g.concat([past, rows], 2);
    outputs[`present.${layer}.${which}`] = all;
    return all;
  };
  const mask = g.input('attention_mask', [batch, total], 'i64');
  const positions = g.reshape(g.input('position_ids', [batch, length], 'i64'), [batch * length]);
  const x_ND = layers(g, config, axes, { mask, positions, joined });
  const logits_NV = inputWeights(config).head(g, finalNorm(g, config, x_ND));
  const logits = g.reshape(logits_NV, [batch, length, config.vocabSize]);
  return finishGraph(g, { logits, ...outputs });
}

/**
 * A classifier: `input_ids` and `attention_mask` [B, L] (0 for padding, before or after the text) to `logits` [B, K] of each row's last token. Its head
 * is the weight `score` [K, D].
 */
export function classifierProgram(config: ModelConfig, classes: number): OpenProgram {
  const [batch, length] = freeLengths(config);
  const axes: DynamicAxis[] = [
    { name: 'batch_size', length: batch, from: { input: 'input_ids', axis: 0 } },
    { name: 'sequence_length', length, from: { input: 'input_ids', axis: 1 } },
  ];
  return { graph: classifierGraph(config, classes, { batch, length, total: length }), axes };
}

function classifierGraph(config: ModelConfig, classes: number, axes: OpenAxes): Graph {
  const g = createBuilder();
  const { batch, length } = axes;
  const mask = g.input('attention_mask', [batch, length], 'i64');
  const given_BL = g.cast(mask, 'f32');
  const count_BL = g.cumSum(given_BL);
  const x_ND = layers(g, config, axes, {
    mask,
    positions: positionsOf(g, count_BL),
    joined: (_layer, _which, rows) => rows,
  });
  // 1 at the last token of a row, 0 elsewhere: the padding after it has the same count.
  const isLast_BL = g.mul(given_BL, g.sub(g.scalar(1), g.sign(g.sub(g.reduceMax(count_BL, [-1]), count_BL))));
  const x_BLD = g.reshape(x_ND, [batch, length, config.hiddenSize]);
  const last_BD = g.reshape(g.matMul(g.reshape(isLast_BL, [batch, 1, length]), x_BLD), [batch, config.hiddenSize]);
  const score_KD = g.input('score', [classes, config.hiddenSize]);
  return finishGraph(g, { logits: g.matMul(finalNorm(g, config, last_BD), score_KD, { transB: true }) });
}

/** The position of each token [N] by the number of tokens up to it; padding before a row is at 0. */
function positionsOf(g: Builder, count_BL: Value): Value {
  const before_BL = g.sub(count_BL, g.scalar(1));
  const floored_BL = g.mul(g.add(before_BL, g.abs(before_BL)), g.scalar(0.5));
  const [batch, length] = count_BL.shape as [number, number];
  return g.reshape(g.cast(floored_BL, 'i64'), [batch * length]);
}

/** Three lengths that nothing in the model is a multiple of. */
function freeLengths(config: ModelConfig): readonly [number, number, number] {
  const widths = [...expectedTensors(config).values()].flat();
  const windows = config.layerKinds.map(({ window }) => window);
  const heads = [config.heads, config.kvHeads, config.headDim, config.rotaryDim];
  return standIns(3, [...widths, ...windows, ...heads]) as [number, number, number];
}

/** Puts what the cache holds of a layer before the new rows [B, G, L, K]. */
type Join = (layer: number, which: 'key' | 'value', rows: Value) => Value;

interface Tokens {
  /** [B, T] */
  readonly mask: Value;
  /** [N] */
  readonly positions: Value;
  readonly joined: Join;
}

/** Embedding and layers: [N, D]. */
function layers(g: Builder, config: ModelConfig, axes: OpenAxes, tokens: Tokens): Value {
  const { batch, length } = axes;
  const weights = inputWeights(config);
  const ids = g.reshape(g.input('input_ids', [batch, length], 'i64'), [batch * length]);
  let x_ND = embedded(g, config, weights.embed(g, ids), () => tokens.positions);
  for (let layer = 0; layer < config.layers; layer++) {
    const own: Builder = { ...g, input: (name, ...type) => g.input(`layers.${layer}.${name}`, ...type) };
    x_ND = decoderLayer(own, x_ND, {
      config,
      layer,
      layout: { tokens: batch * length, rows: batch, length, dense: true },
      linear: weights.linear(own, layer),
      attend: attendOpen(g, config, axes, tokens, layer),
    });
  }
  return x_ND;
}

/** Attention of operators that every device has, over a cache that grows by concatenation. */
function attendOpen(g: Builder, config: ModelConfig, axes: OpenAxes, tokens: Tokens, layer: number): Attend {
  const { batch, length, total } = axes;
  const { heads, kvHeads, headDim, attentionScale: alpha } = config;
  const group = heads / kvHeads;
  return ({ q, k, v }, kind) => {
    const turned = turner(g, config, kind, tokens.positions);
    const rows = (x: Value) => g.transpose(g.reshape(x, [batch, length, kvHeads, headDim]), [0, 2, 1, 3]);
    const keys = tokens.joined(layer, 'key', rows(turned(k)));
    const values = tokens.joined(layer, 'value', rows(v));
    const q_BGQLK = g.transpose(g.reshape(turned(q), [batch, length, kvHeads, group, headDim]), [0, 2, 3, 1, 4]);
    const block = g.reshape(q_BGQLK, [batch, kvHeads, group * length, headDim]);
    const scores = g.matMul(block, keys, { transB: true, alpha });
    const seen = g.visibleMask(tokens.mask, { queries: length, window: kind.window });
    const masked = g.add(g.reshape(scores, [batch, kvHeads, group, length, total]), seen);
    const shares = g.reshape(g.softmax(masked), [batch, kvHeads, group * length, total]);
    const out_BGQLK = g.reshape(g.matMul(shares, values), [batch, kvHeads, group, length, headDim]);
    return g.reshape(g.transpose(out_BGQLK, [0, 3, 1, 2, 4]), [batch * length, heads * headDim]);
  };
}

/** Turns q or k by the positions, with the tables of all positions as weights. */
function turner(g: Builder, config: ModelConfig, { rope }: LayerKind, positions: Value): (x: Value) => Value {
  if (rope === 'none') return (x) => x;
  const names = rotationInputs(rope);
  const shape = [config.maxPositions, config.rotaryDim / 2];
  const [cos, sin] = [g.gather(g.input(names.cos, shape), positions), g.gather(g.input(names.sin, shape), positions)];
  return (x) => rotate(g, x, config.headDim, { cos, sin });
}
