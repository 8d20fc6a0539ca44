import { expect, test } from 'vitest';
import { mean, median, percentile, standardDeviation, standardError, sum } from './stats.ts';

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

test('the nearest-rank percentile is a value of the list', () => {
  expect(percentile([15, 20, 35, 40, 50], 30)).toBe(20);
  expect(percentile([50, 15, 40, 20, 35], 100)).toBe(50);
  expect(percentile(upTo(199), 99.5)).toBe(199);
  expect(percentile(upTo(200), 99.5)).toBe(199);
  expect(percentile(upTo(1000), 99.5)).toBe(995);
  expect(percentile([], 50)).toBeUndefined();
  expect(median([3, 1, 2])).toBe(2);
});

test('sums keep what plain addition loses', () => {
  expect(sum([1, 1e100, 1, -1e100])).toBe(2);
});

test('mean and deviations', () => {
  expect(mean([1, 2, 3, 4])).toBe(2.5);
  expect(standardDeviation([2, 4, 4, 4, 5, 5, 7, 9])).toBeCloseTo(Math.sqrt(32 / 7), 12);
  expect(standardError([1, 2, 3, 4])).toBeCloseTo(Math.sqrt(5 / 3) / 2, 12);
  expect(mean([])).toBeNaN();
});
