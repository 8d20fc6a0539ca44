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
