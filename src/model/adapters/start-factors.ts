// Shape legend: O outputs, I inputs, R rank, K rows of a basis
import type { Engine, Handle } from '../../engine/index.ts';
import { createBuilder, finishGraph } from '../../graph/index.ts';
import { addScaled, dot, orthonormalRows, type Rows, symmetricEigen } from '../../math/linear-algebra.ts';
import { fillNormal } from '../../math/random.ts';
import { f32, type HostTensor } from '../../tensor/tensor.ts';
import type { Start } from './method.ts';

/** The factors that a module starts from. */
export interface StartFactors {
  readonly a_RI: HostTensor;
  readonly b_OR: HostTensor;
}

/** Rows of the basis beyond the rank, its least number of rows, and passes over the matrix: what randomised methods need to find the leading directions. */
const OVERSAMPLING = 16;
const SMALLEST_BASIS = 32;
const PASSES = 5;

/**
 * Factors made from the base's own matrix [O, I], which is released.
 *
 * PiSSA (Meng et al. 2024, arXiv:2404.02948): the leading singular directions, found by randomised subspace iteration (Halko et al. 2011, arXiv:0909.4061), which is exact
 * where the matrix is no larger than the basis. OLoRA (Büyükakyüz 2024, arXiv:2406.01775): the first columns of the orthogonal factor of W = Q R, and the first rows of R.
 */
export async function startFactors(
  engine: Engine,
  weight: Handle,
  { rank, scale }: { readonly rank: number; readonly scale: number },
  how: Start,
): Promise<StartFactors> {
  const products = openProducts(engine, weight);
  const factors = how === 'pissa' ? await pissa(products, rank, scale) : await olora(products, rank);
  engine.release(weight);
  return factors;
}

async function pissa({ height, width, times, timesTransposed }: Products, rank: number, scale: number) {
  const size = Math.min(height, width, Math.max(SMALLEST_BASIS, rank + OVERSAMPLING));
  let basis_KI: Rows = Array.from({ length: size }, (_, a) =>
    Float64Array.from(fillNormal(new Float32Array(width), 0, 1, { seed: 0, purpose: 'pissa', a })),
  );
  let left_KO: Rows = [];
  for (let pass = 0; pass < PASSES; pass++) {
    left_KO = orthonormalRows(await timesTransposed(orthonormalRows(basis_KI)));
    basis_KI = await times(left_KO);
  }
  const { values, vectors } = symmetricEigen(basis_KI.map((a) => Float64Array.from(basis_KI, (b) => dot(a, b))));
  const a: Float64Array[] = [];
  const b: Float64Array[] = [];
  for (let r = 0; r < rank; r++) {
    const root = Math.sqrt(Math.sqrt(Math.max(0, values[r]!)) / scale);
    // With W's singular value s: right vector (basis u) / s, times sqrt(s / scale).
    a.push(combine(basis_KI, vectors[r]!, root === 0 ? 0 : 1 / (root * scale)));
    b.push(combine(left_KO, vectors[r]!, root));
  }
  return { a_RI: fromRows(a), b_OR: fromColumns(b) };
}

async function olora({ firstColumns, times }: Products, rank: number) {
  const q_RO = orthonormalRows(await firstColumns(rank));
  return { a_RI: fromRows(await times(q_RO)), b_OR: fromColumns(q_RO) };
}

/** Products with a matrix W [O, I] that lies in an engine. */
interface Products {
  readonly height: number;
  readonly width: number;
  /** x [K, O] to x W [K, I]. */
  times(x: Rows): Promise<Rows>;
  /** x [K, I] to x W^T [K, O]. */
  timesTransposed(x: Rows): Promise<Rows>;
  /** The first columns of W as rows. */
  firstColumns(count: number): Promise<Rows>;
}

function openProducts(engine: Engine, weight: Handle): Products {
  const [height, width] = weight.shape as [number, number];
  const product = async (x: Rows, transB: boolean): Promise<Rows> => {
    const g = createBuilder();
    const x_KN = g.input('x', [x.length, transB ? width : height]);
    const y = g.matMul(x_KN, g.input('weight', [height, width]), { transB });
    const input = engine.upload(fromRows(x));
    const { y: out } = engine.run(engine.compile(finishGraph(g, { y })), { x: input, weight });
    engine.release(input);
    return toRows(engine, out!);
  };
  return {
    height,
    width,
    times: (x) => product(x, false),
    timesTransposed: (x) => product(x, true),
    firstColumns(count) {
      const g = createBuilder();
      const columns = g.slice(g.input('weight', [height, width]), { axis: 1, start: 0, end: count });
      const { y } = engine.run(engine.compile(finishGraph(g, { y: g.transpose(columns, [1, 0]) })), { weight });
      return toRows(engine, y!);
    },
  };
}

async function toRows(engine: Engine, handle: Handle): Promise<Rows> {
  const { data, shape } = await engine.read(handle);
  engine.release(handle);
  const [rows, columns] = shape as [number, number];
  return Array.from({ length: rows }, (_, i) =>
    Float64Array.from((data as Float32Array).subarray(i * columns, (i + 1) * columns)),
  );
}

/** scale * sum of weights[i] * rows[i] */
function combine(rows: Rows, weights: Float64Array, scale: number): Float64Array {
  const sum = new Float64Array(rows[0]!.length);
  for (const [i, row] of rows.entries()) addScaled(sum, row, scale * weights[i]!);
  return sum;
}

function fromRows(rows: Rows): HostTensor {
  const width = rows[0]!.length;
  const data = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) data.set(row, i * width);
  return f32(data, [rows.length, width]);
}

function fromColumns(columns: Rows): HostTensor {
  const height = columns[0]!.length;
  const data = new Float32Array(columns.length * height);
  for (const [j, column] of columns.entries()) {
    for (const [i, value] of column.entries()) data[i * columns.length + j] = value;
  }
  return f32(data, [height, columns.length]);
}
