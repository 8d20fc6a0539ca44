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
import type { ModelConfig } from '../model/config.ts';
import { type Linear, llamaLayer, llamaModules } from '../model/llama.ts';
import { baseLinear, type LoraModule, loraLinear } from '../model/lora.ts';
import { EMBED, HEAD, layerTensor } from '../model/names.ts';

/** Sizes that a program is made for. */
export interface ProgramShape {
  readonly rows: number;
  /** New tokens of each row: 1 when decoding; a prompt's part has 1 row. */
  readonly length: number;
  readonly capacity: number;
  /** What comes out: logits, or the most likely token alone, which is less to carry. */
  readonly output: 'logits' | 'greedy';
}

/** The adapted modules of each layer; nothing for the base model. */
export type AdaptedModules = readonly ReadonlyMap<string, LoraModule>[] | undefined;

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
  const modules = llamaModules(config);
  return {
    embed: (g, ids) => g.gather(g.input('embed', [vocabSize, hiddenSize]), ids),
    linear: (g) => baseLinear(g, modules),
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
  return {
    overrides: (g) => ({ silu: g.siluFast }),
    embed: (g, ids) => g.quantizedRows(ids, { tensors: [stored(EMBED)] }),
    linear: (g, layer) => (module, x) => {
      const members = (GROUPS.find((group) => group.includes(module)) ?? [module]).map((member) => ({
        member,
        tensor: stored(layerTensor(layer, `${member}.weight`)),
      }));
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
    head: (g, hidden) => g.quantizedLinear(hidden, { tensors: [stored(config.tiedEmbeddings ? EMBED : HEAD)] }),
  };
}

/** Modules that read the same x. */
const GROUPS: readonly (readonly string[])[] = [
  ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'],
  ['mlp.gate_proj', 'mlp.up_proj'],
];

/**
 * The whole decoder over new tokens and a cache. Inputs: `ids` [N], `positions` [N], `last` [B], `total` [1], `cos` and `sin` [C, K/2] of all
 * positions, `pick` [B] (index among the N of the token whose logits are wanted; not where L is 1), `norm`, the weights, and `keys.i`, `values.i`
 * [B, G, C, K] of each layer. Outputs: `logits` [B, V] or `greedy` [B], `keys.i.next`, `values.i.next`, which may be written over the caches.
 */
export function decoderProgram(
  config: ModelConfig,
  shape: ProgramShape,
  weights: WeightSource,
  adapted: AdaptedModules,
): Graph {
  const { rows, length } = shape;
  const tokens = rows * length;
  const g = createBuilder();
  const rotation = rotationOf(g, config, shape);

  const outputs: Record<string, Value> = {};
  let x_ND = weights.embed(g, g.input('ids', [tokens], 'i32'));
  for (let layer = 0; layer < config.layers; layer++) {
    const own: Builder = {
      ...g,
      ...weights.overrides?.(g),
      ...rotation.overrides,
      input: (name, ...type) => rotation.inputs[name] ?? g.input(`layers.${layer}.${name}`, ...type),
    };
    const adaptedHere = adapted?.[layer] ?? new Map<string, LoraModule>();
    const linear = loraLinear(own, llamaModules(config), {
      adapted: adaptedHere,
      dropout: false,
      base: weights.linear(own, layer),
    });
    x_ND = llamaLayer(own, x_ND, {
      config,
      layout: { tokens, rows, length, dense: true },
      linear,
      attend: (qkv) => attendCached(g, qkv, { config, shape, layer, outputs, rotary: rotation.rotary }),
    });
  }
  const wanted = length === 1 ? x_ND : g.gather(x_ND, g.input('pick', [rows], 'i32'));
  const normed = g.rmsNorm(wanted, g.input('norm', [config.hiddenSize]), config.rmsNormEps);
  const logits = weights.head(g, normed);
  return finishGraph(g, { ...(shape.output === 'logits' ? { logits } : { greedy: g.argMax(logits) }), ...outputs });
}

/** How q and k are turned: by the attention itself where it can (heads of a multiple of 16), else before it. */
function rotationOf(
  g: Builder,
  config: ModelConfig,
  { rows, length, capacity }: ProgramShape,
): {
  readonly rotary: CachedAttention['rotary'];
  readonly overrides: Partial<Builder>;
  readonly inputs: Readonly<Record<string, Value>>;
} {
  const half = config.headDim / 2;
  const cos = g.input('cos', [capacity, half]);
  const sin = g.input('sin', [capacity, half]);
  if (config.headDim % 16 === 0) return { rotary: { cos, sin }, overrides: { rope: (x) => x }, inputs: { cos, sin } };
  const positions = g.input('positions', [rows * length], 'i32');
  const inputs = { cos: g.gather(cos, positions), sin: g.gather(sin, positions) };
  return { rotary: undefined, overrides: {}, inputs };
}

function attendCached(
  g: Builder,
  { q, k, v }: { readonly q: Value; readonly k: Value; readonly v: Value },
  at: {
    readonly config: ModelConfig;
    readonly shape: ProgramShape;
    readonly layer: number;
    readonly outputs: Record<string, Value>;
    readonly rotary: CachedAttention['rotary'];
  },
): Value {
  const { heads, kvHeads, headDim } = at.config;
  const { rows, length, capacity } = at.shape;
  const cache = [rows, kvHeads, capacity, headDim];
  const grid = (x: Value) => g.reshape(x, [rows, length, x.shape[1]!]);
  const { attended, keys, values } = g.cachedAttention(
    {
      q: grid(q),
      k: grid(k),
      v: grid(v),
      keys: g.input(`keys.${at.layer}`, cache),
      values: g.input(`values.${at.layer}`, cache),
      last: g.input('last', [rows], 'i32'),
      total: g.input('total', [1], 'i32'),
      rotary: at.rotary,
    },
    { heads, kvHeads },
  );
  at.outputs[`keys.${at.layer}.next`] = keys;
  at.outputs[`values.${at.layer}.next`] = values;
  return g.reshape(attended, [rows * length, heads * headDim]);
}
