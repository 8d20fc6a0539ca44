import { type Graph, OPS, type Op, type RefTensor } from '../../graph/index.ts';
import { readStored } from '../../io/read-stored.ts';

/** Evaluates a graph in float64, one plain loop at a time. Inputs and outputs by name. */
export function evaluate(graph: Graph, inputs: Readonly<Record<string, RefTensor>>): Record<string, RefTensor> {
  const values: RefTensor[] = [];
  for (const node of graph.nodes) {
    if (node.op === 'input') {
      const given = inputs[node.attrs.name];
      if (given === undefined) throw new Error(`internal: input ${node.attrs.name} is not given`);
      values.push(given);
      continue;
    }
    const op = OPS[node.op] as unknown as Op<unknown>;
    const operands = node.inputs.map((i) => values[i]!);
    values.push({ shape: node.shape, data: op.reference(operands, node.attrs, node, readStored) });
  }
  return Object.fromEntries(Object.entries(graph.outputs).map(([name, id]) => [name, values[id]!]));
}
