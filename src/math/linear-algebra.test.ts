import { expect, test } from 'vitest';
import { dot, orthonormalRows, symmetricEigen } from './linear-algebra.ts';
import { fillNormal } from './random.ts';

const random = (rows: number, columns: number, purpose: string) =>
  Array.from({ length: rows }, (_, a) =>
    Float64Array.from(fillNormal(new Float32Array(columns), 0, 1, { seed: 1, purpose, a })),
  );

test('orthonormal rows span what the rows span', () => {
  const rows = random(5, 9, 'rows');
  const basis = orthonormalRows(rows);
  for (const [i, a] of basis.entries()) {
    for (const [j, b] of basis.entries()) expect(dot(a, b)).toBeCloseTo(i === j ? 1 : 0, 13);
  }
  for (const row of rows) {
    const inside = basis.reduce((sum, b) => sum + dot(row, b) ** 2, 0);
    expect(inside).toBeCloseTo(dot(row, row), 10);
  }
});

test('a row that depends on others becomes zero', () => {
  const [a, b] = random(2, 6, 'dependent');
  const sum = a!.map((x, i) => 2 * x - b![i]!);
  expect([...orthonormalRows([a!, b!, sum])[2]!]).toEqual([0, 0, 0, 0, 0, 0]);
});

test('eigenvectors of a symmetric matrix are turned into multiples of themselves, largest first', () => {
  const rows = random(7, 7, 'symmetric');
  const matrix = rows.map((a) => Float64Array.from(rows, (b) => dot(a, b)));
  const { values, vectors } = symmetricEigen(matrix.map((row) => Float64Array.from(row)));
  expect([...values]).toEqual([...values].sort((a, b) => b - a));
  for (const [i, v] of vectors.entries()) {
    for (const [j, row] of matrix.entries()) expect(dot(row, v)).toBeCloseTo(values[i]! * v[j]!, 9);
  }
});
