// Shape legend: B rows of a cache, L new tokens of each, N = B * L, D model width, V vocabulary
import type { Engine, Handle, Handles, Program } from '../engine/index.ts';
import { type Builder, createBuilder, finishGraph, type Graph, type Value } from '../graph/index.ts';
import type { AdapterHandles } from '../model/adapter-handles.ts';
import { adaptedKey, adaptedLinear } from '../model/adapters/index.ts';
import { decoderLayer, embedded, finalNorm, layerSignature, linearModules } from '../model/architectures.ts';
import type { BaseHandles } from '../model/base.ts';
import type { ModelConfig } from '../model/config.ts';
import { headSlices } from '../model/head-slices.ts';
import { baseLinear } from '../model/linear.ts';
import { attendCached, type ProgramShape } from './programs.ts';

/** See {@link createLayerwise}. */
export interface Layerwise {
  /** One pass over new tokens: what the cache holds is brought up to date, and the result is a new handle. */
  pass(
    shape: ProgramShape,
    ids: Int32Array,
    inputs: Handles,
    cache: { readonly keys: readonly Handle[]; readonly values: readonly Handle[] },
  ): Handle;
  close(): void;
}

/**
 * The decoder of {@link decoderProgram} as a program for each layer and each slice of the vocabulary, for weights at rest: no more of them is widened
 * at once than one program reads.
 *
 * @param outer tensors outside the layers; `head` is the embedding where the two are tied
 */
export function createLayerwise(
  engine: Engine,
  base: BaseHandles,
  adapter: AdapterHandles | undefined,
  outer: Handles,
): Layerwise {
  const { config } = base;
  const programs = new Map<string, Program>();
  const cached = (key: string, graph: () => Graph): Program => {
    const program = programs.get(key) ?? engine.compile(graph());
    programs.set(key, program);
    return program;
  };
  const heads = viewsOf(engine, config, outer.head!);
  const pass: Layerwise['pass'] = (shape, ids, inputs, cache) => {
    const { rows, length, capacity, output } = shape;
    const n = rows * length;
    const size = `${rows}|${length}|${capacity}`;
    const picked = engine.upload({ rowsOf: outer.embed!, index: ids, shape: [n, config.hiddenSize] });
    let { x } = engine.run(
      cached(`embed|${n}`, () => embedGraph(config, n)),
      { ...outer, ...inputs, rows: picked },
    );
    engine.release(picked);
    for (let layer = 0; layer < config.layers; layer++) {
      const adapted = adapter?.spec.modules[layer] ?? new Map();
      const signature = layerSignature(config, layer, { length: capacity });
      const program = cached(`layer|${size}|${signature}|${adaptedKey(adapted)}`, () => {
        return layerGraph(config, shape, layer, (g) => {
          const modules = linearModules(config, layer);
          return adaptedLinear(g, modules, { adapted, dropout: false, base: baseLinear(g, modules) });
        });
      });
      const kept = { keys: cache.keys[layer]!, values: cache.values[layer]! };
      const into = { 'keys.next': kept.keys, 'values.next': kept.values };
      const weights = { ...base.layers[layer], ...adapter?.layers[layer] };
      const { y } = engine.run(program, { ...weights, ...inputs, ...kept, x: x! }, into);
      engine.release(x!);
      x = y;
    }
    const { h } = engine.run(
      cached(`norm|${size}`, () => normGraph(config, shape)),
      { ...outer, ...inputs, x: x! },
    );
    const parts: Record<string, Handle> = {};
    for (const [i, head] of heads.entries()) {
      const program = cached(`slice|${rows}|${head.shape[0]}`, () => sliceGraph(rows, head));
      parts[`logits.${i}`] = engine.run(program, { h: h!, head }).logits!;
    }
    const join = cached(`join|${rows}|${output}`, () => joinGraph(rows, heads, output));
    const made = engine.run(join, parts)[output]!;
    engine.release(x!, h!, ...Object.values(parts));
    return made;
  };
  return { pass, close: () => engine.release(...heads) };
}

function viewsOf(engine: Engine, { vocabSize, hiddenSize }: ModelConfig, head: Handle): readonly Handle[] {
  let from = 0;
  return headSlices(vocabSize, hiddenSize).map((rows) => {
    const view = engine.upload({ viewOf: head, from, shape: [rows, hiddenSize] });
    from += rows;
    return view;
  });
}

function embedGraph(config: ModelConfig, n: number): Graph {
  const g = createBuilder();
  const rows_ND = g.input('rows', [n, config.hiddenSize]);
  return finishGraph(g, { x: embedded(g, config, rows_ND, () => g.input('positions', [n], 'i32')) });
}

function layerGraph(
  config: ModelConfig,
  shape: ProgramShape,
  layer: number,
  linearOf: (g: Builder) => Parameters<typeof decoderLayer>[2]['linear'],
): Graph {
  const { rows, length } = shape;
  const tokens = rows * length;
  const g = createBuilder();
  const outputs: Record<string, Value> = {};
  const positions = () => g.input('positions', [tokens], 'i32');
  const names = { keys: 'keys', values: 'values' };
  const x = decoderLayer(g, g.input('x', [tokens, config.hiddenSize]), {
    config,
    layer,
    layout: { tokens, rows, length, dense: true },
    linear: linearOf(g),
    attend: attendCached(g, { config, shape, names, outputs, positions }),
  });
  return finishGraph(g, { y: x, ...outputs });
}

function normGraph(config: ModelConfig, { rows, length }: ProgramShape): Graph {
  const g = createBuilder();
  const x_ND = g.input('x', [rows * length, config.hiddenSize]);
  const wanted = length === 1 ? x_ND : g.gather(x_ND, g.input('pick', [rows], 'i32'));
  return finishGraph(g, { h: finalNorm(g, config, wanted) });
}

function sliceGraph(rows: number, head: Handle): Graph {
  const g = createBuilder();
  const h_BD = g.input('h', [rows, head.shape[1]!]);
  return finishGraph(g, { logits: g.matMul(h_BD, g.input('head', head.shape), { transB: true }) });
}

function joinGraph(rows: number, heads: readonly Handle[], output: ProgramShape['output']): Graph {
  const g = createBuilder();
  const parts = heads.map((head, i) => g.input(`logits.${i}`, [rows, head.shape[0]!]));
  const logits = g.concat(parts, 1);
  return finishGraph(g, output === 'logits' ? { logits } : { greedy: g.argMax(logits) });
}
