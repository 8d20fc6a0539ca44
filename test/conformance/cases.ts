import type { Builder, CachedAttention, OpName, Value } from '../../src/graph/index.ts';
import { storedMatrix } from './stored.ts';
import { exactly, indices, real, type TestInputs } from './values.ts';

/** One use of an operator: its inputs and how it is built from them. */
export interface OpCase {
  readonly name: string;
  readonly inputs: TestInputs;
  readonly build: (g: Builder, x: Readonly<Record<string, Value>>) => Value;
  /** Inputs whose gradients are checked; default: every float input. */
  readonly wrt?: readonly string[];
  /** The only device that has it, where not all do. */
  readonly device?: 'cpu';
}

type Binary = 'add' | 'sub' | 'mul' | 'div';
type Unary = 'neg' | 'exp' | 'log' | 'sqrt' | 'abs' | 'sigmoid' | 'silu';

const PAIRS = [
  [
    [3, 4],
    [3, 4],
  ],
  [[2, 3, 4], [4]],
  [
    [2, 1, 4],
    [3, 1],
  ],
  [[3, 2], []],
  [[1], [2, 3]],
  [
    [2, 3, 4],
    [2, 3, 1],
  ],
  [
    [5, 1],
    [1, 7],
  ],
] as const;

/** Both operands in every kind of broadcasting; divisors stay away from zero. */
function binary(op: Binary): OpCase[] {
  const cases = PAIRS.map(
    ([a, b]): OpCase => ({
      name: `[${a}] with [${b}]`,
      inputs: { a: real(a, -2, 2, 1), b: op === 'div' ? real(b, 0.5, 3, 2) : real(b, -2, 2, 2) },
      build: (g, { a, b }) => g[op](a!, b!),
    }),
  );
  return [
    ...cases,
    { name: 'a value with itself', inputs: { a: real([2, 3], 0.5, 2) }, build: (g, { a }) => g[op](a!, a!) },
  ];
}

function unary(op: Unary, low: number, high: number): OpCase[] {
  return [[7], [2, 3, 5], [1, 1], []].map((shape) => ({
    name: `[${shape}] in ${low}..${high}`,
    inputs: { a: real(shape, low, high) },
    build: (g, { a }) => g[op](a!),
  }));
}

/** Both tails of the logistic function, where rational approximations lose relative accuracy. */
const TAILS = [-100, -89, -88, -60, -30, -17, -10, -5, -1, -1e-3, 0, 1e-3, 1, 5, 10, 17, 30, 88, 100];

function tails(op: 'sigmoid' | 'silu'): OpCase {
  return {
    name: 'tails',
    inputs: { a: exactly([TAILS.length], TAILS) },
    build: (g, { a }) => g[op](a!),
  };
}

function matMuls(): OpCase[] {
  const shapes: [string, readonly number[], readonly number[]][] = [
    ['matrices', [], []],
    ['one batch axis', [3], [3]],
    ['two batch axes', [2, 3], [2, 3]],
    ['b broadcast over the batch', [3], []],
    ['a broadcast over the batch', [], [2]],
    ['both broadcast', [2, 1], [1, 3]],
    ['key heads shared by query heads', [2, 2, 3], [2, 2, 1]],
  ];
  const [m, k, n] = [4, 5, 3];
  const cases: OpCase[] = [];
  for (const [name, batchA, batchB] of shapes) {
    for (const [transA, transB, alpha] of [
      [false, false, 1],
      [false, true, 0.25],
      [true, false, 1],
      [true, true, -2],
    ] as const) {
      cases.push({
        name: `${name}${transA ? ', A transposed' : ''}${transB ? ', B transposed' : ''}, alpha ${alpha}`,
        inputs: {
          a: real([...batchA, ...(transA ? [k, m] : [m, k])], -1, 1, 1),
          b: real([...batchB, ...(transB ? [n, k] : [k, n])], -1, 1, 2),
        },
        build: (g, { a, b }) => g.matMul(a!, b!, { transA, transB, alpha }),
      });
    }
  }
  cases.push(
    {
      name: 'a vector as a row, a long inner axis',
      inputs: { a: real([1, 300], -1, 1, 1), b: real([7, 300], -1, 1, 2) },
      build: (g, { a, b }) => g.matMul(a!, b!, { transB: true }),
    },
    {
      name: 'a narrow product of a tall matrix, transposed',
      inputs: { a: real([5, 24], -1, 1, 1), b: real([5, 3], -1, 1, 2) },
      build: (g, { a, b }) => g.matMul(a!, b!, { transA: true, alpha: 0.5 }),
    },
    {
      name: 'narrow products of a batch of tall matrices, transposed',
      inputs: { a: real([2, 3, 5, 24], -1, 1, 1), b: real([2, 3, 5, 3], -1, 1, 2) },
      build: (g, { a, b }) => g.matMul(a!, b!, { transA: true, alpha: 0.5 }),
    },
    {
      name: 'a matrix with itself',
      inputs: { a: real([3, 4], -1, 1) },
      build: (g, { a }) => g.matMul(a!, a!, { transB: true }),
    },
  );
  return cases;
}

