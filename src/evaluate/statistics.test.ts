import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { uniform } from '../math/random.ts';
import {
  bootstrapRatio,
  detectableDifference,
  holm,
  mcnemarExact,
  normalQuantile,
  signFlipTest,
  verdictOf,
} from './statistics.ts';

interface Golden {
  readonly mcnemar: readonly { readonly gained: number; readonly lost: number; readonly p: number }[];
  readonly quantiles: readonly { readonly share: number; readonly x: number }[];
  readonly holm: { readonly p: readonly number[]; readonly corrected: readonly number[] };
}

const golden = JSON.parse(
  readFileSync(new URL('../../test/golden/statistics.json', import.meta.url), 'utf8'),
) as Golden;

describe('statistics', () => {
  it.each(golden.mcnemar)('McNemar is exact for $gained against $lost', ({ gained, lost, p }) => {
    expect(Math.abs(mcnemarExact(gained, lost) - p)).toBeLessThan(1e-9);
    expect(mcnemarExact(lost, gained)).toBe(mcnemarExact(gained, lost));
  });

  it.each(golden.quantiles)('the normal quantile of $share', ({ share, x }) => {
    expect(Math.abs(normalQuantile(share) - x)).toBeLessThan(1e-9);
  });

  it('Holm corrects step by step', () => {
    for (const [i, p] of holm(golden.holm.p).entries()) expect(p).toBeCloseTo(golden.holm.corrected[i]!, 12);
  });

  it('Holm never lowers a p value and keeps the order', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true })), (p) => {
        const corrected = holm(p);
        for (const [i, one] of corrected.entries()) {
          expect(one).toBeGreaterThanOrEqual(p[i]!);
          for (const [j, other] of corrected.entries()) if (p[i]! < p[j]!) expect(one).toBeLessThanOrEqual(other);
        }
      }),
    );
  });

  it('a bootstrap interval of a mean is as wide as theory says, and the same for the same seed', () => {
    const values = Array.from({ length: 400 }, (_, i) => uniform(1, 'test', i));
    const { estimate, low, high } = bootstrapRatio(values);
    const halfWidth = 1.96 * Math.sqrt(1 / 12 / 400);
    expect(low).toBeLessThan(estimate);
    expect(Math.abs((high - low) / 2 / halfWidth - 1)).toBeLessThan(0.1);
    expect(bootstrapRatio(values)).toEqual({ estimate, low, high });
    expect(bootstrapRatio(values, undefined, 1).low).not.toBe(low);
  });

  it('a ratio of sums weighs items by their denominators', () => {
    expect(bootstrapRatio([1, 9], [1, 3]).estimate).toBe(2.5);
    expect(bootstrapRatio([]).estimate).toBeNaN();
  });

  it('sign flips agree with McNemar where differences are -1, 0 and 1', () => {
    const differences = [...Array<number>(12).fill(1), ...Array<number>(30).fill(-1), ...Array<number>(100).fill(0)];
    expect(Math.abs(signFlipTest(differences) - mcnemarExact(12, 30))).toBeLessThan(0.01);
    expect(signFlipTest([0, 0, 0])).toBe(1);
  });

  it('models that are swapped at random are called different in at most 5 %', () => {
    let alarms = 0;
    for (let trial = 0; trial < 1000; trial++) {
      let gained = 0;
      for (let i = 0; i < 60; i++) if (uniform(trial, 'swap', i) < 0.5) gained++;
      if (verdictOf(2 * gained - 60, mcnemarExact(gained, 60 - gained)) !== 'unsure') alarms++;
    }
    expect(alarms).toBeLessThanOrEqual(50);
  });

  it('the detectable difference shrinks with the root of the items', () => {
    expect(detectableDifference(1000)).toBeCloseTo(0.028, 3);
    expect(detectableDifference(4000) / detectableDifference(1000)).toBeCloseTo(0.5, 1);
  });
});
