import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fillDropout, fillNormal, fillUniform, normal, permutation, threefry2x32, uniform } from './random.ts';
import { mean, standardDeviation } from './stats.ts';

const stream = { seed: 7, purpose: 'test' };

describe('threefry2x32', () => {
  // Known answers of the Random123 distribution (kat_vectors, threefry2x32 20 rounds).
  test.each([
    [0, 0, 0, 0, 0x6b200159, 0x99ba4efe],
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x1cb996fc, 0xbb002be7],
    [0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3, 0xc4923a9c, 0x483df7a0],
  ])('gives the published answer (%#)', (k0, k1, c0, c1, x, y) => {
    const out = new Uint32Array(2);
    threefry2x32(k0, k1, c0, c1, out);
    expect([...out]).toEqual([x, y]);
  });
});

describe('uniform', () => {
  test('is uniform, and uncorrelated with its neighbours, along every argument', () => {
    const n = 20_000;
    const along = [
      (i: number) => uniform(i, 'test'),
      (i: number) => uniform(i * 2 ** 32, 'test'),
      (i: number) => uniform(0, `test/${i}`),
      (i: number) => uniform(0, 'test', i),
      (i: number) => uniform(0, 'test', 3, i),
    ];
    for (const draw of along) {
      const values = Array.from({ length: n }, (_, i) => draw(i));
      const buckets = new Array<number>(64).fill(0);
      for (const v of values) buckets[Math.floor(v * 64)]!++;
      const chi2 = buckets.reduce((s, c) => s + (c - n / 64) ** 2 / (n / 64), 0);
      expect(chi2).toBeLessThan(63 + 5 * Math.sqrt(2 * 63));
      const lag = mean(values.slice(1).map((v, i) => (v - 0.5) * (values[i]! - 0.5))) * 12;
      expect(Math.abs(lag)).toBeLessThan(5 / Math.sqrt(n));
    }
  });

  test('depends on each argument and on nothing else', () => {
    const values = [uniform(1, 'x', 2, 3), uniform(2, 'x', 2, 3), uniform(1, 'y', 2, 3), uniform(1, 'x', 3, 2)];
    expect(new Set(values).size).toBe(4);
    expect(uniform(1, 'x', 2, 3)).toBe(values[0]);
  });
});

describe('permutation', () => {
  test('holds every index once', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat({ max: 300 }), (seed, n) => {
        expect([...permutation(seed, 'p', 1, n)].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
      }),
    );
  });

  test('all orders of four come equally often', () => {
    const counts = new Map<string, number>();
    const n = 24_000;
    for (let e = 0; e < n; e++) {
      const key = permutation(5, 'p', e, 4).join('');
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    const chi2 = [...counts.values()].reduce((s, c) => s + (c - n / 24) ** 2 / (n / 24), 0);
    expect(chi2).toBeLessThan(23 + 5 * Math.sqrt(2 * 23));
  });
});

describe('fills', () => {
  test('uniform numbers stay in range with the right moments', () => {
    const values = [...fillUniform(new Float32Array(50_001), -2, 3, stream)];
    expect(Math.min(...values.slice(0, 1000))).toBeGreaterThanOrEqual(-2);
    expect(values.every((v) => v >= -2 && v <= 3)).toBe(true);
    expect(mean(values)).toBeCloseTo(0.5, 1);
    expect(standardDeviation(values)).toBeCloseTo(5 / Math.sqrt(12), 1);
  });

  test('normal numbers have the right moments and tails', () => {
    const n = 100_001;
    const values = [...fillNormal(new Float32Array(n), 0, 1, stream)];
    expect(Math.abs(mean(values))).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(standardDeviation(values) - 1)).toBeLessThan(5 / Math.sqrt(2 * n));
    expect(Math.abs(mean(values.map((v) => v ** 4)) - 3)).toBeLessThan(5 * Math.sqrt(96 / n));
    const beyond2 = values.filter((v) => Math.abs(v) > 1.959964).length / n;
    expect(Math.abs(beyond2 - 0.05)).toBeLessThan(0.004);
    expect(values.every(Number.isFinite)).toBe(true);
    expect(Number.isFinite(normal(1, 'x'))).toBe(true);
  });

  test('a dropout mask drops its share and keeps the mean at one', () => {
    for (const share of [0.05, 0.1, 0.5, 0.9]) {
      const n = 100_003;
      const mask = fillDropout(new Float32Array(n), share, stream);
      const dropped = mask.filter((v) => v === 0).length / n;
      expect(Math.abs(dropped - share)).toBeLessThan(5 * Math.sqrt((share * (1 - share)) / n) + 1e-5);
      expect(mean([...mask])).toBeCloseTo(1, 1);
    }
    expect([...fillDropout(new Float32Array(3), 0, stream)]).toEqual([1, 1, 1]);
  });

  test('a longer fill starts with the shorter one, and another step gives another mask', () => {
    const short = fillDropout(new Float32Array(10), 0.5, { ...stream, a: 1 });
    expect([...fillDropout(new Float32Array(64), 0.5, { ...stream, a: 1 }).subarray(0, 10)]).toEqual([...short]);
    expect([...fillDropout(new Float32Array(64), 0.5, { ...stream, a: 2 })]).not.toEqual([
      ...fillDropout(new Float32Array(64), 0.5, { ...stream, a: 1 }),
    ]);
  });
});
