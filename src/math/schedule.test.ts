import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { automaticPeakRate, learningRate, type Schedule, warmupSteps } from './schedule.ts';

/** transformers' lambdas, by their counter, which is 0 at the first step. */
const transformers: Record<Schedule, (c: number, warmup: number, total: number) => number> = {
  constant: (c, w) => (c < w ? c / Math.max(1, w) : 1),
  linear: (c, w, t) => (c < w ? c / Math.max(1, w) : Math.max(0, (t - c) / Math.max(1, t - w))),
  cosine: (c, w, t) =>
    c < w ? c / Math.max(1, w) : Math.max(0, 0.5 * (1 + Math.cos((Math.PI * (c - w)) / Math.max(1, t - w)))),
};
const schedules: readonly Schedule[] = ['constant', 'linear', 'cosine'];

describe('learningRate', () => {
  test.each(schedules)('%s is that of transformers after the warm-up, one step ahead within it', (schedule) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 0, max: 60 }), (total, warm) => {
        const w = Math.min(warm, total);
        for (let step = 1; step <= total; step++) {
          const counter = step <= w ? step : step - 1;
          const expected = step === w ? 1 : transformers[schedule](counter, w, total);
          const rate = learningRate(schedule, { peak: 1, warmupSteps: w, totalSteps: total, step });
          expect(rate).toBeCloseTo(expected, 12);
          expect(rate).toBeGreaterThan(0);
        }
      }),
      { numRuns: 30 },
    );
  });

  test('a linear run of four steps with one of warm-up', () => {
    const rates = [1, 2, 3, 4].map((step) => learningRate('linear', { peak: 3, warmupSteps: 1, totalSteps: 4, step }));
    expect(rates).toEqual([3, 3, 2, 1].map((r) => expect.closeTo(r, 12)));
  });
});

test('warm-up counts steps, or is a share rounded up', () => {
  expect(warmupSteps(0, 100)).toBe(0);
  expect(warmupSteps(0.03, 100)).toBe(3);
  expect(warmupSteps(0.03, 101)).toBe(4);
  expect(warmupSteps(0.1, 3)).toBe(1);
  expect(warmupSteps(5, 100)).toBe(5);
  expect(warmupSteps(500, 100)).toBe(100);
});

test('the automatic rate is that of the design page', () => {
  expect(automaticPeakRate('lora', 576)).toBeCloseTo(1.3e-3, 4);
  expect(automaticPeakRate('lora', 4096)).toBeCloseTo(2.9e-4, 5);
  expect(automaticPeakRate('full', 576)).toBeCloseTo(automaticPeakRate('lora', 576) / 10, 12);
});
