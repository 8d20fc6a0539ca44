import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { supervisedTokens } from '../text/example.ts';
import { cutDocument, packBlocks } from './blocks.ts';

describe('blocks of documents', () => {
  test('predict every token but the first, once', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50), { minLength: 2 }), fc.integer({ min: 2, max: 9 }), (list, length) => {
        const ids = Int32Array.from(list);
        const pieces = cutDocument({ ids, labels: ids.slice() }, length);
        expect(pieces.every((piece) => piece.ids.length <= length)).toBe(true);
        expect(pieces.reduce((n, piece) => n + supervisedTokens(piece), 0)).toBe(ids.length - 1);
        expect([ids[0], ...pieces.flatMap((piece) => [...piece.labels.subarray(1)])]).toEqual(list);
      }),
    );
  });

  test('hold every piece once, and no more tokens than they may', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 })), fc.integer({ min: 20, max: 40 }), (lengths, length) => {
        const blocks = packBlocks(lengths, length);
        expect(blocks.flat().sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
        const tokens = blocks.map((block) => block.reduce((n, i) => n + lengths[i]!, 0));
        expect(tokens.every((n) => n <= length)).toBe(true);
        // Two blocks that fit into one would have become one.
        expect(tokens.filter((n) => 2 * n <= length).length).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('are filled by what fits best', () => {
    expect(packBlocks([3, 7, 5, 10, 2], 10)).toEqual([[0, 1], [2, 4], [3]]);
    expect(packBlocks([], 10)).toEqual([]);
  });
});
