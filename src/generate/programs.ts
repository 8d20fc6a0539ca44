// Shape legend: B rows of the cache, L new tokens of each, N = B * L, C capacity, D model width, V vocabulary, G key/value heads, K head width
import {
  type Builder,
  type CachedAttention,
  createBuilder,
  finishGraph,
  type Graph,
  type Value,
} from '../graph/index.ts';
import type { StoredTensor } from '../io/stored.ts';
import { type AdaptedModules, adaptedLinear } from '../model/adapters/index.ts';
import type { Attend, Linear, OuterName } from '../model/architecture.ts';
import { decoderLayer, embedded, finalNorm, linearModules, outerTensors } from '../model/architectures.ts';
import type { LayerKind, ModelConfig } from '../model/config.ts';
import { baseLinear } from '../model/linear.ts';
import { layerTensor } from '../model/names.ts';
import { rotate, rotationInputs } from '../model/rope.ts';

/** Sizes that a program is made for. */
export interface ProgramShape {
  readonly rows: number;
  /** New tokens of each row: 1 when decoding; a prompt's part has 1 row. */
  readonly length: number;
  readonly capacity: number;
  /** What comes out: logits, or the most likely token alone, which is less to carry. */
  readonly output: 'logits' | 'greedy';
}

/** Where a program's matrices come from: inputs of the exact path, stored constants of the fast one. */
export interface WeightSource {
  /** Embedding rows of token ids [N]: [N, D]. */
  embed(g: Builder, ids: Value): Value;
  /** The base model's linear modules of one layer; `g` names its inputs after the layer. */
  linear(g: Builder, layer: number): Linear;
  /** Operators that a layer uses in place of the usual ones. */
  overrides?(g: Builder): Partial<Builder>;
  /** Logits [B, V] of normalised hidden states [B, D]. */
  head(g: Builder, hidden: Value): Value;
}

/** Float32 weights as inputs in the layout of Hugging Face. */
export function inputWeights(config: ModelConfig): WeightSource {
  const { vocabSize, hiddenSize, tiedEmbeddings } = config;
  return {
    embed: (g, ids) => g.gather(g.input('embed', [vocabSize, hiddenSize]), ids),
    linear: (g, layer) => baseLinear(g, linearModules(config, layer)),
    head: (g, hidden) =>
      g.matMul(hidden, g.input(tiedEmbeddings ? 'embed' : 'head', [vocabSize, hiddenSize]), { transB: true }),
  };
}

/**
 * Weights as constants in the form in which they are stored, for the fast path. Modules that read the same x are one matrix where their types allow.
 */
export function storedWeights(config: ModelConfig, tensors: ReadonlyMap<string, StoredTensor>): WeightSource {
  const stored = (name: string): StoredTensor => {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new Error(`internal: no tensor ${name}`);
    return tensor;
  };
  const outer = (name: OuterName) => outerTensors(config).find((tensor) => tensor.name === name)?.hf ?? name;
  return {
    overrides: (g) => ({ silu: g.siluFast }),
    embed: (g, ids) => g.quantizedRows(ids, { tensors: [stored(outer('embed'))] }),
    linear: (g, layer) => (module, x) => {
      const modules = linearModules(config, layer);
      const { reads } = modules.find((m) => m.module === module)!;
      const members = modules
        .filter((m) => m.reads === reads)
        .map(({ module: member }) => ({ member, tensor: stored(layerTensor(config, layer, `${member}.weight`)) }));
      const alike = members.every((m) => m.tensor.type === members[0]!.tensor.type);
      const joint = alike ? members : members.filter((m) => m.member === module);
      const y = g.quantizedLinear(x, { tensors: joint.map((m) => m.tensor) });
      let start = 0;
      for (const { member, tensor } of joint) {
        if (member === module) return g.slice(y, { axis: 1, start, end: start + tensor.shape[0]! });
        start += tensor.shape[0]!;
      }
      throw new Error(`internal: ${module} is not in its group`);
    },
    head: (g, hidden) =>
      g.quantizedLinear(hidden, { tensors: [stored(outer(config.tiedEmbeddings ? 'embed' : 'head'))] }),
  };
}

