import { backward } from './backward.ts';
import { type Builder, createBuilder, finishGraph } from './builder.ts';
import type { Graph, Node, Value } from './graph.ts';
import { sameShape } from './shapes.ts';

/** Takes what leaves or enters a segment beside its output and its gradient. */
export interface Beside {
  /** A further output of the forward program. */
  output(name: string, value: Value): void;
  /** A gradient that reaches the value from outside; made in the backward program alone. */
  seed(value: Value, gradient: () => Value): void;
}

/** Builds a segment of a network in `g`: reads its inputs with `g.input` and returns its one output. */
export type Segment = (g: Builder, beside: Beside) => Value;

interface Collected {
  readonly outputs: Record<string, Value>;
  readonly seeds: (readonly [Value, () => Value])[];
  readonly beside: Beside;
}

function collector(): Collected {
  const outputs: Collected['outputs'] = {};
  const seeds: Collected['seeds'] = [];
  const beside: Beside = {
    output: (name, value) => {
      outputs[name] = value;
    },
    seed: (value, gradient) => seeds.push([value, gradient]),
  };
  return { outputs, seeds, beside };
}

/** What the forward pass keeps for the backward pass; the rest is computed again. */
export type Keep = 'nothing' | 'matmul' | 'all';

/** The two programs of a segment. Forward outputs: `y` and what is kept; backward takes those, `dy`, and the forward's inputs. */
export interface SegmentPrograms {
  readonly forward: Graph;
  /** Outputs `d.<input>` for each wanted input. */
  readonly backward: Graph;
  /** Names of the forward's outputs that the backward takes. */
  readonly saved: readonly string[];
}

/**
 * Splits a segment into a forward and a backward program. What `keep` selects and the backward needs crosses from one to the other;
 * everything else is recomputed from the segment's inputs (Chen et al. 2016, arXiv:1604.06174).
 */
export function segmentPrograms(segment: Segment, wanted: readonly string[], keep: Keep): SegmentPrograms {
  const g = createBuilder();
  const collected = collector();
  const y = segment(g, collected.beside);
  const lastForward = g.nodes.length;
  const dy = g.input('dy', y.shape);
  const roots = wanted.map((name) => inputValue(g, name));
  const seeds = collected.seeds.map(([value, gradient]) => [value, gradient()] as const);
  const grads = backward(g, [[y, dy], ...seeds], roots);
  const outputs = Object.fromEntries(wanted.map((name, i) => [`d.${name}`, grads[i]!]));

  const candidates = new Map([...keepable(g.nodes.slice(0, lastForward), keep)].map((id) => [id, `saved.${id}`]));
  const backwardGraph = finishGraph(g, outputs, candidates);
  const saved = [...candidates].filter(([, name]) => name in backwardGraph.inputs);
  const forwardOutputs: Record<string, Value> = { y, ...collected.outputs };
  for (const [id, name] of saved) forwardOutputs[name] = { id, dtype: g.nodes[id]!.dtype, shape: g.nodes[id]!.shape };
  return { forward: finishGraph(g, forwardOutputs), backward: backwardGraph, saved: saved.map(([, name]) => name) };
}

/** The forward program alone. */
export function forwardProgram(segment: Segment): Graph {
  const g = createBuilder();
  const { outputs, beside } = collector();
  const y = segment(g, beside);
  return finishGraph(g, { y, ...outputs });
}

function inputValue(g: Builder, name: string): Value {
  const id = g.nodes.findIndex((node) => node.op === 'input' && node.attrs.name === name);
  if (id < 0) throw new Error(`internal: the segment has no input ${name}`);
  return { id, dtype: g.nodes[id]!.dtype, shape: g.nodes[id]!.shape };
}

/** Values of a forward pass that are worth keeping. */
function keepable(nodes: readonly Node[], keep: Keep): Set<number> {
  const computed = [...nodes.keys()].filter((id) => nodes[id]!.inputs.length > 0);
  if (keep === 'nothing') return new Set();
  if (keep === 'all') return new Set(computed.filter((id) => nodes[id]!.op !== 'reshape'));
  return matMulResults(nodes);
}

/**
 * Outputs of matrix products. Where products are added up (a base and its adapter, a residual), their sum stands for them: no gradient
 * reads the addends. Attention scores [.., L, L] are products too, but larger than all others together and cheap to compute again.
 */
function matMulResults(nodes: readonly Node[]): Set<number> {
  const users = nodes.map((): number[] => []);
  for (const [id, node] of nodes.entries()) for (const i of node.inputs) users[i]!.push(id);
  const results = new Set<number>();
  for (const [id, node] of nodes.entries()) {
    const addends = node.inputs.filter((i) => results.has(i) && sameShape(nodes[i]!.shape, node.shape));
    const product = node.op === 'matMul' && (node.shape.length === 2 || !node.attrs.transB);
    if (!product && (node.op !== 'add' || addends.length === 0)) continue;
    results.add(id);
    if (node.op !== 'add') continue;
    for (const i of addends) if (users[i]!.length === 1) results.delete(i);
  }
  return results;
}
