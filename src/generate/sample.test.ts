import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GREEDY, type Sampling, sampleToken } from './sample.ts';

const LOGITS = Float32Array.of(1, 3, 2.5, -1, 0, 2);
const draws = (sampling: Partial<Sampling>, logits = LOGITS, n = 4000, before: number[] = []) => {
  const counts = new Array<number>(logits.length).fill(0);
  for (let token = 0; token < n; token++) {
    counts[sampleToken(logits, before, { ...GREEDY, temperature: 1, ...sampling }, { prompt: 0, token })]!++;
  }
  return counts.map((c) => c / n);
};
const softmax = (scores: number[]) => {
  const e = scores.map((s) => Math.exp(s));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((x) => x / sum);
};
const expectNear = (actual: number[], expected: number[]) => {
  for (const [i, p] of expected.entries()) expect(Math.abs(actual[i]! - p)).toBeLessThan(0.03);
};

describe('sampleToken', () => {
  it('takes the most likely token at temperature 0', () => {
    expect(sampleToken(LOGITS, [], GREEDY, { prompt: 0, token: 0 })).toBe(1);
  });

  it('draws tokens with their probabilities, sharper at a low temperature', () => {
    expectNear(draws({}), softmax([...LOGITS]));
    expectNear(draws({ temperature: 0.5 }), softmax([...LOGITS].map((x) => x * 2)));
  });

  it('keeps the k most likely tokens', () => {
    expectNear(draws({ topK: 2 }), [0, ...softmax([3, 2.5]), 0, 0, 0]);
  });

  it('keeps the fewest tokens that reach the share top-p', () => {
    const [a, b] = softmax([...LOGITS]).toSorted((x, y) => y - x) as [number, number];
    expect(draws({ topP: a + b - 1e-3 }).filter((p) => p > 0)).toHaveLength(2);
    expect(draws({ topP: a + b + 1e-3 }).filter((p) => p > 0)).toHaveLength(3);
    expect(draws({ topP: 1e-9 }).filter((p) => p > 0)).toHaveLength(1);
  });

  it('keeps tokens at least min-p as likely as the most likely', () => {
    expect(draws({ minP: Math.exp(-0.6) })).toEqual([0, expect.any(Number), expect.any(Number), 0, 0, 0]);
  });

  it('makes tokens that stand before less likely, by sign of their logit', () => {
    const before = [1, 3];
    const penalised = [1, 3 / 2, 2.5, -2, 0, 2];
    expectNear(draws({ repetitionPenalty: 2 }, LOGITS, 4000, before), softmax(penalised));
    expect(sampleToken(LOGITS, before, { ...GREEDY, repetitionPenalty: 2 }, { prompt: 0, token: 0 })).toBe(2);
  });

  it('is a function of seed, prompt and token', () => {
    const run = (seed: number, prompt: number) =>
      Array.from({ length: 30 }, (_, token) =>
        sampleToken(LOGITS, [], { ...GREEDY, temperature: 1, seed }, { prompt, token }),
      );
    expect(run(1, 0)).toEqual(run(1, 0));
    expect(run(1, 0)).not.toEqual(run(2, 0));
    expect(run(1, 0)).not.toEqual(run(1, 1));
  });

  it('chooses only tokens that every filter alone would keep, whatever the logits', () => {
    const logit = fc.float({ min: -30, max: 30, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(logit, { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 0, max: 70 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(1000),
        (values, topK, topP, minP, token) => {
          const logits = Float32Array.from(values);
          const sampling = { ...GREEDY, temperature: 0.8, topK, topP, minP };
          const id = sampleToken(logits, [], sampling, { prompt: 0, token });
          const better = logits.filter((x) => x > logits[id]!);
          const p = softmax([...logits].map((x) => x / 0.8));
          if (topK > 0) expect(better.length).toBeLessThan(topK);
          expect(p[id]! / Math.max(...p)).toBeGreaterThanOrEqual(minP * (1 - 1e-9));
          if (topK === 0) {
            const mass = p.filter((x) => x > p[id]! * (1 + 1e-9)).reduce((a, b) => a + b, 0);
            expect(mass).toBeLessThan(topP + 1e-9);
          }
        },
      ),
    );
  });
});
