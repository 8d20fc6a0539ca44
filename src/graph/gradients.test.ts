import { describe, expect, it } from 'vitest';
import { OP_CASES, type OpCase } from '../../test/conformance/cases.ts';
import { ATTENTION_CASES, LAYER_CASES, type SegmentCase } from '../../test/conformance/layers.ts';
import { inputsOf, real, type TestInputs } from '../../test/conformance/values.ts';
import { evaluate } from '../engine/reference/evaluate.ts';
import {
  backward,
  createBuilder,
  finishGraph,
  type Graph,
  OPS,
  type OpName,
  segmentPrograms,
  type Value,
} from './index.ts';

// Everything here is float64 on the reference evaluation: what is left between a right gradient and central differences is the
// differences' own error, some 1e-10 of the loss.
const STEP = 1e-5;
const TOLERANCE = 2e-7;

interface Differentiated {
  /** Output `loss`, a weighted sum of the result with fixed random weights. */
  readonly forward: Graph;
  /** Outputs `d.<input>`. */
  readonly backward: Graph;
  readonly inputs: TestInputs;
}

function differentiate(inputs: TestInputs, wrt: readonly string[], build: OpCase['build']): Differentiated {
  const g = createBuilder();
  const x = Object.fromEntries(Object.entries(inputs).map(([name, t]) => [name, g.input(name, t.shape, t.dtype)]));
  const y = build(g, x);
  const weights = g.input('loss.weights', y.shape);
  const weighted = g.mul(y, weights);
  const loss =
    y.shape.length === 0
      ? weighted
      : g.reduceSum(
          weighted,
          y.shape.map((_, i) => i),
        );
  const grads = backward(
    g,
    [[y, weights]],
    wrt.map((name) => x[name]!),
  );
  return {
    forward: finishGraph(g, { loss }),
    backward: finishGraph(g, Object.fromEntries(wrt.map((name, i) => [`d.${name}`, grads[i]!]))),
    inputs: { ...inputs, 'loss.weights': real(y.shape, -1, 1, 99) },
  };
}

function centralDifferences(forward: Graph, inputs: TestInputs, name: string): Float64Array {
  const point = inputs[name]!;
  const lossAt = (i: number, value: number) => {
    const moved = { ...inputs, [name]: { ...point, data: point.data.with(i, value) } };
    return evaluate(forward, moved).loss!.data[0]!;
  };
  return point.data.map((v, i) => (lossAt(i, v + STEP) - lossAt(i, v - STEP)) / (2 * STEP));
}

/** Largest difference between two gradients, as a share of the largest entry (at least 1e-2, below which only noise is left). */
function distance(got: Float64Array, want: Float64Array): number {
  const scale = Math.max(1e-2, ...want.map(Math.abs));
  return Math.max(0, ...got.map((v, i) => Math.abs(v - want[i]!) / scale));
}

function expectGradients(d: Differentiated, wrt: readonly string[]): void {
  const grads = evaluate(d.backward, d.inputs);
  for (const name of wrt) {
    const want = centralDifferences(d.forward, d.inputs, name);
    const got = grads[`d.${name}`]!;
    expect(got.shape, name).toEqual(d.inputs[name]!.shape);
    expect(distance(got.data, want), `gradient of ${name}`).toBeLessThan(TOLERANCE);
  }
}

const wrtOf = (c: OpCase) => c.wrt ?? Object.keys(c.inputs).filter((name) => c.inputs[name]!.dtype === 'f32');
const differentiable = (op: OpName) => typeof OPS[op].vjp === 'function';

describe('the cases', () => {
  it('cover every operator, and each case uses the operator that it stands for', () => {
    expect(Object.keys(OP_CASES).sort()).toEqual(Object.keys(OPS).sort());
    for (const [op, cases] of Object.entries(OP_CASES)) {
      expect(cases.length, op).toBeGreaterThan(0);
      for (const c of cases) {
        const g = createBuilder();
        c.build(g, Object.fromEntries(Object.entries(c.inputs).map(([k, t]) => [k, g.input(k, t.shape, t.dtype)])));
        expect(
          g.nodes.map((n) => n.op),
          `${op}: ${c.name}`,
        ).toContain(op);
      }
    }
  });

  it('check a gradient for every operator that has one', () => {
    const unchecked = (Object.keys(OPS) as OpName[]).filter(
      (op) => differentiable(op) && !OP_CASES[op].some((c) => wrtOf(c).length > 0),
    );
    expect(unchecked).toEqual([]);
  });
});