const move = {
  // Five tokens in a grid of eight places, three of them empty; token 4 is padding and has no place.
  index: indices([0, 1, 0, 0, 2, 3, 0, 0]),
  valid: exactly([8, 1], [1, 1, 0, 0, 1, 1, 0, 0]),
  inverse: indices([0, 1, 4, 5, 0]),
  inverseValid: exactly([5, 1], [1, 1, 1, 1, 0]),
};

const shapeCases = {
  reshape: [
    { name: '[2,6] to [3,4]', inputs: { a: real([2, 6]) }, build: (g, { a }) => g.reshape(a!, [3, 4]) },
    { name: '[4] to [1,2,2]', inputs: { a: real([4]) }, build: (g, { a }) => g.reshape(a!, [1, 2, 2]) },
    { name: '[1] to a scalar', inputs: { a: real([1]) }, build: (g, { a }) => g.reshape(a!, []) },
  ],
  transpose: [
    [1, 0],
    [0, 2, 1],
    [2, 0, 1],
    [0, 2, 1, 3],
    [0, 2, 3, 1, 4],
    [3, 1, 4, 0, 2],
  ].map((perm) => ({
    name: `axes ${perm}`,
    inputs: { a: real([2, 3, 4, 2, 3].slice(0, perm.length)) },
    build: (g, { a }) => g.transpose(a!, perm),
  })),
  slice: [
    { axis: 0, start: 1, end: 3 },
    { axis: 1, start: 0, end: 1 },
    { axis: 2, start: 3, end: 4 },
  ].map((attrs) => ({
    name: `axis ${attrs.axis}, ${attrs.start} to ${attrs.end}`,
    inputs: { a: real([3, 2, 4]) },
    build: (g, { a }) => g.slice(a!, attrs),
  })),
  pad: [
    { axis: 0, before: 1, after: 0 },
    { axis: 1, before: 0, after: 2 },
    { axis: 2, before: 2, after: 1 },
  ].map((attrs) => ({
    name: `axis ${attrs.axis}, ${attrs.before} before and ${attrs.after} after`,
    inputs: { a: real([2, 3, 2]) },
    build: (g, { a }) => g.pad(a!, attrs),
  })),
  concat: [
    {
      name: 'three along the first axis',
      inputs: { a: real([1, 2], -2, 2, 1), b: real([3, 2], -2, 2, 2), c: real([2, 2], -2, 2, 3) },
      build: (g, { a, b, c }) => g.concat([a!, b!, c!], 0),
    },
    {
      name: 'two along the last axis',
      inputs: { a: real([2, 2, 3], -2, 2, 1), b: real([2, 2, 1], -2, 2, 2) },
      build: (g, { a, b }) => g.concat([a!, b!], -1),
    },
    {
      name: 'the same value twice',
      inputs: { a: real([2, 3, 2]) },
      build: (g, { a }) => g.concat([a!, a!], 1),
    },
  ],
  expand: [
    { name: '[2,1,3] to [2,4,3]', inputs: { a: real([2, 1, 3]) }, build: (g, { a }) => g.expand(a!, [2, 4, 3]) },
    { name: '[3] to [2,3]', inputs: { a: real([3]) }, build: (g, { a }) => g.expand(a!, [2, 3]) },
    { name: 'a scalar to [2,2]', inputs: { a: real([]) }, build: (g, { a }) => g.expand(a!, [2, 2]) },
  ],
} satisfies Partial<Record<OpName, readonly OpCase[]>>;

