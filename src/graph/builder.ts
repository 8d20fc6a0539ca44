import type { DType, Shape } from '../tensor/tensor.ts';
import type { Graph, Node, Value } from './graph.ts';
import type { Op } from './op.ts';
import { OPS, type OpAttrs, type OpName } from './ops/index.ts';
import type { StoredMatrix } from './ops/quantized.ts';
import { axisOf, sameShape } from './shapes.ts';

/** Row moves of {@link Builder.permuteRows}. */
export interface RowMove {
  readonly index: Value;
  readonly valid: Value;
  readonly inverse: Value;
  readonly inverseValid: Value;
}

/** Places that {@link Builder.spreadRows} writes a row to beside its first: cell by cell the row that it copies. */
export interface RowCopies {
  readonly cell: Value;
  readonly token: Value;
  readonly copyValid: Value;
}

/** A graph under construction. Equal operations on equal inputs are the same value. */
export interface Builder {
  readonly nodes: readonly Node[];
  input(name: string, shape: Shape, dtype?: DType): Value;
  scalar(value: number): Value;
  fill(value: number, shape: Shape): Value;
  causalMask(attrs: { queries: number; keys: number; offset: number; window: number }): Value;
  /** See the operator of that name. */
  visibleMask(mask: Value, attrs: { queries: number; window: number }): Value;
  add(a: Value, b: Value): Value;
  sub(a: Value, b: Value): Value;
  mul(a: Value, b: Value): Value;
  div(a: Value, b: Value): Value;
  neg(a: Value): Value;
  exp(a: Value): Value;
  log(a: Value): Value;
  sqrt(a: Value): Value;
  abs(a: Value): Value;
  sign(a: Value): Value;
  /** Clipped to 0..255, without the fraction. */
  toBytes(a: Value): Value;
  cast(a: Value, to: 'f32' | 'i64'): Value;
  sigmoid(a: Value): Value;
  silu(a: Value): Value;
  siluFast(a: Value): Value;
  reshape(a: Value, shape: Shape): Value;
  transpose(a: Value, perm: readonly number[]): Value;
  slice(a: Value, attrs: { axis: number; start: number; end: number }): Value;
  pad(a: Value, attrs: { axis: number; before: number; after: number }): Value;
  concat(parts: readonly Value[], axis: number): Value;
  /** Axes stay with length 1; negative ones count from the end. */
  reduceSum(a: Value, axes: readonly number[]): Value;
  reduceMax(a: Value, axes: readonly number[]): Value;
  /** Sums of the first elements along the last axis. */
  cumSum(a: Value): Value;
  argMax(a: Value): Value;
  /** 1 for the `count` largest along the last axis, 0 for the others. */
  topMask(a: Value, count: number): Value;
  expand(a: Value, shape: Shape): Value;
  /** Sums a value down to a shape that broadcasts to its own: the transpose of broadcasting. */
  sumTo(a: Value, shape: Shape): Value;
  softmax(a: Value): Value;
  matMul(a: Value, b: Value, attrs?: { transA?: boolean; transB?: boolean; alpha?: number }): Value;
  rmsNorm(x: Value, weight: Value, eps: number): Value;
  rmsScale(x: Value, eps: number): Value;
  rope(x: Value, cos: Value, sin: Value): Value;
  gather(data: Value, index: Value): Value;
  scatterAdd(data: Value, index: Value, rows: Value): Value;
  permuteRows(x: Value, move: RowMove): Value;
  spreadRows(x: Value, move: RowMove, copies: RowCopies): Value;
  /** `scale` is 1 / sqrt(K) and `window` 0 (none) unless said otherwise. */
  cachedAttention(
    inputs: CachedAttention,
    attrs: { heads: number; kvHeads: number; scale?: number; window?: number },
  ): CachedAttentionResult;
  quantizedLinear(x: Value, matrix: StoredMatrix): Value;
  quantizedRows(index: Value, matrix: StoredMatrix): Value;
}

