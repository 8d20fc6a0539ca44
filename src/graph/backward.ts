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
  const parts = new Map<number, Value[]>();
  const collect = (id: number, grad: Value) => {
    const known = parts.get(id);
    if (known === undefined) parts.set(id, [grad]);
    else known.push(grad);
  };
  const gradOf = (id: number): Value | undefined => {
    const known = parts.get(id);
    if (known === undefined) return undefined;
    const sum = sumOf(g, known);
    parts.set(id, [sum]);
    return sum;
  };
  for (const [value, grad] of seeds) collect(value.id, grad);

  const last = Math.max(...seeds.map(([value]) => value.id));
  for (let id = last; id >= 0; id--) {
    const node = g.nodes[id]!;
    if (!depends.has(id) || node.inputs.length === 0) continue;
    const dy = gradOf(id);
    if (dy === undefined) continue;
    const { vjp } = OPS[node.op] as unknown as Op<unknown>;
    if (vjp === 'integer' || vjp === 'source') continue;
    if (vjp === 'inference-only') throw new Error(`internal: ${node.op} is for inference and has no gradient`);
    const inputs = node.inputs.map((i) => valueAt(g, i));
    const wanted = node.inputs.map((i) => depends.has(i));
    const dInputs = (vjp as Vjp<unknown>)(g, dy, inputs, valueAt(g, id), node.attrs, wanted);
    for (const [i, dx] of dInputs.entries()) {
      if (dx !== undefined && wanted[i]) collect(node.inputs[i]!, dx);
    }
  }
  return wrt.map((v) => {
    const grad = gradOf(v.id);
    if (grad === undefined) throw new Error(`internal: no gradient reaches value ${v.id}`);
    return grad;
  });
}

/** What the padding of a slice's gradient holds, and where along the axis. */
interface Piece {
  readonly value: Value;
  readonly start: number;
  readonly end: number;
}

/**
 * The sum of the gradients that reach a value. Those of its slices come padded with zeros to the full length; pieces that lie side by
 * side are joined instead, and pieces that all begin at the front are added from the shortest to the longest, so that attention in
 * blocks does not pass over whole tensors once for each block.
 */
function sumOf(g: Builder, parts: readonly Value[]): Value {
  const [axis, pieces] = piecesOf(g, parts);
  const [first, ...rest] = pieces;
  if (first === undefined || rest.length === 0) return parts.reduce((sum, part) => g.add(sum, part));
  const length = parts[0]!.shape[axis]!;
  if (pieces.every(({ start }, i) => start === (pieces[i - 1]?.end ?? 0)) && pieces.at(-1)!.end === length) {
    return g.concat(
      pieces.map(({ value }) => value),
      axis,
    );
  }
  if (pieces.some(({ start }) => start !== 0)) return parts.reduce((sum, part) => g.add(sum, part));
  const grow = (value: Value, end: number) => g.pad(value, { axis, before: 0, after: end - value.shape[axis]! });
  const sum = rest.reduce((acc, { value, end }) => g.add(grow(acc, end), value), first.value);
  return grow(sum, length);
}

/** The pieces in order along their axis; none where the parts are not all paddings along one. */
function piecesOf(g: Builder, parts: readonly Value[]): readonly [axis: number, pieces: readonly Piece[]] {
  const nodes = parts.map((part) => g.nodes[part.id]!);
  const axis = nodes.map((node) => (node.op === 'pad' ? node.attrs.axis : undefined)).find((a) => a !== undefined);
  if (axis === undefined) return [0, []];
  const pieces: Piece[] = [];
  for (const [i, node] of nodes.entries()) {
    const part = parts[i]!;
    if (node.op === 'pad' && node.attrs.axis === axis) {
      const { before, after } = node.attrs;
      pieces.push({ value: valueAt(g, node.inputs[0]!), start: before, end: part.shape[axis]! - after });
    } else pieces.push({ value: part, start: 0, end: part.shape[axis]! });
  }
  return [axis, pieces.sort((a, b) => a.start - b.start || a.end - b.end)];
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
