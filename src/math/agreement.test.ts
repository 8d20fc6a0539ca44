import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { krippendorffAlpha } from './agreement.ts';

// Four observers, twelve units, as Krippendorff (2011) prints them; 0 stands for a value that is missing.
const PUBLISHED = [
  [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
  [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
  [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
  [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
];
const units = Array.from({ length: 12 }, (_, i) => PUBLISHED.map((row) => row[i]!).filter((value) => value > 0));

describe('krippendorffAlpha', () => {
  it.each([
    ['nominal', 0.743],
    ['ordinal', 0.815],
    ['interval', 0.849],
  ] as const)('gives the published %s value', (level, published) => {
    expect(krippendorffAlpha(units, level)).toBeCloseTo(published, 3);
  });

  it('is 1 where all agree, 0 where they agree as dice do, and unknown where nothing can be told', () => {
    expect(
      krippendorffAlpha(
        [
          [1, 1],
          [2, 2, 2],
          [3, 3],
        ],
        'nominal',
      ),
    ).toBe(1);
    const dice = [0, 1].flatMap((a) => [0, 1].flatMap((b) => Array.from({ length: 2500 }, () => [a, b])));
    expect(krippendorffAlpha(dice, 'nominal')).toBeCloseTo(0, 3);
    expect(
      krippendorffAlpha(
        [
          [1, 2],
          [2, 1],
        ],
        'nominal',
      ),
    ).toBeLessThan(0);
    expect(krippendorffAlpha([[1], [2]], 'nominal')).toBeUndefined();
    expect(
      krippendorffAlpha(
        [
          [1, 1],
          [1, 1],
        ],
        'nominal',
      ),
    ).toBeUndefined();
  });

  it('does not depend on the order of raters and units', () => {
    const some = fc.array(fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 }), { maxLength: 8 });
    fc.assert(
      fc.property(some, fc.constantFrom('nominal', 'ordinal', 'interval'), (given, level) => {
        const turned = given.map((unit) => [...unit].reverse()).reverse();
        const [one, other] = [krippendorffAlpha(given, level), krippendorffAlpha(turned, level)];
        expect(one === undefined).toBe(other === undefined);
        if (one !== undefined) expect(one).toBeCloseTo(other!, 9);
      }),
    );
  });
});
