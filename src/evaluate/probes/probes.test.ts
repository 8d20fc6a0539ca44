import { describe, expect, it } from 'vitest';
import { probeItems } from './index.ts';

const probes = Object.entries(probeItems());

describe('probes', () => {
  it('are at least 1,000 items, no two alike', () => {
    const all = probes.flatMap(([, items]) => items.map(({ context, choices }) => JSON.stringify([context, choices])));
    expect(all.length).toBeGreaterThanOrEqual(1000);
    expect(all.filter((item, i) => all.indexOf(item) !== i)).toEqual([]);
  });

  it.each(probes)('%s: choices differ, one is right, and no place is favoured', (_, items) => {
    const firsts = items.filter(({ gold }) => gold === 0).length;
    for (const { choices, gold } of items) {
      expect(new Set(choices).size).toBe(choices.length);
      expect(choices[gold]).toBeDefined();
      expect(choices.every((choice) => choice.trim() !== '')).toBe(true);
    }
    expect(firsts / items.length).toBeLessThan(0.55);
  });

  it('arithmetic is right', () => {
    for (const { context, choices, gold } of probeItems().arithmetic) {
      const [, a, sign, b] = /(\d+) ([+x-]) (\d+) =$/.exec(context) ?? [];
      if (sign === undefined) continue;
      const right = sign === '+' ? Number(a) + Number(b) : sign === '-' ? Number(a) - Number(b) : Number(a) * Number(b);
      expect(Number(choices[gold]), context).toBe(right);
    }
  });
});
