import { backward } from './backward.ts';
import { type Builder, createBuilder, finishGraph } from './builder.ts';
import type { Graph, Value } from './graph.ts';

/** Builds a segment of a network in `g`: reads its inputs with `g.input` and returns its one output. */
export type Segment = (g: Builder) => Value;

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
  const y = segment(g);
  const lastForward = g.nodes.length;
  const dy = g.input('dy', y.shape);
  const roots = wanted.map((name) => inputValue(g, name));
  const grads = backward(g, [[y, dy]], roots);
  const outputs = Object.fromEntries(wanted.map((name, i) => [`d.${name}`, grads[i]!]));

  const candidates = new Map<number, string>();
  for (let id = 0; id < lastForward; id++) {
    if (kept(g, id, keep)) candidates.set(id, `saved.${id}`);
  }
  const backwardGraph = finishGraph(g, outputs, candidates);
  const saved = [...candidates].filter(([, name]) => name in backwardGraph.inputs);
  const forwardOutputs: Record<string, Value> = { y };
  for (const [id, name] of saved) forwardOutputs[name] = { id, dtype: g.nodes[id]!.dtype, shape: g.nodes[id]!.shape };
  return { forward: finishGraph(g, forwardOutputs), backward: backwardGraph, saved: saved.map(([, name]) => name) };
}

/** The forward program alone. */
export function forwardProgram(segment: Segment): Graph {
  const g = createBuilder();
  return finishGraph(g, { y: segment(g) });
}

function inputValue(g: Builder, name: string): Value {
  const id = g.nodes.findIndex((node) => node.op === 'input' && node.attrs.name === name);
  if (id < 0) throw new Error(`internal: the segment has no input ${name}`);
  return { id, dtype: g.nodes[id]!.dtype, shape: g.nodes[id]!.shape };
}

/** Attention scores [.., L, L] are matmul outputs too, but larger than all others together and cheap to compute again. */
function kept(g: Builder, id: number, keep: Keep): boolean {
  const node = g.nodes[id]!;
  if (keep === 'nothing' || node.inputs.length === 0) return false;
  if (keep === 'all') return node.op !== 'reshape';
  if (node.op !== 'matMul') return false;
  return node.shape.length === 2 || !node.attrs.transB;
}
