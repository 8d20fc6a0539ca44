import { describe, expect, test } from 'vitest';
import { type Act, budgetOf, isLook, nextActs, shareUsed } from './budget.ts';
import { type Candidate, front } from './guard.ts';
import { type CurvePoint, choose } from './search.ts';

describe('a budget', () => {
  test('is read from percent of perplexity and points of accuracy', () => {
    expect(budgetOf({})).toBeUndefined();
    const budget = budgetOf({ forget: { generalText: '3%', suite: 2 } })!;
    expect(budget.generalText).toBeCloseTo(Math.log(1.03), 12);
    expect(budget.suite).toBeCloseTo(0.02, 12);
    const start = { generalText: 3, suite: 0.7 };
    expect(shareUsed(budget, start, { generalText: 3 + Math.log(1.03), suite: 0.7 })).toBeCloseTo(1, 9);
    expect(shareUsed(budget, start, { generalText: 3, suite: 0.66 })).toBeCloseTo(2, 9);
  });
});

describe('what the trainer does', () => {
  test('comes in its order, and not while forgetting falls', () => {
    const acts: Act[] = [];
    const course = [0.2, 0.6, 0.8, 0.9, 1.2, 1.1, 1.0, 1.5, 1.6, 1.7];
    const said = course.map((used, i) => {
      const next = nextActs(used, course[i - 1], acts);
      acts.push(...next);
      return next.join(' ');
    });
    expect(said).toEqual(['', 'replay', 'kl', '', 'rate', 'rate', 'rate', 'stop', 'stop', 'stop']);
    expect(nextActs(0.8, 1, ['replay'])).toEqual([]);
  });

  test('is replay and penalty at once where the budget is spent already', () => {
    expect(nextActs(3, 0, [])).toEqual(['replay', 'kl']);
    expect(nextActs(3, 0, ['replay'])).toEqual(['kl']);
    expect(nextActs(3, 3, ['replay', 'kl'])).toEqual(['rate']);
  });

  test('is considered after 1, 2, 4, 8 steps, before any evaluation', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 24].filter(isLook)).toEqual([1, 2, 4, 8, 16]);
  });
});

const candidate = (step: number, loss: number, generalText: number): Candidate => ({ step, loss, generalText });

describe('the candidates', () => {
  test('are those that no other beats', () => {
    const all = [candidate(1, 2, 3), candidate(2, 1, 3.2), candidate(3, 1.5, 3.3), candidate(4, 1, 3.2)];
    expect(front(all).map(({ step }) => step)).toEqual([1, 2]);
  });

  test('give the lowest loss within the budget, or else the least forgetting', () => {
    const point = (loss: number, used: number): CurvePoint => ({ step: 1, strength: 1, loss, used, generalText: used });
    expect(choose([point(1, 1.2), point(1.5, 0.9), point(1.7, 0.2)])).toMatchObject({ loss: 1.5 });
    expect(choose([point(1, 3), point(1.5, 1.1)])).toMatchObject({ used: 1.1 });
    expect(choose([])).toBeUndefined();
  });
});