interface CachedCase {
  readonly name: string;
  readonly rows: number;
  readonly length: number;
  readonly capacity: number;
  /** Position of each row's last new token: the last of the cache if not given. */
  readonly last?: readonly number[];
  readonly rotary?: boolean;
  readonly window?: number;
  readonly scale?: number;
}

/**
 * New tokens of rows over a cache. Where the caches themselves are compared, the rows fill them, for only then is every element defined after a run
 * that does not write them in place.
 */
function cached(which: 'attended' | 'keys' | 'values'): OpCase[] {
  const [heads, kvHeads, width] = [4, 2, 16];
  const larger = [
    { name: 'the next part of a prompt in a larger cache', rows: 1, length: 3, capacity: 9, last: [5], rotary: true },
    { name: 'rows of different lengths in a larger cache', rows: 3, length: 1, capacity: 9, last: [0, 6, 3] },
    { name: 'rows of different lengths, turned', rows: 3, length: 1, capacity: 9, last: [0, 6, 3], rotary: true },
    { name: 'rows of different lengths in a window', rows: 3, length: 1, capacity: 9, last: [0, 6, 3], window: 2 },
    { name: 'a part of a prompt in a window', rows: 1, length: 4, capacity: 9, last: [6], rotary: true, window: 3 },
    { name: 'a prompt with a scale of its own', rows: 1, length: 5, capacity: 5, scale: 0.4 },
  ];
  const cases: readonly CachedCase[] = [
    ...(which === 'attended' ? larger : []),
    { name: 'a prompt', rows: 1, length: 5, capacity: 5 },
    { name: 'the next part of a prompt', rows: 1, length: 3, capacity: 7 },
    { name: 'one token in each of two rows', rows: 2, length: 1, capacity: 6 },
    { name: 'the next part of a prompt, turned by its positions', rows: 1, length: 3, capacity: 7, rotary: true },
    { name: 'one token in each of two rows, turned by its position', rows: 2, length: 1, capacity: 6, rotary: true },
  ];
  const full = (rows: number, capacity: number) => new Array<number>(rows).fill(capacity - 1);
  return cases.map(({ name, rows, length, capacity, last = full(rows, capacity), rotary, ...attrs }) => ({
    name,
    inputs: {
      q: real([rows, length, heads * width], -1, 1, 1),
      k: real([rows, length, kvHeads * width], -1, 1, 2),
      v: real([rows, length, kvHeads * width], -1, 1, 3),
      keys: real([rows, kvHeads, capacity, width], -1, 1, 4),
      values: real([rows, kvHeads, capacity, width], -1, 1, 5),
      last: indices(last),
      total: indices([Math.max(...last) + 1]),
      ...(rotary ? { cos: real([capacity, width / 2], -1, 1, 6), sin: real([capacity, width / 2], -1, 1, 7) } : {}),
    },
    build: (g, { cos, sin, ...x }) =>
      g.cachedAttention(
        { ...(x as unknown as CachedAttention), rotary: cos && sin && { cos, sin } },
        { heads, kvHeads, ...attrs },
      )[which],
    wrt: [],
  }));
}

const STORED = [
  { name: '8 bits', tensors: [storedMatrix('Q8_0', [12, 64], 1)] },
  {
    name: '4 bits, two tensors one above the other',
    tensors: [3, 4].map((seed) => storedMatrix('Q4_1', [6, 64], seed)),
  },
];

const reductions = [[0], [-1], [0, 2], [0, 1, 2]] as const;