describe.each((Object.keys(OP_CASES) as OpName[]).filter(differentiable))('the gradient of %s', (op) => {
  it.each(OP_CASES[op].map((c) => [c.name, c] as const))('equals central differences: %s', (_name, c) => {
    expectGradients(differentiate(c.inputs, wrtOf(c), c.build), wrtOf(c));
  });
});

/** Ranges of slices of one value, [axis, start, end] each: backward() joins or grows their gradients where it can. */
const SLICES: Readonly<Record<string, readonly (readonly [axis: number, start: number, end: number])[]>> = {
  'side by side': [
    [1, 5, 8],
    [1, 0, 2],
    [1, 2, 5],
  ],
  'side by side, with a gap at the end': [
    [1, 0, 2],
    [1, 2, 5],
  ],
  'all from the front': [
    [0, 0, 6],
    [0, 0, 2],
    [0, 0, 4],
  ],
  'from the front, and the whole': [
    [0, 0, 7],
    [0, 0, 8],
    [0, 0, 3],
  ],
  overlapping: [
    [0, 1, 3],
    [0, 2, 5],
  ],
  'the same twice and more': [
    [0, 0, 4],
    [0, 4, 8],
    [0, 4, 8],
  ],
  'along two axes': [
    [0, 0, 4],
    [1, 3, 4],
  ],
};

const slices = Object.entries(SLICES).map(
  ([name, ranges]): OpCase => ({
    name: `slices, ${name}`,
    inputs: { a: real([8, 8]), w: real([8, 8], -1, 1, 2) },
    build: (g, { a, w }) => {
      const parts = ranges.map(([axis, start, end], i) => {
        const part = g.slice(a!, { axis, start, end });
        const weighted = g.mul(g.mul(part, part), g.mul(g.slice(w!, { axis, start, end }), g.scalar(i + 1)));
        return g.reduceSum(weighted, [0, 1]);
      });
      return parts.reduce((x, y) => g.add(x, y));
    },
  }),
);

describe('the gradient of a composition', () => {
  const cases: readonly OpCase[] = [
    {
      name: 'log-sum-exp, shifted by a maximum that takes no gradient',
      inputs: { a: real([3, 5], -3, 3) },
      build: (g, { a }) => {
        const max = g.reduceMax(a!, [-1]);
        return g.add(g.log(g.reduceSum(g.exp(g.sub(a!, max)), [-1])), max);
      },
    },
    {
      name: 'a value used along several paths',
      inputs: { a: real([2, 3], 0.5, 2), b: real([3], 0.5, 2, 2) },
      build: (g, { a, b }) => g.add(g.mul(g.exp(a!), b!), g.div(g.add(a!, b!), g.mul(a!, a!))),
    },
    {
      name: 'a matrix on both sides of products',
      inputs: { a: real([3, 3], -1, 1) },
      build: (g, { a }) => g.matMul(g.matMul(a!, a!), g.softmax(a!), { transA: true }),
    },
    ...slices,
    {
      name: 'a mean over rows, expanded back',
      inputs: { a: real([4, 3]) },
      build: (g, { a }) => g.mul(a!, g.expand(g.mul(g.reduceSum(a!, [0]), g.scalar(0.25)), [4, 3])),
    },
  ];
  it.each(cases.map((c) => [c.name, c] as const))('equals central differences: %s', (_name, c) => {
    expectGradients(differentiate(c.inputs, wrtOf(c), c.build), wrtOf(c));
  });

  it('exists twice over: gradients of gradients', () => {
    const inputs = { x: real([2, 4]), weight: real([4], 0.5, 2, 2) };
    const build: OpCase['build'] = (g, { x, weight }) => {
      const y = g.silu(g.rmsNorm(x!, weight!, 1e-5));
      return g.add(...(backward(g, [[y, g.fill(1, y.shape)]], [x!, weight!]) as [Value, Value]));
    };
    expectGradients(differentiate(inputs, ['x', 'weight'], build), ['x', 'weight']);
  });
});

const byName = (cases: readonly SegmentCase[]) => cases.map((c) => [c.name, c] as const);
const onInputs =
  ({ segment }: SegmentCase): OpCase['build'] =>
  (g) =>
    segment(g);

