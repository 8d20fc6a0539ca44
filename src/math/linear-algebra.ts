/** Rows of a matrix, each of the same length. */
export type Rows = readonly Float64Array[];

/** Below this share of its length before, what is left of a row is rounding. */
const RANK_TOLERANCE = 1e-10;

/**
 * Rows that are orthonormal and span what the given ones span: Gram-Schmidt, modified and done twice (Giraud et al. 2005). A row that depends on those
 * before it becomes zero.
 */
export function orthonormalRows(rows: Rows): Float64Array[] {
  const done: Float64Array[] = [];
  for (const row of rows) {
    const next = Float64Array.from(row);
    const length = Math.sqrt(dot(next, next));
    for (let pass = 0; pass < 2; pass++) {
      for (const other of done) addScaled(next, other, -dot(next, other));
    }
    const rest = Math.sqrt(dot(next, next));
    done.push(rest > RANK_TOLERANCE * length ? next.map((x) => x / rest) : next.fill(0));
  }
  return done;
}

/** Sum of products. */
export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** a += factor * b */
export function addScaled(a: Float64Array, b: Float64Array, factor: number): void {
  for (let i = 0; i < a.length; i++) a[i]! += factor * b[i]!;
}

const SWEEPS = 40;

/**
 * Eigenvalues, largest first, and eigenvectors (as rows) of a symmetric matrix, by Jacobi's rotations.
 *
 * @param matrix is overwritten
 */
export function symmetricEigen(matrix: Rows): { readonly values: Float64Array; readonly vectors: Rows } {
  const n = matrix.length;
  const vectors = Array.from({ length: n }, (_, i) => Float64Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < SWEEPS && !isDiagonal(matrix); sweep++) {
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(matrix, vectors, p, q);
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => matrix[b]![b]! - matrix[a]![a]!);
  return { values: Float64Array.from(order, (i) => matrix[i]![i]!), vectors: order.map((i) => vectors[i]!) };
}

function isDiagonal(matrix: Rows): boolean {
  let off = 0;
  let all = 0;
  for (const [i, row] of matrix.entries()) {
    for (let j = 0; j < row.length; j++) {
      all += row[j]! ** 2;
      if (i !== j) off += row[j]! ** 2;
    }
  }
  return off <= 1e-30 * all;
}

/** Turns rows and columns p and q so that the element between them becomes zero. */
function rotate(m: Rows, vectors: Rows, p: number, q: number): void {
  const between = m[p]![q]!;
  if (between === 0) return;
  const theta = (m[q]![q]! - m[p]![p]!) / (2 * between);
  const t = Math.sign(theta || 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  for (const row of m) {
    const [a, b] = [row[p]!, row[q]!];
    row[p] = c * a - s * b;
    row[q] = s * a + c * b;
  }
  for (const [a, b] of [
    [m[p]!, m[q]!],
    [vectors[p]!, vectors[q]!],
  ] as const) {
    for (let i = 0; i < a.length; i++) {
      const [x, y] = [a[i]!, b[i]!];
      a[i] = c * x - s * y;
      b[i] = s * x + c * y;
    }
  }
}

/** Keeps the inverse of a covariance finite where rows are all alike. */
const LEAST_VARIANCE = 1e-12;

/**
 * The covariance of rows that are centred, shrunk towards a multiple of the identity by as much as the rows are too few to tell (Ledoit and Wolf 2004, "A
 * well-conditioned estimator for large-dimensional covariance matrices").
 */
export function shrunkCovariance(rows: Rows): Float64Array[] {
  const width = rows[0]!.length;
  const count = rows.length;
  const sample = Array.from({ length: width }, () => new Float64Array(width));
  for (const row of rows) for (let i = 0; i < width; i++) addScaled(sample[i]!, row, row[i]! / count);
  const squares = sample.reduce((sum, row) => sum + dot(row, row), 0);
  const mean = sample.reduce((sum, row, i) => sum + row[i]!, 0) / width;
  // Norms are those of the paper: divided by the width.
  const spread = squares / width - mean * mean;
  const fourth = rows.reduce((sum, row) => sum + dot(row, row) ** 2, 0);
  const error = Math.max(0, fourth / count - squares) / (count * width);
  const share = spread <= 0 ? 1 : Math.min(1, error / spread);
  // What does not vary at all still has an inverse.
  const floor = Math.max(share * mean, LEAST_VARIANCE);
  return sample.map((row, i) => row.map((x, j) => (1 - share) * x + (i === j ? floor : 0)));
}

/** The lower triangle L of a positive definite matrix L L^T (Cholesky). */
export function factorOf(matrix: Rows): Float64Array[] {
  const lower: Float64Array[] = [];
  for (const [i, row] of matrix.entries()) {
    const own = new Float64Array(matrix.length);
    for (let j = 0; j <= i; j++) {
      const other = j === i ? own : lower[j]!;
      let rest = row[j]!;
      for (let k = 0; k < j; k++) rest -= own[k]! * other[k]!;
      own[j] = j === i ? Math.sqrt(rest) : rest / other[j]!;
    }
    lower.push(own);
  }
  return lower;
}

/** x with L x = y, for a lower triangle L. */
export function solveLower(lower: Rows, y: Float64Array): Float64Array {
  const x = new Float64Array(y.length);
  for (let i = 0; i < y.length; i++) {
    const row = lower[i]!;
    let rest = y[i]!;
    for (let k = 0; k < i; k++) rest -= row[k]! * x[k]!;
    x[i] = rest / row[i]!;
  }
  return x;
}
