import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { epochOrder, stepRows, totalSteps } from './order.ts';

describe('the order of steps', () => {
  const take = <T>(n: number, values: Iterable<T>): T[] => {
    const out: T[] = [];
    for (const v of values) if (out.push(v) === n) break;
    return out;
  };

  test('each epoch holds every row once; the last partial batch is a step', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 9 }),
        fc.nat(),
        fc.boolean(),
        (rows, batch, seed, shuffle) => {
          const perEpoch = Math.ceil(rows / batch);
          const steps = take(perEpoch * 3, stepRows({ rows, batch, seed, shuffle }));
          for (const epoch of [0, 1, 2]) {
            const own = steps.filter((s) => s.epoch === epoch);
            expect(own).toHaveLength(perEpoch);
            expect(own.flatMap((s) => s.rows).sort((a, b) => a - b)).toEqual(Array.from({ length: rows }, (_, i) => i));
            expect(own.slice(0, -1).every((s) => s.rows.length === batch)).toBe(true);
          }
        },
      ),
    );
  });

  test('a run resumed at any step sees the same rows', () => {
    const options = { rows: 23, batch: 4, seed: 3, shuffle: true };
    const straight = take(30, stepRows(options));
    for (const from of [1, 2, 6, 7, 13, 20])
      expect(take(10, stepRows(options, from))).toEqual(straight.slice(from - 1, from + 9));
  });

  test('epochs differ when shuffled, and not otherwise', () => {
    const order = (epoch: number, shuffle: boolean) => [...epochOrder({ rows: 30, seed: 1, shuffle }, epoch)];
    expect(order(0, true)).not.toEqual(order(1, true));
    expect(order(0, false)).toEqual(order(1, false));
    expect(order(0, true)).not.toEqual(order(0, false));
  });

  test('the number of steps', () => {
    expect(totalSteps({ rows: 10, batch: 4 }, { epochs: 2 })).toBe(6);
    expect(totalSteps({ rows: 10, batch: 4 }, { epochs: 0.5 })).toBe(2);
    expect(totalSteps({ rows: 40, batch: 4 }, { epochs: 1.1 })).toBe(11);
    expect(totalSteps({ rows: 10, batch: 4 }, { steps: 7 })).toBe(7);
  });
});
