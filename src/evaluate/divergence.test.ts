import { describe, expect, it } from 'vitest';
import { divergence } from './divergence.ts';

describe('divergence', () => {
  it('is the closed form for two outcomes', () => {
    const logits = (p: number) => Float32Array.of(Math.log(p) + 3, Math.log(1 - p) + 3);
    expect(divergence(logits(0.2), logits(0.6))).toBeCloseTo(0.2 * Math.log(0.2 / 0.6) + 0.8 * Math.log(0.8 / 0.4), 6);
  });

  it('is 0 of a distribution from itself, and never below', () => {
    const logits = Float32Array.of(1, -2, 30, 4);
    expect(divergence(logits, logits)).toBe(0);
  });
});