/** Inputs of {@link Builder.cachedAttention}; see the operator of that name. */
export interface CachedAttention {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
  readonly keys: Value;
  readonly values: Value;
  readonly last: Value;
  readonly total: Value;
  readonly rotary?: { readonly cos: Value; readonly sin: Value } | undefined;
}

/** What was attended to, and the caches with the new rows in their places. */
export interface CachedAttentionResult {
  readonly attended: Value;
  readonly keys: Value;
  readonly values: Value;
}

/** An empty graph to build in. */
export function createBuilder(): Builder {
  const nodes: Node[] = [];
  const known = new Map<string, number>();

  function push<O extends OpName>(op: O, inputs: readonly Value[], attrs: OpAttrs[O]): Value {
    const key = `${op}|${inputs.map((v) => v.id)}|${JSON.stringify(attrs)}`;
    const found = known.get(key);
    if (found !== undefined) return valueAt(found);
    const { dtype, shape } = (OPS[op] as unknown as Op<OpAttrs[O]>).shape(inputs, attrs);
    nodes.push({ op, inputs: inputs.map((v) => v.id), attrs, dtype, shape } as Node);
    known.set(key, nodes.length - 1);
    return valueAt(nodes.length - 1);
  }
  const valueAt = (id: number): Value => ({ id, dtype: nodes[id]!.dtype, shape: nodes[id]!.shape });
  const axesOf = (a: Value, axes: readonly number[]) =>
    axes.map((axis) => axisOf(axis, a.shape.length)).sort((x, y) => x - y);

  const g: Builder = {
    nodes,
    input: (name, shape, dtype = 'f32') => push('input', [], { name, dtype, shape }),
    scalar: (value) => push('fill', [], { value, shape: [] }),
    fill: (value, shape) => push('fill', [], { value, shape }),
    causalMask: (attrs) => push('causalMask', [], attrs),
    visibleMask: (mask, attrs) => push('visibleMask', [mask], attrs),
    add: (a, b) => push('add', [a, b], {}),
    sub: (a, b) => push('sub', [a, b], {}),
    mul: (a, b) => push('mul', [a, b], {}),
    div: (a, b) => push('div', [a, b], {}),
    neg: (a) => push('neg', [a], {}),
    exp: (a) => push('exp', [a], {}),
    log: (a) => push('log', [a], {}),
    sqrt: (a) => push('sqrt', [a], {}),
    abs: (a) => push('abs', [a], {}),
    sign: (a) => push('sign', [a], {}),
    toBytes: (a) => push('toBytes', [a], {}),
    cast: (a, to) => (a.dtype === to ? a : push('cast', [a], { to })),
    sigmoid: (a) => push('sigmoid', [a], {}),
    silu: (a) => push('silu', [a], {}),
    siluFast: (a) => push('siluFast', [a], {}),
    reshape: (a, shape) => (sameShape(a.shape, shape) ? a : push('reshape', [a], { shape })),
    transpose: (a, perm) => push('transpose', [a], { perm }),
    slice: (a, attrs) => (attrs.start === 0 && attrs.end === a.shape[attrs.axis] ? a : push('slice', [a], attrs)),
    pad: (a, attrs) => (attrs.before === 0 && attrs.after === 0 ? a : push('pad', [a], attrs)),
    concat: (parts, axis) =>
      parts.length === 1 ? parts[0]! : push('concat', parts, { axis: axisOf(axis, parts[0]!.shape.length) }),
    reduceSum: (a, axes) => push('reduceSum', [a], { axes: axesOf(a, axes) }),
    reduceMax: (a, axes) => push('reduceMax', [a], { axes: axesOf(a, axes) }),
    cumSum: (a) => push('cumSum', [a], {}),
    argMax: (a) => push('argMax', [a], {}),
    topMask: (a, count) => push('topMask', [a], { count }),
    expand: (a, shape) => (sameShape(a.shape, shape) ? a : push('expand', [a], { shape })),
    sumTo: (a, shape) => sumTo(g, a, shape),
    softmax: (a) => push('softmax', [a], {}),
    matMul: (a, b, { transA = false, transB = false, alpha = 1 } = {}) =>
      push('matMul', [a, b], { transA, transB, alpha }),
    rmsNorm: (x, weight, eps) => push('rmsNorm', [x, weight], { eps }),
    rmsScale: (x, eps) => push('rmsScale', [x], { eps }),
    rope: (x, cos, sin) => push('rope', [x, cos, sin], {}),
    gather: (data, index) => push('gather', [data, index], {}),
    scatterAdd: (data, index, rows) => push('scatterAdd', [data, index, rows], {}),
    spreadRows: (x, m, c) =>
      push('spreadRows', [x, m.index, m.valid, m.inverse, m.inverseValid, c.cell, c.token, c.copyValid], {}),
    permuteRows: (x, m) => push('permuteRows', [x, m.index, m.valid, m.inverse, m.inverseValid], {}),
    quantizedLinear: (x, matrix) => push('quantizedLinear', [x], matrix),
    quantizedRows: (index, matrix) => push('quantizedRows', [index], matrix),
    cachedAttention: (
      { q, k, v, keys, values, last, total, rotary },
      { heads, kvHeads, scale = (q.shape[2]! / heads) ** -0.5, window = 0 },
    ) => {
      const tables = rotary === undefined ? [] : [rotary.cos, rotary.sin];
      const attrs = { heads, kvHeads, scale, window };
      const attended = push('cachedAttention', [q, k, v, keys, values, last, total, ...tables], attrs);
      return {
        attended,
        keys: push('cachedRows', [attended, k, keys, last, ...tables], { which: 'keys', kvHeads }),
        values: push('cachedRows', [attended, v, values, last], { which: 'values', kvHeads }),
      };
    },
  };
  return g;
}

