import { expect, test } from 'vitest';
import { fillNormal } from '../../math/random.ts';
import { distanceOf, fitLikeness } from './likeness.ts';

const WIDTH = 12;
/** Two groups far apart along the first coordinate; the second coordinate varies ten times as much as the others. */
const drawn = (count: number, purpose: string) =>
  Array.from({ length: count }, (_, a) => {
    const noise = Float64Array.from(fillNormal(new Float32Array(WIDTH), 0, 1, { seed: 3, purpose, a }));
    return noise.map((x, d) => (d === 0 ? x + (a % 2) * 40 : d === 1 ? 10 * x : x));
  });
const groups = (count: number) => Array.from({ length: count }, (_, i) => i % 2);
const likeness = fitLikeness(drawn(400, 'train'), groups(400));
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

test('what is alike lies at a distance of about 1', () => {
  const distances = drawn(400, 'other').map((state) => distanceOf(likeness, state));
  expect(mean(distances)).toBeGreaterThan(0.9);
  expect(mean(distances)).toBeLessThan(1.15);
});

test('a distance counts in the deviations of its direction, from the nearest group', () => {
  const at = (first: number, second: number, third: number) => {
    const state = new Float64Array(WIDTH);
    state.set([first, second, third]);
    return distanceOf(likeness, state);
  };
  expect(at(0, 10, 0)).toBeLessThan(0.3);
  expect(at(0, 0, 10)).toBeGreaterThan(6);
  expect(at(40, 0, 0)).toBeLessThan(0.3);
  expect(at(20, 0, 0)).toBeGreaterThan(20);
});

test('fewer rows than coordinates suffice', () => {
  const few = fitLikeness(drawn(6, 'few'), groups(6));
  expect(distanceOf(few, drawn(1, 'other')[0]!)).toBeLessThan(1000);
  expect(Number.isFinite(distanceOf(few, new Float64Array(WIDTH)))).toBe(true);
});
