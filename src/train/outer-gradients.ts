import type { MicroBatch } from '../data/index.ts';
import type { Handle } from '../engine/index.ts';
import { createBuilder, finishGraph } from '../graph/index.ts';
import { outerTensors } from '../model/architectures.ts';
import { i32 } from '../tensor/tensor.ts';
import type { Network } from './network.ts';
import { cached } from './programs.ts';
import { placesOf } from './token-rows.ts';
import type { HeadResult } from './vocabulary-head.ts';

type Handles = Record<string, Handle>;

/** Gradients of what trains outside the layers; what arrives and is not wanted is released. */
export function outerGradients(net: Network, batch: MicroBatch, { weights }: HeadResult, dx: Handle): Handles {
  const wanted = new Set(net.trained.outer);
  const tables = outerTensors(net.config).filter(
    ({ name }) => (name === 'embed' || name === 'positionTable') && wanted.has(name),
  );
  const made = tables.length === 0 ? {} : tableGradients(net, batch, tables, { ...weights, dx });
  const rows = wanted.has('embed.rows') ? rowGradient(net, batch, { ...weights, dx }) : {};
  const found: Handles = { ...weights, ...made, ...rows };
  // With the embedding, the head's part went into the embedding's.
  const unwanted = Object.keys(found).filter((name) => !wanted.has(name));
  net.engine.release(dx, ...unwanted.map((name) => found[name]!));
  return Object.fromEntries(net.trained.outer.map((name) => [name, found[name]!]));
}

/** Gradients of the embedding (its rows in token order, on top of the head's where the two are tied) and of learned positions. */
function tableGradients(
  net: Network,
  batch: MicroBatch,
  tables: ReturnType<typeof outerTensors>,
  gradients: Handles,
): Handles {
  const { engine, config } = net;
  const { hiddenSize, embeddingScale } = config;
  const n = batch.ids.length;
  const shared = isShared(net);
  const program = cached(net, `embed-gradient|${n}|${tables.map(({ name }) => name).join(',')}`, () => {
    const g = createBuilder();
    const rows = g.input('dx', [n, hiddenSize]);
    const scaled = embeddingScale === 1 ? rows : g.mul(rows, g.scalar(embeddingScale));
    const outputs = tables.map(({ name, shape }) => {
      if (name === 'positionTable')
        return [name, g.scatterAdd(g.fill(0, shape), g.input('at', [n], 'i32'), rows)] as const;
      const start = shared ? g.input('head', shape) : g.fill(0, shape);
      return [name, g.scatterAdd(start, g.input('ids', [n], 'i32'), scaled)] as const;
    });
    return finishGraph(g, Object.fromEntries(outputs));
  });
  const inputs = { ids: engine.upload(i32(batch.ids, [n])), at: engine.upload(i32(batch.positions, [n])) };
  const made = engine.run(program, { ...gradients, ...inputs });
  engine.release(...Object.values(inputs));
  return made;
}

/** The gradient of the embedding's rows that train by themselves, on top of the head's where the two are tied. */
function rowGradient(net: Network, batch: MicroBatch, gradients: Handles): Handles {
  const { engine, config } = net;
  const { hiddenSize: width, embeddingScale } = config;
  const n = batch.ids.length;
  const count = net.tokenRows!.size;
  const program = cached(net, `row-gradient|${n}`, () => {
    const g = createBuilder();
    const dx = g.input('dx', [n, width]);
    const scaled = embeddingScale === 1 ? dx : g.mul(dx, g.scalar(embeddingScale));
    const start = isShared(net) ? g.input('head.rows', [count, width]) : g.fill(0, [count, width]);
    // The last row takes what belongs to other tokens.
    const sum = g.scatterAdd(g.concat([start, g.fill(0, [1, width])], 0), g.input('at', [n], 'i32'), scaled);
    return finishGraph(g, { 'embed.rows': g.slice(sum, { axis: 0, start: 0, end: count }) });
  });
  const at = engine.upload(i32(placesOf(net.tokenRows!, batch.ids), [n]));
  const made = engine.run(program, { ...gradients, at });
  engine.release(at);
  return made;
}

/** Whether the head's gradient is the embedding's too. */
function isShared({ isTied, classifier }: Network): boolean {
  return isTied && classifier === undefined;
}
