import type { DType, Shape } from '../tensor/tensor.ts';
import { OPS, type OpAttrs, type OpName } from './ops/index.ts';

/** Element type and shape of a value; both are static. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A value of a graph under construction: the output of node `id`. */
export interface Value extends TensorType {
  readonly id: number;
}

/** One operation; its output is the value with the node's own index. */
export type Node = {
  [O in OpName]: TensorType & { readonly op: O; readonly inputs: readonly number[]; readonly attrs: OpAttrs[O] };
}[OpName];

/**
 * A computation as plain data: it can be sent to another process, hashed, and run by any engine.
 * Nodes stand in topological order; a node's value is named by its index.
 */
export interface Graph {
  readonly nodes: readonly Node[];
  /** Names of the inputs and the nodes (op `input`) that hold them. */
  readonly inputs: Readonly<Record<string, number>>;
  readonly outputs: Readonly<Record<string, number>>;
}

/** Type of each input, by name. */
export function inputTypes(graph: Graph): Record<string, TensorType> {
  return Object.fromEntries(Object.entries(graph.inputs).map(([name, id]) => [name, typeOf(graph, id)]));
}

/** Type of each output, by name. */
export function outputTypes(graph: Graph): Record<string, TensorType> {
  return Object.fromEntries(Object.entries(graph.outputs).map(([name, id]) => [name, typeOf(graph, id)]));
}

/** Inputs that outputs may be written over, by output name. */
export function inPlaceOutputs(graph: Graph): Record<string, string> {
  const names: Record<string, string> = {};
  for (const [name, id] of Object.entries(graph.outputs)) {
    const node = graph.nodes[id]!;
    const place = (OPS[node.op] as { readonly inPlace?: number }).inPlace;
    const source = place === undefined ? undefined : graph.nodes[node.inputs[place]!];
    if (source?.op === 'input') names[name] = source.attrs.name;
  }
  return names;
}

function typeOf(graph: Graph, id: number): TensorType {
  const node = graph.nodes[id];
  if (node === undefined) throw new Error(`internal: graph has no node ${id}`);
  return { dtype: node.dtype, shape: node.shape };
}