function sumTo(g: Builder, a: Value, shape: Shape): Value {
  if (sameShape(a.shape, shape)) return a;
  const lead = a.shape.length - shape.length;
  const axes = a.shape.map((_, i) => i).filter((i) => i < lead || (shape[i - lead] === 1 && a.shape[i] !== 1));
  return g.reshape(axes.length === 0 ? a : g.reduceSum(a, axes), shape);
}

/**
 * Closes a graph: keeps what the outputs need, renumbered. Values in `cut` become inputs of the given names, and what only they
 * needed goes: so the backward pass takes from the forward pass what was saved, and computes the rest again.
 */
export function finishGraph(
  g: Builder,
  outputs: Readonly<Record<string, Value>>,
  cut: ReadonlyMap<number, string> = new Map(),
): Graph {
  const needed = new Set<number>();
  const stack = Object.values(outputs).map((v) => v.id);
  while (stack.length > 0) {
    const id = stack.pop()!;
    if (needed.has(id)) continue;
    needed.add(id);
    if (!cut.has(id)) stack.push(...g.nodes[id]!.inputs);
  }
  const renumbered = new Map<number, number>();
  const nodes: Node[] = [];
  const inputs: Record<string, number> = {};
  for (const id of [...needed].sort((a, b) => a - b)) {
    const node = g.nodes[id]!;
    const name = cut.get(id) ?? (node.op === 'input' ? node.attrs.name : undefined);
    if (name !== undefined) {
      inputs[name] = nodes.length;
      nodes.push({
        op: 'input',
        inputs: [],
        attrs: { name, dtype: node.dtype, shape: node.shape },
        dtype: node.dtype,
        shape: node.shape,
      });
    } else {
      nodes.push({ ...node, inputs: node.inputs.map((i) => renumbered.get(i)!) } as Node);
    }
    renumbered.set(id, nodes.length - 1);
  }
  return {
    nodes,
    inputs,
    outputs: Object.fromEntries(Object.entries(outputs).map(([name, v]) => [name, renumbered.get(v.id)!])),
  };
}
