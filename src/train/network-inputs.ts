import type { MicroBatch } from '../data/index.ts';
import type { Handle } from '../engine/index.ts';
import { createBuilder, finishGraph } from '../graph/index.ts';
import { fillUniform } from '../math/random.ts';
import { embedded, linearModules } from '../model/architectures.ts';
import { rotationTables } from '../model/rope.ts';
import { f32, i32, sizeOf } from '../tensor/tensor.ts';
import type { Network } from './network.ts';
import { cached } from './programs.ts';

type Handles = Record<string, Handle>;

/** What all layers are told of a micro-batch: rotations, and where its rows lie. */
export function sharedInputs(net: Network, batch: MicroBatch): Handles {
  const { engine, config } = net;
  const n = batch.ids.length;
  const inputs: Handles = {};
  for (const [name, table] of Object.entries(rotationTables(config, batch.positions)))
    inputs[name] = engine.upload(table);
  if (batch.dense) return inputs;
  const cells = batch.rows * batch.length;
  inputs['grid.index'] = engine.upload(i32(batch.gridIndex, [cells]));
  inputs['grid.valid'] = engine.upload(f32(batch.gridValid, [cells, 1]));
  inputs['grid.inverse'] = engine.upload(i32(batch.inverse, [n]));
  const tokenValid = new Float32Array(n).fill(1, 0, batch.usedTokens);
  inputs['token.valid'] = engine.upload(f32(tokenValid, [n, 1]));
  if (batch.shared !== undefined) {
    const { owner, cells: doubled, tokens, valid } = batch.shared;
    inputs['grid.owner'] = engine.upload(f32(owner, [cells, 1]));
    inputs['shared.cell'] = engine.upload(i32(doubled, [doubled.length]));
    inputs['shared.token'] = engine.upload(i32(tokens, [tokens.length]));
    inputs['shared.valid'] = engine.upload(f32(valid, [valid.length, 1]));
  }
  return inputs;
}

/** The first layer's input: rows of the embedding. */
export function embed(net: Network, batch: MicroBatch): Handle {
  const { engine, config } = net;
  const n = batch.ids.length;
  const program = cached(net, `embed|${n}`, () => {
    const g = createBuilder();
    const rows = g.input('rows', [n, config.hiddenSize]);
    return finishGraph(g, { x: embedded(g, config, rows, () => g.input('at', [n], 'i32')) });
  });
  // The engine picks the rows, so that no program ever has the whole table.
  const rows = engine.upload({ rowsOf: net.outer.embed!, index: batch.ids, shape: [n, config.hiddenSize] });
  const at = engine.upload(i32(batch.positions, [n]));
  const { x } = engine.run(program, { ...net.outer, rows, at });
  engine.release(rows, at);
  return x!;
}

/** Adds the noise of NEFTune to embeddings, which are released; each row has a stream of its own. */
export function disturbed(net: Network, { ids, spans }: MicroBatch, x: Handle, step: number): Handle {
  const { engine, neftune, config } = net;
  if (neftune === undefined) return x;
  const shape = [ids.length, config.hiddenSize];
  const noise = new Float32Array(sizeOf(shape));
  for (const { row, from, count } of spans) {
    const part = noise.subarray(from * config.hiddenSize, (from + count) * config.hiddenSize);
    const most = neftune.alpha / Math.sqrt(part.length);
    fillUniform(part, -most, most, { seed: neftune.seed, purpose: 'neftune', a: step, b: row });
  }
  const program = cached(net, `neftune|${ids.length}`, () => {
    const g = createBuilder();
    return finishGraph(g, { y: g.add(g.input('x', shape), g.input('noise', shape)) });
  });
  const inputs = { x, noise: engine.upload(f32(noise, shape)) };
  const { y } = engine.run(program, inputs);
  engine.release(...Object.values(inputs));
  return y!;
}

/** Masks of the inputs of a layer's adapters, each a function of the step and the row. */
export function dropoutMasks(net: Network, layer: number, { ids, spans }: MicroBatch, step: number): Handles {
  if (net.dropout === undefined) return {};
  const masks: Handles = {};
  for (const { module, in: width } of linearModules(net.config, layer)) {
    if (!net.adapted[layer]!.has(module)) continue;
    const stream = { ...net.dropout, purpose: `dropout:${layer}:${module}`, a: step };
    masks[`${module}.dropout`] = net.engine.upload({ dropout: stream, spans, shape: [ids.length, width] });
  }
  return masks;
}
