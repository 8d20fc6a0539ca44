import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { normal, uniform } from '../../math/random.ts';
import { calibrate, classProbabilities, fitTemperature, type Judged, thresholdFor } from './calibrate.ts';
import { decide } from './decide.ts';

const logit = fc.double({ min: -30, max: 30, noNaN: true });

/** Rows whose class is drawn from the softmax of their logits, which are then made `factor` times too sure of themselves. */
function drawn(rows: number, factor: number): Omit<Judged, 'distances'> {
  const logits = Array.from({ length: rows }, (_, i) => [0, 1, 2].map((k) => 2 * normal(1, 'logits', i, k)));
  const classes = logits.map((z, i) => {
    const drawn = uniform(2, 'classes', i);
    const p = classProbabilities(z, 'single', 1);
    return [p.findIndex((_, k) => p.slice(0, k + 1).reduce((x, y) => x + y, 0) > drawn)];
  });
  return { kind: 'single', logits: logits.map((z) => z.map((x) => x * factor)), classes };
}

describe('temperature', () => {
  test.each([0.5, 1, 3])('undoes that logits are %s times too large', (factor) => {
    const temperature = fitTemperature(drawn(4000, factor));
    expect(temperature / factor).toBeGreaterThan(0.93);
    expect(temperature / factor).toBeLessThan(1.07);
  });

  test('changes no order of the classes', () => {
    fc.assert(
      fc.property(
        fc.array(logit, { minLength: 2, maxLength: 5 }),
        fc.double({ min: 0.1, max: 10, noNaN: true }),
        (z, t) => {
          const p = classProbabilities(z, 'single', t);
          expect(p.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 9);
          for (const [i, a] of z.entries())
            for (const [j, b] of z.entries()) if (a > b) expect(p[i]).toBeGreaterThanOrEqual(p[j]!);
        },
      ),
    );
  });
});

describe('thresholds', () => {
  test('are the lowest that hold the precision', () => {
    const asserted = [0.9, 0.8, 0.7, 0.6, 0.5].map((p, i) => ({ p, isRight: i !== 2 }));
    expect(thresholdFor(asserted, 0.99)).toBe(0.8);
    expect(thresholdFor(asserted, 0.8)).toBe(0.5);
    expect(thresholdFor([{ p: 0.9, isRight: false }], 0.5)).toBeNull();
    expect(thresholdFor([], 0.5)).toBeNull();
  });

  test('hold the precision on the rows that they were chosen on', () => {
    const item = fc.record({ p: fc.integer({ min: 0, max: 20 }).map((n) => n / 20), isRight: fc.boolean() });
    fc.assert(
      fc.property(fc.array(item), fc.double({ min: 0.01, max: 0.99, noNaN: true }), (asserted, precision) => {
        const threshold = thresholdFor(asserted, precision);
        if (threshold === null) return;
        const above = asserted.filter(({ p }) => p >= threshold);
        expect(above.filter(({ isRight }) => isRight).length / above.length).toBeGreaterThanOrEqual(precision);
      }),
    );
  });
});

describe('none of these', () => {
  test('is what lies further off than all but 2 % of the validation rows', () => {
    const logits = Array.from({ length: 100 }, (_, i) => [i % 2, 1 - (i % 2)]);
    const classes = logits.map((z) => [z.indexOf(1)]);
    const distances = logits.map((_, i) => 1 + i / 100);
    const calibration = calibrate({ kind: 'single', logits, classes, distances }, 0.9)!;
    const flagged = distances.filter((d) => decide([0, 1], 'single', calibration, d).isNone === true);
    expect(flagged).toEqual([1.98, 1.99]);
    expect(decide([0, 9], 'single', calibration, 7)).toMatchObject({ isNone: true, chosen: [], confident: [] });
    expect(decide([0, 9], 'single', calibration, 1)).toMatchObject({ isNone: false, chosen: [1] });
  });

  test('is not said where too few rows were held out', () => {
    expect(calibrate({ kind: 'single', logits: [[1, 2]], classes: [[1]], distances: [1] }, 0.9)).toBeUndefined();
    expect(decide([1, 2], 'single', null)).toEqual({
      probabilities: classProbabilities([1, 2], 'single', 1),
      chosen: [1],
      confident: undefined,
      isNone: undefined,
    });
  });
});
