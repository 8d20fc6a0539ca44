import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { automaticPeakRate, learningRate, type Schedule, type ScheduleOptions, stepsOf } from './schedule.ts';

type Golden = Omit<ScheduleOptions, 'peak' | 'step'> & { schedule: Schedule; theirs: string; rates: number[] };

/** Shares of the peak at each value of transformers' counter, which is 0 at the first step. */
const GOLDENS = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../test/golden/optimisers/schedules.json'), 'utf8'),
) as Golden[];
const SCHEDULES: readonly Schedule[] = ['constant', 'linear', 'cosine', 'wsd', 'inverse-sqrt'];

describe('learningRate', () => {
  test.each(GOLDENS.map((golden, i) => [`${golden.theirs} (${i})`, golden] as const))(
    'is that of transformers after the warm-up, one step ahead within it: %s',
    (_name, { schedule, rates, ...options }) => {
      for (let step = 1; step <= options.totalSteps; step++) {
        const inWarmup = step < options.warmupSteps;
        // wsd of transformers warms up from the floor, not from 0.
        if (inWarmup && schedule === 'wsd' && options.floor !== 0) continue;
        const expected = step === options.warmupSteps ? 1 : rates[inWarmup ? step : step - 1]!;
        expect(learningRate(schedule, { ...options, peak: 1, step }), `step ${step}`).toBeCloseTo(expected, 12);
      }
    },
  );

  test('the goldens have every schedule', () => {
    expect(new Set(GOLDENS.map(({ schedule }) => schedule))).toEqual(new Set(SCHEDULES));
  });

  test.each(SCHEDULES)('%s is never 0, never above the peak, and does not rise after the warm-up', (schedule) => {
    const steps = fc.integer({ min: 1, max: 300 });
    const part = fc.integer({ min: 0, max: 60 });
    fc.assert(
      fc.property(steps, part, part, fc.double({ min: 0, max: 0.9, noNaN: true }), (total, warm, decaySteps, floor) => {
        const options = { peak: 2, warmupSteps: Math.min(warm, total), totalSteps: total, decaySteps, floor };
        let last = 2;
        for (let step = 1; step <= total; step++) {
          const rate = learningRate(schedule, { ...options, step });
          expect(rate).toBeGreaterThan(0);
          expect(rate).toBeLessThanOrEqual(step > options.warmupSteps ? last : 2);
          if (step > options.warmupSteps) last = rate;
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

test('a part of the run counts steps, or is a share rounded up', () => {
  expect(stepsOf(0, 100)).toBe(0);
  expect(stepsOf(0.03, 100)).toBe(3);
  expect(stepsOf(0.03, 101)).toBe(4);
  expect(stepsOf(0.1, 3)).toBe(1);
  expect(stepsOf(5, 100)).toBe(5);
  expect(stepsOf(500, 100)).toBe(100);
});

test('the automatic rate is that of the design page', () => {
  expect(automaticPeakRate('lora', 576)).toBeCloseTo(1.3e-3, 4);
  expect(automaticPeakRate('lora', 4096)).toBeCloseTo(2.9e-4, 5);
  expect(automaticPeakRate('full', 576)).toBeCloseTo(automaticPeakRate('lora', 576) / 10, 12);
});
