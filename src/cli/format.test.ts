import { describe, expect, it } from 'vitest';
import { bytesText, countText, curve, durationText, table } from './format.ts';

describe('format', () => {
  it('writes sizes, counts and times as people do', () => {
    expect([0, 999, 98_362_432, 1.5e9, 2e11].map(bytesText)).toEqual(['0 B', '999 B', '98.4 MB', '1.5 GB', '200 GB']);
    expect(countText(1_234_567.8)).toBe('1,234,568');
    expect([3, 200, 3900].map(durationText)).toEqual(['3 s', '3 min 20 s', '1 h 05 min']);
  });

  it('lines columns up, numbers on the right', () => {
    expect(
      table([
        ['name', 'n'],
        ['a', '5'],
        ['bcd', '10'],
      ]),
    ).toBe('name   n\na      5\nbcd   10');
  });

  it('draws a falling curve from top left to bottom right', () => {
    const lines = curve([4, 3, 2, 1], { columns: 2, rows: 1 }).split('\n');
    expect(lines).toEqual(['   4.000 ┤⠑⢄']);
    const wide = curve(
      Array.from({ length: 500 }, (_, i) => 1 / (i + 1)),
      { columns: 40, rows: 5 },
    ).split('\n');
    expect(wide.length).toBe(5);
    expect(wide.every((line) => line.length === 50)).toBe(true);
  });

  it('draws nothing of less than two values, and a flat line of equal ones', () => {
    expect(curve([1], { columns: 10, rows: 2 })).toBe('');
    expect(curve([Number.NaN, 1], { columns: 10, rows: 2 })).toBe('');
    expect(curve([1, 1, 1, 1], { columns: 10, rows: 1 })).toContain('⣀⣀');
  });
});