/** At least one case for every operator: the type makes a missing one a compile error. */
export const OP_CASES: Readonly<Record<OpName, readonly OpCase[]>> = {
  input: [{ name: 'an input as it came', inputs: { a: real([2, 3]) }, build: (_g, { a }) => a! }],
  fill: [
    { name: 'a scalar', inputs: { a: real([2]) }, build: (g, { a }) => g.mul(a!, g.scalar(1.5)) },
    { name: 'a shape', inputs: {}, build: (g) => g.fill(-0.25, [2, 3]) },
  ],
  causalMask: [
    { queries: 4, keys: 4, offset: 0, window: 0 },
    { queries: 2, keys: 5, offset: 3, window: 0 },
    { queries: 5, keys: 5, offset: 0, window: 2 },
  ].map((attrs) => ({
    name: JSON.stringify(attrs),
    inputs: {},
    build: (g) => g.causalMask(attrs),
  })),
  add: binary('add'),
  sub: binary('sub'),
  mul: binary('mul'),
  div: binary('div'),
  neg: unary('neg', -3, 3),
  exp: [...unary('exp', -3, 3), ...unary('exp', -80, 80)],
  log: [...unary('log', 0.1, 5), ...unary('log', 0.999, 1.001)],
  sqrt: unary('sqrt', 0.1, 9),
  abs: [...unary('abs', 0.1, 2), ...unary('abs', -2, -0.1)],
  sign: [
    {
      name: 'both sides and zero',
      inputs: { a: exactly([5], [-2, -1e-30, 0, 1e-30, 3]) },
      build: (g, { a }) => g.sign(a!),
    },
  ],
  toBytes: [
    {
      name: 'clipped, and cut off',
      inputs: { a: exactly([9], [-3, -0.5, 0, 0.99, 1, 127.5, 254.999, 255.9, 1e9]) },
      build: (g, { a }) => g.toBytes(a!),
      device: 'cpu',
    },
  ],
  cast: [
    {
      name: 'bytes there and back',
      inputs: { a: exactly([2, 3], [0, 1, 128, 200, 254, 255]) },
      build: (g, { a }) => g.cast(g.toBytes(a!), 'f32'),
      device: 'cpu',
    },
    {
      name: 'whole numbers there and back',
      inputs: { a: exactly([5], [-2.5, -1, 0, 1.9, 70000]) },
      build: (g, { a }) => g.cast(g.cast(a!, 'i64'), 'f32'),
      wrt: [],
      device: 'cpu',
    },
  ],
  sigmoid: [...unary('sigmoid', -6, 6), tails('sigmoid')],
  silu: [...unary('silu', -6, 6), tails('silu')],
  topMask: [{ name: '3 of 7 in 5 rows', inputs: { a: real([5, 7]) }, build: (g, { a }) => g.topMask(a!, 3), wrt: [] }],
  cumSum: [{ name: '[2,3,5]', inputs: { a: real([2, 3, 5]) }, build: (g, { a }) => g.cumSum(a!), wrt: [] }],
  visibleMask: [0, 2].flatMap((window) =>
    [1, 3, 5].map((queries) => ({
      name: `${queries} queries, window ${window}`,
      inputs: { a: exactly([2, 5], [0, 0, 1, 1, 1, 1, 1, 1, 1, 0]) },
      build: (g: Builder, { a }: Readonly<Record<string, Value>>) =>
        g.visibleMask(g.cast(a!, 'i64'), { queries, window }),
      wrt: [],
      device: 'cpu' as const,
    })),
  ),
  argMax: [{ name: '[2,3,50]', inputs: { a: real([2, 3, 50]) }, build: (g, { a }) => g.argMax(a!), wrt: [] }],
  siluFast: [{ name: '[2,3]', inputs: { a: real([2, 3], -6, 6) }, build: (g, { a }) => g.siluFast(a!), wrt: [] }],
  ...shapeCases,
  reduceSum: [
    ...reductions.map((axes) => ({
      name: `axes ${axes}`,
      inputs: { a: real([2, 3, 4]) },
      build: (g: Builder, { a }: Readonly<Record<string, Value>>) => g.reduceSum(a!, axes),
    })),
    { name: 'a long axis', inputs: { a: real([2, 3000], 0, 1) }, build: (g, { a }) => g.reduceSum(a!, [1]) },
  ],
  reduceMax: reductions.map((axes) => ({
    name: `axes ${axes}`,
    inputs: { a: real([2, 3, 4]) },
    build: (g, { a }) => g.reduceMax(a!, axes),
    wrt: [],
  })),
  softmax: [
    { name: '[3,5]', inputs: { a: real([3, 5], -4, 4) }, build: (g, { a }) => g.softmax(a!) },
    { name: '[2,2,3,4]', inputs: { a: real([2, 2, 3, 4]) }, build: (g, { a }) => g.softmax(a!) },
    { name: 'far from zero', inputs: { a: real([2, 6], 500, 560) }, build: (g, { a }) => g.softmax(a!) },
    {
      name: 'under the causal mask',
      inputs: { a: real([2, 4, 4]) },
      build: (g, { a }) => g.softmax(g.add(a!, g.causalMask({ queries: 4, keys: 4, offset: 0, window: 0 }))),
    },
  ],
  matMul: matMuls(),
  rmsNorm: [
    [3, 6],
    [2, 2, 4],
  ].map((shape) => ({
    name: `[${shape}]`,
    inputs: { x: real(shape), weight: real([shape.at(-1)!], 0.5, 2, 2) },
    build: (g, { x, weight }) => g.rmsNorm(x!, weight!, 1e-5),
  })),
  rmsScale: [
    { name: '[3,6]', inputs: { x: real([3, 6]) }, build: (g, { x }) => g.rmsScale(x!, 1e-5) },
    { name: 'a large epsilon', inputs: { x: real([2, 2, 4]) }, build: (g, { x }) => g.rmsScale(x!, 0.5) },
  ],
  rope: [
    { name: 'one head', tokens: 3, width: 4, half: 2 },
    { name: 'three heads', tokens: 5, width: 12, half: 2 },
    { name: 'one token', tokens: 1, width: 16, half: 4 },
  ].map(({ name, tokens, width, half }) => ({
    name,
    inputs: { x: real([tokens, width]), cos: real([tokens, half], -1, 1, 2), sin: real([tokens, half], -1, 1, 3) },
    build: (g, { x, cos, sin }) => g.rope(x!, cos!, sin!),
    wrt: ['x'],
  })),
  gather: [
    {
      name: 'rows, some twice and some never',
      inputs: { data: real([5, 3]), index: indices([4, 0, 4, 2]) },
      build: (g, { data, index }) => g.gather(data!, index!),
    },
  ],
  scatterAdd: [
    {
      name: 'rows that meet',
      inputs: { data: real([5, 3]), index: indices([4, 0, 4, 2]), rows: real([4, 3], -2, 2, 2) },
      build: (g, { data, index, rows }) => g.scatterAdd(data!, index!, rows!),
    },
  ],
  permuteRows: [
    {
      name: 'tokens to a grid with empty places',
      inputs: { x: real([5, 3]), ...move },
      build: (g, { x, index, valid, inverse, inverseValid }) =>
        g.permuteRows(x!, { index: index!, valid: valid!, inverse: inverse!, inverseValid: inverseValid! }),
      wrt: ['x'],
    },
    {
      name: 'a grid back to tokens',
      inputs: { x: real([8, 3]), ...move },
      build: (g, { x, index, valid, inverse, inverseValid }) =>
        g.permuteRows(x!, { index: inverse!, valid: inverseValid!, inverse: index!, inverseValid: valid! }),
      wrt: ['x'],
    },
  ],
  spreadRows: [
    {
      name: 'a token that stands in two rows, one of them twice over a padded list',
      inputs: {
        x: real([5, 3]),
        ...move,
        index: indices([0, 1, 0, 0, 0, 3, 2, 0]),
        valid: exactly([8, 1], [1, 1, 0, 0, 1, 1, 1, 0]),
        inverse: indices([0, 1, 6, 5, 0]),
        cell: indices([4, 0]),
        token: indices([0, 0]),
        copyValid: exactly([2, 1], [1, 0]),
      },
      build: (g, { x, index, valid, inverse, inverseValid, cell, token, copyValid }) =>
        g.spreadRows(
          x!,
          { index: index!, valid: valid!, inverse: inverse!, inverseValid: inverseValid! },
          { cell: cell!, token: token!, copyValid: copyValid! },
        ),
      wrt: ['x'],
    },
  ],
  cachedAttention: cached('attended'),
  cachedRows: [...cached('keys'), ...cached('values')].map((c, i) => ({
    ...c,
    name: `${i < 5 ? 'keys' : 'values'}, ${c.name}`,
  })),
  quantizedLinear: STORED.map(({ name, tensors }) => ({
    name,
    inputs: { x: real([3, 64], -1, 1) },
    build: (g, { x }) => g.quantizedLinear(x!, { tensors }),
    wrt: [],
  })),
  quantizedRows: STORED.map(({ name, tensors }) => ({
    name,
    inputs: { index: indices([11, 0, 5, 0]) },
    build: (g, { index }) => g.quantizedRows(index!, { tensors }),
    wrt: [],
  })),
};
