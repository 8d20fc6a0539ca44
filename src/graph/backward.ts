import type { Builder } from './builder.ts';
import type { Value } from './graph.ts';
import type { Op, Vjp } from './op.ts';
import { OPS } from './ops/index.ts';

/**
 * Appends reverse-mode gradients to a graph.
 *
 * @param seeds pairs of a value and the gradient of the loss with respect to it
 * @param wrt values whose gradients are wanted
 * @returns the gradients in the order of `wrt`
 * @throws an `internal:` error where no gradient reaches one of `wrt`
 */
export function backward(g: Builder, seeds: readonly (readonly [Value, Value])[], wrt: readonly Value[]): Value[] {
  const depends = dependents(g, new Set(wrt.map((v) => v.id)));
  const grads = new Map<number, Value>();
  const accumulate = (id: number, grad: Value) => {
    const sum = grads.get(id);
    grads.set(id, sum === undefined ? grad : g.add(sum, grad));
  };
  for (const [value, grad] of seeds) accumulate(value.id, grad);

  const last = Math.max(...seeds.map(([value]) => value.id));
  for (let id = last; id >= 0; id--) {
    const dy = grads.get(id);
    const node = g.nodes[id]!;
    if (dy === undefined || !depends.has(id) || node.inputs.length === 0) continue;
    const { vjp } = OPS[node.op] as unknown as Op<unknown>;
    if (vjp === 'integer' || vjp === 'source') continue;
    if (vjp === 'inference-only') throw new Error(`internal: ${node.op} is for inference and has no gradient`);
    const inputs = node.inputs.map((i) => valueAt(g, i));
    const wanted = node.inputs.map((i) => depends.has(i));
    const dInputs = (vjp as Vjp<unknown>)(g, dy, inputs, valueAt(g, id), node.attrs, wanted);
    for (const [i, dx] of dInputs.entries()) {
      if (dx !== undefined && wanted[i]) accumulate(node.inputs[i]!, dx);
    }
  }
  return wrt.map((v) => {
    const grad = grads.get(v.id);
    if (grad === undefined) throw new Error(`internal: no gradient reaches value ${v.id}`);
    return grad;
  });
}

/** Values that depend on one of `roots`, the roots included. */
function dependents(g: Builder, roots: ReadonlySet<number>): Set<number> {
  const found = new Set(roots);
  for (const [id, node] of g.nodes.entries()) {
    if (node.inputs.some((i) => found.has(i))) found.add(id);
  }
  return found;
}

function valueAt(g: Builder, id: number): Value {
  const node = g.nodes[id]!;
  return { id, dtype: node.dtype, shape: node.shape };
}
