import { describe, expect, test } from 'vitest';
import { inverseFrequencies, ropeTables } from './rope.ts';

const llama3 = { kind: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 64 } as const;

describe('rotary tables', () => {
  test('keep the highest frequency and divide the lowest by the factor of llama3', () => {
    const plain = inverseFrequencies({ theta: 500_000, scaling: { kind: 'none' } }, 64);
    const scaled = inverseFrequencies({ theta: 500_000, scaling: llama3 }, 64);
    expect(scaled[0]).toBe(plain[0]);
    expect(scaled.at(-1)).toBeCloseTo(plain.at(-1)! / 8, 12);
  });

  test('give with the factors of a GGUF file what the scaling that made them gives', () => {
    const plain = inverseFrequencies({ theta: 500_000, scaling: { kind: 'none' } }, 16);
    const scaled = inverseFrequencies({ theta: 500_000, scaling: llama3 }, 16);
    const factors = [...plain].map((frequency, i) => frequency / scaled[i]!);
    const again = inverseFrequencies({ theta: 500_000, scaling: { kind: 'factors', factors, attentionFactor: 1 } }, 16);
    for (const [i, frequency] of again.entries()) expect(frequency).toBeCloseTo(scaled[i]!, 8);
  });

  test('turn nothing at position 0 and by one frequency at position 1', () => {
    const rope = { theta: 10_000, scaling: { kind: 'none' } } as const;
    const { cos, sin } = ropeTables(rope, 4, Int32Array.of(0, 1));
    expect([...cos.subarray(0, 2), ...sin.subarray(0, 2)]).toEqual([1, 1, 0, 0]);
    expect(sin[2]).toBeCloseTo(Math.sin(1), 6);
  });
});
