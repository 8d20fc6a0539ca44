import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { splitHalves, splitTails, type TextRow } from './tails.ts';

const row = (text: string, line = 1): TextRow => ({ kind: 'text', text, source: { file: 'a.txt', line } });
const textOf = (rows: readonly unknown[]) => rows.map((one) => (one as TextRow).text).join('');
const LINES = Array.from({ length: 100 }, (_, i) => `line ${i} of the document\n`).join('');

describe('the ends of documents', () => {
  test('are held out at the ends of lines, half to select and half to report', () => {
    const { train, select, report } = splitTails([row(LINES)], 0.2);
    expect(textOf([...train, ...select, ...report])).toBe(LINES);
    for (const part of [train, select]) expect(textOf(part).endsWith('\n')).toBe(true);
    expect(textOf(train).length).toBeCloseTo(0.8 * LINES.length, -2);
    expect(textOf(report).length).toBeCloseTo(0.1 * LINES.length, -2);
  });

  test('lose no character, whatever the text', () => {
    const text = fc.string({ unit: 'binary', minLength: 200, maxLength: 900 });
    fc.assert(
      fc.property(text, fc.double({ min: 0.01, max: 0.99, noNaN: true }), (t, share) => {
        const { train, select, report } = splitTails([row(t)], share);
        const parts = [...train, ...select, ...report] as TextRow[];
        expect(textOf(parts)).toBe(t);
        expect(parts.every((part) => part.text.isWellFormed())).toBe(true);
      }),
    );
  });

  test('are no more in all than they may be, and none of short documents', () => {
    const { select, report } = splitTails([row(LINES), row(LINES, 2), row('short')], 0.5, 800);
    expect(select.length).toBe(2);
    expect(textOf([...select, ...report]).length).toBeLessThan(1100);
  });

  test('held-out documents are cut in two', () => {
    const { select, report } = splitHalves([row(LINES), row('short')]);
    expect(select.map((one) => (one as TextRow).text.length > 1000)).toEqual([true, false]);
    expect(textOf(select.slice(0, 1)) + textOf(report)).toBe(LINES);
  });
});
