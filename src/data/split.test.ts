import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Row } from './row.ts';
import { groupSimilar } from './similar.ts';
import { splitRows, type Validation } from './split.ts';

const syllables = 'ri sto la clo pa tra gre se qui nor ta gla mu win ap bri'.split(' ');

/** Texts of words drawn by a small generator, so that no two have much in common. */
function text(seed: number, length = 20): string {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return syllables[state >>> 28]! + syllables[(state >>> 24) & 15]!;
  }).join(' ');
}

const row = (line: number, prompt: string, completion: string): Row => ({
  source: { file: 'f', line },
  kind: 'prompt',
  prompt,
  completion,
});
const rowsOf = (n: number): Row[] => Array.from({ length: n }, (_, i) => row(i + 1, text(2 * i), text(2 * i + 1)));
const share = (s: number): Validation => ({ kind: 'share', share: s });
const lines = (rows: readonly Row[]) => rows.map((r) => r.source.line);

describe('groups of similar texts', () => {
  test('small edits, case and spacing keep a text in its group; other texts have their own', () => {
    const base = text(1, 40);
    const texts = [
      base,
      text(2, 40),
      base.toUpperCase(),
      `  ${base.replaceAll(' ', '\n')}!`,
      base.replace(/ \w+ /, ' creek '),
      text(3, 40),
    ];
    expect([...groupSimilar(texts)]).toEqual([0, 1, 0, 0, 0, 2]);
  });

  test('an instruction that opens every row does not make them similar', () => {
    const instruction = text(99, 60);
    const texts = Array.from({ length: 100 }, (_, i) => `${instruction} ${text(i, 12)}`);
    expect(new Set(groupSimilar(texts)).size).toBeGreaterThan(95);
  });

  test('writing without spaces is compared by its characters', () => {
    expect([...groupSimilar(['我想取消我的订单请帮我', '我想取消我的订单请帮忙', '今天天气怎么样你知道吗'])]).toEqual([
      0, 0, 1,
    ]);
  });

  test('empty texts, and one word', () => {
    expect([...groupSimilar(['', 'a', 'b', 'a', ''])]).toEqual([0, 1, 2, 1, 0]);
    expect([...groupSimilar([])]).toEqual([]);
  });
});

describe('splitRows', () => {
  test('every row is in one part, in its order', () => {
    fc.assert(
      fc.property(fc.integer({ min: 20, max: 120 }), fc.nat(), (n, seed) => {
        const rows = rowsOf(n);
        const { train, select, report } = splitRows(rows, { validation: share(0.3), seed });
        expect(lines([...train, ...select, ...report]).sort((a, b) => a - b)).toEqual(lines(rows));
        for (const part of [train, select, report]) expect(lines(part)).toEqual(lines(part).sort((a, b) => a - b));
        expect(select.length + report.length).toBe(Math.round(0.3 * n));
      }),
      { numRuns: 20 },
    );
  });

  test('near-duplicates and equal prompts never straddle', () => {
    const rows = Array.from({ length: 60 }, (_, i) => {
      const [prompt, answer] = [text(i, 20), text(i + 500, 20)];
      return [
        row(3 * i, prompt, answer),
        row(3 * i + 1, prompt, text(i + 900, 20)),
        row(3 * i + 2, `${prompt}?`, `${answer}.`),
      ];
    }).flat();
    for (let seed = 0; seed < 5; seed++) {
      const { train, select, report } = splitRows(rows, { validation: share(0.2), seed });
      const kinds = [train, select, report].map((part) => new Set(lines(part).map((l) => Math.floor(l / 3))));
      expect(kinds.reduce((n, k) => n + k.size, 0)).toBe(60);
      expect(select.length + report.length).toBeGreaterThan(30);
    }
  });

  test('the seed chooses, the same seed chooses the same', () => {
    const rows = rowsOf(100);
    const held = (seed: number) => lines(splitRows(rows, { validation: { kind: 'auto' }, seed }).select);
    expect(held(1)).toEqual(held(1));
    expect(held(1)).not.toEqual(held(2));
  });

  test('the automatic share is a tenth, at most 400, and says where it is small', () => {
    const sizes = (n: number) => {
      const { train, select, report, notes } = splitRows(rowsOf(n), { validation: { kind: 'auto' }, seed: 0 });
      return [train.length, select.length, report.length, notes.length];
    };
    expect(sizes(500)).toEqual([450, 25, 25, 0]);
    expect(sizes(5000)).toEqual([4600, 200, 200, 0]);
    expect(sizes(40)).toEqual([36, 2, 2, 2]);
    expect(sizes(19)).toEqual([19, 0, 0, 1]);
  });

  test('a share that leaves a part empty is refused', () => {
    expect(() => splitRows(rowsOf(5), { validation: share(0.2), seed: 0 })).toThrow(
      expect.objectContaining({ code: 'DATA_SPLIT_TOO_SMALL' }),
    );
  });

  test('rows that are all alike are not held out, and that is said', () => {
    const rows = Array.from({ length: 100 }, (_, i) => row(i, text(1, 30), text(2, 30)));
    const { train, notes } = splitRows(rows, { validation: { kind: 'auto' }, seed: 0 });
    expect(train).toHaveLength(100);
    expect(notes.join()).toContain('near-duplicates');
  });

  test('a file of validation rows is halved, and what is trained too is named', () => {
    const train = rowsOf(50);
    const held = [
      ...Array.from({ length: 40 }, (_, i) => row(i, text(5000 + i), text(6000 + i))),
      { ...train[3]!, source: { file: 'v', line: 41 } },
    ];
    const split = splitRows(train, { validation: { kind: 'rows', rows: held }, seed: 0 });
    expect(split.train).toBe(train);
    expect([split.select.length, split.report.length]).toEqual([21, 20]);
    expect(split.findings).toMatchObject([
      { code: 'DATA_VALID_OVERLAP', severity: 'warning', count: 1, examples: [{ file: 'v', line: 41 }] },
    ]);
  });

  test('none holds nothing out', () => {
    const { train, select, report, notes } = splitRows(rowsOf(30), { validation: { kind: 'none' }, seed: 0 });
    expect([train.length, select.length, report.length, notes.length]).toEqual([30, 0, 0, 1]);
  });
});
