import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openScratch } from './scratch.ts';

const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });

describe('scratch', () => {
  it('gives back records by heap and in order, whether they were on the disk or not', () => {
    const records = fc.array(fc.tuple(fc.integer({ min: 0, max: 2 }), word, word), { maxLength: 1500 });
    fc.assert(
      fc.property(records, fc.integer({ min: 0, max: 20_000 }), (given, budget) => {
        const scratch = openScratch(budget);
        try {
          const table = scratch.table(2, 3);
          for (const [heap, a, b] of given) table.push(heap, a, b);
          for (const heap of [0, 1, 2]) {
            const wanted = given.flatMap(([own, a, b]) => (own === heap ? [a, b] : []));
            expect([...table.part(heap)]).toEqual(wanted);
            expect([...table.pieces(heap)].flatMap((piece) => [...piece])).toEqual(wanted);
          }
        } finally {
          scratch.close();
        }
      }),
      { numRuns: 50 },
    );
  });

  it('gives back lists and texts of any length', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 400 });
    fc.assert(
      fc.property(fc.array(text, { maxLength: 200 }), fc.constantFrom(0, 2 ** 21, 2 ** 24), (texts, budget) => {
        const scratch = openScratch(budget);
        try {
          const lists = scratch.lists();
          const long = new Int32Array(300_000).fill(7);
          const places = texts.map((given) => lists.addText(given));
          const at = lists.add(long);
          const more = texts.map((given) => lists.addText(given));
          expect([...places, ...more].map((place) => lists.textAt(place))).toEqual([...texts, ...texts]);
          expect(lists.at(at).every((value) => value === 7)).toBe(true);
          expect(lists.at(at)).toHaveLength(long.length);
        } finally {
          scratch.close();
        }
      }),
      { numRuns: 20 },
    );
  });

  it('leaves nothing behind', () => {
    const scratch = openScratch(0);
    const table = scratch.table(1);
    for (let i = 0; i < 10_000; i++) table.push(0, i);
    expect(scratch.written()).toBeGreaterThan(0);
    scratch.close();
  });
});