/**
 * The whole decoder over new tokens and a cache. Inputs: `ids` [N], `positions` [N], `last` [B], `total` [1], `cos` and `sin` [C, K/2] of all
 * positions, `pick` [B] (index among the N of the token whose logits are wanted; not where L is 1), `norm`, the weights, and `keys.i`, `values.i`
 * [B, G, C, K] of each layer. Outputs: `logits` [B, V] or `greedy` [B], `keys.i.next`, `values.i.next`, which may be written over the caches.
 */
export function decoderProgram(
  config: ModelConfig,
  shape: ProgramShape,
  weights: WeightSource,
  adapted: readonly AdaptedModules[] | undefined,
): Graph {
  const { rows, length } = shape;
  const tokens = rows * length;
  const g = createBuilder();
  const positions = () => g.input('positions', [tokens], 'i32');

  const outputs: Record<string, Value> = {};
  let x_ND = embedded(g, config, weights.embed(g, g.input('ids', [tokens], 'i32')), positions);
  for (let layer = 0; layer < config.layers; layer++) {
    const own: Builder = {
      ...g,
      ...weights.overrides?.(g),
      input: (name, ...type) => g.input(`layers.${layer}.${name}`, ...type),
    };
    const linear = adaptedLinear(own, linearModules(config, layer), {
      adapted: adapted?.[layer] ?? new Map(),
      dropout: false,
      base: weights.linear(own, layer),
    });
    const names = { keys: `keys.${layer}`, values: `values.${layer}` };
    x_ND = decoderLayer(own, x_ND, {
      config,
      layer,
      layout: { tokens, rows, length, dense: true },
      linear,
      attend: attendCached(g, { config, shape, names, outputs, positions }),
    });
  }
  const wanted = length === 1 ? x_ND : g.gather(x_ND, g.input('pick', [rows], 'i32'));
  const logits = weights.head(g, finalNorm(g, config, wanted));
  return finishGraph(g, { ...(shape.output === 'logits' ? { logits } : { greedy: g.argMax(logits) }), ...outputs });
}

/** Attention over the cache. q and k are turned by the operator itself where it can (whole heads of a multiple of 16), else before it. */
export function attendCached(
  g: Builder,
  at: {
    readonly config: ModelConfig;
    readonly shape: ProgramShape;
    /** The caches' inputs; what goes into their places comes out as `<name>.next`. */
    readonly names: { readonly keys: string; readonly values: string };
    readonly outputs: Record<string, Value>;
    readonly positions: () => Value;
  },
): Attend {
  const { config, shape, names, outputs } = at;
  const { heads, kvHeads, headDim, rotaryDim, attentionScale: scale } = config;
  const { rows, length, capacity } = shape;
  const cache = [rows, kvHeads, capacity, headDim];
  const grid = (x: Value) => g.reshape(x, [rows, length, x.shape[1]!]);
  return ({ q, k, v }, kind) => {
    const tables = rotationOf(g, config, kind, capacity);
    const isInside = headDim % 16 === 0 && rotaryDim === headDim;
    const turned = (x: Value) => {
      if (tables === undefined || isInside) return x;
      const [cos, sin] = [g.gather(tables.cos, at.positions()), g.gather(tables.sin, at.positions())];
      return rotate(g, x, headDim, { cos, sin });
    };
    const { attended, keys, values } = g.cachedAttention(
      {
        q: grid(turned(q)),
        k: grid(turned(k)),
        v: grid(v),
        keys: g.input(names.keys, cache),
        values: g.input(names.values, cache),
        last: g.input('last', [rows], 'i32'),
        total: g.input('total', [1], 'i32'),
        rotary: isInside ? tables : undefined,
      },
      { heads, kvHeads, scale, window: kind.window < capacity ? kind.window : 0 },
    );
    outputs[`${names.keys}.next`] = keys;
    outputs[`${names.values}.next`] = values;
    return g.reshape(attended, [rows * length, heads * headDim]);
  };
}

/** The tables of positions 0 to C-1 by which a layer's q and k are turned; undefined where they are not. */
function rotationOf(
  g: Builder,
  { rotaryDim }: ModelConfig,
  { rope }: LayerKind,
  capacity: number,
): CachedAttention['rotary'] {
  if (rope === 'none') return undefined;
  const names = rotationInputs(rope);
  return { cos: g.input(names.cos, [capacity, rotaryDim / 2]), sin: g.input(names.sin, [capacity, rotaryDim / 2]) };
}
