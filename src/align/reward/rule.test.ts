import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rewardFigures, rewardWarnings } from './figures.ts';
import { gatherRewards, rewardRule } from './rule.ts';

const reward = fc.double({ min: -5, max: 5, noNaN: true });
const H = 1e-5;

describe('the loss of rewards', () => {
  test('has the derivatives of its value, for pairs with a margin, for lists, and with centring', () => {
    const rewards = fc.array(reward, { minLength: 2, maxLength: 6 });
    const margin = fc.double({ min: -1, max: 2, noNaN: true });
    const center = fc.double({ min: 0.001, max: 0.5, noNaN: true });
    fc.assert(
      fc.property(rewards, margin, center, (given, by, weight) => {
        const at = (own: readonly number[]) => rewardRule(own, by, { center: weight });
        for (const [i, slope] of at(given).slopes.entries()) {
          const moved = (h: number) => at(given.map((r, j) => (i === j ? r + h : r))).loss;
          expect(Math.abs((moved(H) - moved(-H)) / (2 * H) - slope)).toBeLessThan(1e-5 * Math.max(1, Math.abs(slope)));
        }
      }),
    );
  });

  test('of a list of two is that of a pair, and of equal rewards the chance of the ranking', () => {
    const pair = rewardRule([0.7, -0.2], 0, {});
    const log = (x: number) => Math.log(x);
    expect(pair.loss).toBeCloseTo(-log(1 / (1 + Math.exp(-0.9))), 14);
    expect(rewardRule([1, 1, 1, 1], 0, {}).loss).toBeCloseTo(log(24), 12);
    expect(rewardRule([3, 2, -1], 0, {})).toMatchObject({ pairs: 3, right: 3 });
    expect(rewardRule([1, 2], 0, {}).right).toBe(0);
  });

  test('is a mean over rows, of which each counts once', () => {
    const totals = gatherRewards();
    for (const row of [
      [1, 0],
      [2, 1, 0],
    ])
      totals.add(row, rewardRule(row, 0, {}));
    const { loss, metrics } = totals.result();
    expect(loss).toBeCloseTo((rewardRule([1, 0], 0, {}).loss + rewardRule([2, 1, 0], 0, {}).loss) / 2, 12);
    expect(metrics).toMatchObject({ min_reward: 0, max_reward: 2, accuracy: 1 });
  });
});

describe('the figures of a reward model', () => {
  const rows = (count: number, one: (i: number) => { rewards: number[]; lengths: number[] }) =>
    Array.from({ length: count }, (_, i) => one(i));

  test('count every pair within a row', () => {
    const figures = rewardFigures([{ rewards: [3, 1, 2], lengths: [5, 5, 5] }]);
    expect(figures).toMatchObject({ pairs: 3, accuracy: 2 / 3, length: { pairs: 0, preferred: null, rewarded: null } });
  });

  test('tell of rewards that guess', () => {
    const guess = rewardFigures(rows(40, (i) => ({ rewards: [i % 2, 0.5], lengths: [4, 4] })));
    expect(guess.accuracy).toBe(0.5);
    expect(rewardWarnings(guess).map(({ code }) => code)).toEqual(['REWARD_GUESSES']);
  });

  test('tell of rewards that follow the length where people did not', () => {
    // People preferred the longer answer in half of the pairs, the rewards in nine of ten.
    const leaning = rows(200, (i) => {
      const isLonger = i % 2 === 0;
      const followed = i % 10 !== 1;
      return { lengths: isLonger ? [9, 3] : [3, 9], rewards: isLonger === followed ? [1, 0] : [0, 1] };
    });
    const figures = rewardFigures(leaning);
    expect(figures.length.preferred).toBe(0.5);
    expect(figures.length.correlation).toBeGreaterThan(0.5);
    expect(rewardWarnings(figures).map(({ code }) => code)).toContain('REWARD_LENGTH');
    const fair = rewardFigures(rows(200, (i) => ({ rewards: [1, 0], lengths: i % 2 === 0 ? [9, 3] : [3, 9] })));
    expect(rewardWarnings(fair)).toEqual([]);
  });
});