describe('the gradient of a segment', () => {
  it.each(byName([...ATTENTION_CASES, ...LAYER_CASES]))('equals central differences: %s', (_name, c) => {
    const used = inputsOf(segmentPrograms(c.segment, c.wanted, 'nothing').forward, c.inputs);
    expectGradients(differentiate(used, c.wanted, onInputs(c)), c.wanted);
  });

  it.each([
    ['dense', ATTENTION_CASES.slice(0, 3)],
    ['grid', ATTENTION_CASES.slice(3, 5)],
    ['dense with a window', ATTENTION_CASES.slice(5, 8)],
    ['grid with a window', ATTENTION_CASES.slice(8)],
  ] as const)('and its result do not depend on the blocks of queries: %s', (_name, cases) => {
    const results = cases.map((c) => runPrograms(c, 'nothing'));
    for (const result of results.slice(1)) expectClose(result, results[0]!);
  });
});

/** Runs a segment as two programs, the backward one on what the forward one saved. */
function runPrograms(c: SegmentCase, keep: 'nothing' | 'matmul' | 'all'): Record<string, Float64Array> {
  const programs = segmentPrograms(c.segment, c.wanted, keep);
  const forward = evaluate(programs.forward, inputsOf(programs.forward, c.inputs));
  const dy = real(forward.y!.shape, -1, 1, 99);
  const saved = Object.fromEntries(programs.saved.map((name) => [name, { dtype: 'f32', ...forward[name]! } as const]));
  const grads = evaluate(programs.backward, inputsOf(programs.backward, { ...c.inputs, ...saved, dy }));
  return Object.fromEntries(Object.entries({ y: forward.y!, ...grads }).map(([name, t]) => [name, t.data]));
}

function expectClose(got: Record<string, Float64Array>, want: Record<string, Float64Array>): void {
  expect(Object.keys(got)).toEqual(Object.keys(want));
  for (const name of Object.keys(want)) expect(distance(got[name]!, want[name]!), name).toBeLessThan(1e-12);
}

describe('the programs of a segment', () => {
  it.each(byName(LAYER_CASES))('give the same result and gradients whatever they keep: %s', (_name, c) => {
    const recomputed = runPrograms(c, 'nothing');
    expectClose(runPrograms(c, 'matmul'), recomputed);
    expectClose(runPrograms(c, 'all'), recomputed);
  });

  it('save nothing, the results of matrix products, or all that the backward pass reads', () => {
    const c = LAYER_CASES[0]!;
    const [nothing, matmul, all] = (['nothing', 'matmul', 'all'] as const).map((keep) =>
      segmentPrograms(c.segment, c.wanted, keep),
    );
    expect(nothing!.saved).toEqual([]);
    expect(matmul!.saved.length).toBeGreaterThan(0);
    // Of `base + adapter` the sum is saved and neither addend, so that 7 modules cost 5 sums, 7 [N, rank] and the attended values.
    const { nodes, outputs } = matmul!.forward;
    const products = matmul!.saved.map((name) => nodes[outputs[name]!]!);
    expect(products.filter((node) => node.op === 'add')).toHaveLength(6);
    expect(products.filter((node) => node.op === 'matMul')).toHaveLength(8);
    expect(products).toHaveLength(14);
    const work = ({ nodes }: Graph) => nodes.filter((node) => node.op !== 'input').length;
    expect(work(all!.backward)).toBeLessThan(work(matmul!.backward));
    expect(work(matmul!.backward)).toBeLessThan(work(nothing!.backward));
  });

  it('have inputs that the forward pass alone also has, so that one record of handles serves both', () => {
    for (const c of LAYER_CASES) {
      const { forward, backward: back, saved } = segmentPrograms(c.segment, c.wanted, 'matmul');
      const own = new Set([...saved, 'dy', ...Object.keys(forward.inputs)]);
      expect(Object.keys(back.inputs).filter((name) => !own.has(name))).toEqual([]);
    }
  });
});

describe('backward', () => {
  it('refuses an input that no gradient reaches', () => {
    const g = createBuilder();
    const [x, index] = [g.input('x', [3, 2]), g.input('index', [2], 'i32')];
    const y = g.gather(x, index);
    expect(() => backward(g, [[y, y]], [g.input('other', [2])])).toThrow('internal: no gradient reaches');
  });
});
