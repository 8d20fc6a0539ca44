import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { dot, factorOf, orthonormalRows, shrunkCovariance, solveLower, symmetricEigen } from './linear-algebra.ts';
import { fillNormal } from './random.ts';

const golden = JSON.parse(readFileSync(join(import.meta.dirname, '../../test/golden/covariance.json'), 'utf8')) as {
  rows: number[][];
  covariance: number[][];
};
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

test('a factor times its transpose is the matrix, and solves with it', () => {
  const rows = random(9, 6, 'positive');
  const matrix = Array.from({ length: 6 }, (_, i) =>
    Float64Array.from({ length: 6 }, (_, j) => rows.reduce((sum, row) => sum + row[i]! * row[j]!, 0)),
  );
  const lower = factorOf(matrix);
  for (const [i, a] of lower.entries()) {
    for (const [j, b] of lower.entries()) expect(dot(a, b)).toBeCloseTo(matrix[i]![j]!, 10);
  }
  const y = rows[0]!;
  const x = solveLower(lower, y);
  for (const [i, row] of lower.entries()) expect(dot(row, x)).toBeCloseTo(y[i]!, 10);
});

describe('a shrunk covariance', () => {
  test('is what scikit-learn makes of the rows', () => {
    const { rows, covariance } = golden;
    const found = shrunkCovariance(rows.map((row) => Float64Array.from(row)));
    for (const [i, row] of covariance.entries()) {
      for (const [j, value] of row.entries()) expect(found[i]![j]).toBeCloseTo(value, 12);
    }
  });

  test('nears the sample for many rows, and has an inverse for one', () => {
    const many = random(4000, 3, 'many').map((row) => Float64Array.from([row[0]!, 2 * row[1]!, row[2]! + row[1]!]));
    const found = shrunkCovariance(many);
    expect(found[1]![1]).toBeCloseTo(4, 0);
    expect(found[1]![2]).toBeCloseTo(2, 0);
    expect(factorOf(shrunkCovariance([new Float64Array(3)])).every((row, i) => row[i]! > 0)).toBe(true);
  });
});
