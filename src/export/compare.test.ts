import { expect, test } from 'vitest';
import { compareLogits, isWithin } from './compare.ts';

test('equal logits do not differ', () => {
  const logits = [Float32Array.of(1, 2, 3, 0, -1, 5)];
  const same = { positions: 2, largestLogitDifference: 0, meanKl: 0, topOneAgreement: 1, clearAgreement: 1 };
  expect(compareLogits(logits, logits, 3)).toEqual(same);
});

test('differences are of logits, of distributions, and of what is most likely', () => {
  // (1/2, 1/4, 1/4) against (1/4, 1/2, 1/4), and a row that is only shifted.
  const ln = Math.log;
  const p = [Float32Array.of(ln(2), 0, 0, 1, 2, 3)];
  const q = [Float32Array.of(0, ln(2), 0, 2, 3, 4)];
  const { positions, largestLogitDifference, meanKl, topOneAgreement, clearAgreement } = compareLogits(p, q, 3);
  expect(positions).toBe(2);
  expect(largestLogitDifference).toBe(1);
  expect(meanKl).toBeCloseTo((0.25 * ln(2)) / 2, 6);
  expect(topOneAgreement).toBe(0.5);
  expect(clearAgreement).toBe(0.5);
});

test('what is not a number is never within a limit', () => {
  const difference = compareLogits([Float32Array.of(1, 2)], [Float32Array.of(Number.NaN, 2)], 2);
  expect(isWithin(difference, { meanKl: 1e9, clearAgreement: 0 })).toBe(false);
});

test('near ties count as agreement', () => {
  const found = compareLogits([Float32Array.of(1, 1.05, 0)], [Float32Array.of(1.05, 1, 0)], 3);
  expect(found).toMatchObject({ topOneAgreement: 0, clearAgreement: 1 });
});
