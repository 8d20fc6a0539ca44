import { describe, expect, test } from 'vitest';
import { CATALOGUE } from '../../../errors/index.ts';
import type { CheckGroup } from '../gathered.ts';
import type { CheckFinding } from '../types.ts';
import { lossOutliers, unaskedFindings } from './loss-outliers.ts';
import { type MeantRow, meaningFindings } from './meaning.ts';
import { suspects } from './suspects.ts';

const at = (line: number) => ({ file: 'rows.jsonl', line });

describe('losses that stand out', () => {
  const usual = Array.from({ length: 40 }, (_, i) => ({ source: at(i + 1), loss: 2 + (i % 7) / 10, tokens: 30 }));

  test('are those far above the others, and those of rows that the model knows by heart', () => {
    const rows = [...usual, { source: at(41), loss: 6.5, tokens: 30 }, { source: at(42), loss: 0.05, tokens: 30 }];
    const found = [...lossOutliers(rows, 'before training')];
    expect(found.map(({ code, source }) => [code, source?.line])).toEqual([
      ['DATA_LOSS_HIGH', 41],
      ['DATA_LOSS_LOW', 42],
    ]);
    expect(found[0]!.score).toBeGreaterThan(0.5);
  });

  test('are not told of short answers that stray, nor of few rows', () => {
    expect([...lossOutliers([...usual, { source: at(41), loss: 3.4, tokens: 1 }], '')]).toEqual([]);
    expect([...lossOutliers([...usual, { source: at(42), loss: 0.05, tokens: 3 }], '')]).toEqual([]);
    expect([...lossOutliers([{ source: at(1), loss: 90, tokens: 30 }], '')]).toEqual([]);
  });
});

test('an answer that its question makes no likelier stands out where other questions help', () => {
  const rows = Array.from({ length: 30 }, (_, i) => ({
    source: at(i + 1),
    loss: 2,
    alone: 2.8 + (i % 5) / 20,
    tokens: 30,
  }));
  const odd = { source: at(31), loss: 2.6, alone: 2.6, tokens: 30 };
  expect([...unaskedFindings([...rows, odd])].map(({ code, source }) => [code, source?.line])).toEqual([
    ['DATA_UNASKED', 31],
  ]);
  const useless = rows.map((row) => ({ ...row, alone: row.loss + 0.05 }));
  expect([...unaskedFindings([...useless, odd])]).toEqual([]);
});

describe('what rows mean', () => {
  /** Vectors that differ little from one of some directions, and a part that all share. */
  const vector = (direction: number, noise = 0) =>
    Float32Array.from({ length: 16 }, (_, d) => 50 + (d === direction ? 5 : 0) + (d === 15 - direction ? noise : 0));
  const row = (line: number, asked: number, said: number): MeantRow => {
    const texts = { prompt: `question ${'abcdef'[asked]}`, answer: `${'uvwxyz'[said]}` };
    return { source: at(line), asked: vector(asked, 0.1 * line), said: vector(said, 0.1 * line), ...texts };
  };
  const rows = [row(1, 0, 0), row(2, 1, 1), row(3, 2, 2), row(4, 0, 0), row(5, 1, 3), row(6, 4, 4)];

  test('rows that mean the same are told once, contradictions on both sides', () => {
    const found = [...meaningFindings(rows, [])].map(({ code, source, related }) => [code, source?.line, related]);
    expect(found).toEqual([
      ['DATA_CONFLICT', 2, [5]],
      ['DATA_NEAR_DUPLICATE', 4, [1]],
      ['DATA_CONFLICT', 5, [2]],
    ]);
  });

  test('questions about different numbers are different questions', () => {
    const numbered = rows.map((row, i) => ({ ...row, prompt: `where is order ${i}?` }));
    expect([...meaningFindings(numbered, [])]).toEqual([]);
  });

  test('a row that means what is held out leaks', () => {
    const held = { ...row(1, 4, 4), source: { file: 'test.jsonl', line: 7 } };
    const found = [...meaningFindings(rows, [held])].filter(({ code }) => code === 'DATA_LEAK_NEAR');
    expect(found.map(({ source, message }) => [source?.line, message.includes('test.jsonl:7')])).toEqual([[6, true]]);
  });
});

describe('the queue of suspects', () => {
  const group = (code: CheckFinding['code'], ...found: Partial<CheckFinding>[]): CheckGroup => {
    const severity = 'review';
    const findings = found.map((finding) => ({
      ...({ code, severity, file: 'rows.jsonl', line: 1, message: `${code}.`, fix: undefined, related: [] } as const),
      ...{ quote: undefined, score: undefined },
      ...finding,
    }));
    return { code, severity, count: findings.length, findings, rule: CATALOGUE[code].rule, fix: undefined };
  };

  test('is ordered by all the evidence there is of a row', () => {
    const groups = [
      group('DATA_LOSS_HIGH', { line: 1, score: 0.6 }, { line: 2, score: 0.6 }),
      group('DATA_LABEL_SUSPECT', { line: 2, score: 0.5 }),
      group('DATA_LEAK', { line: 3 }),
      group('DATA_LENGTH', { line: 4, score: 1 }),
    ];
    const queue = suspects(groups);
    expect(queue.map(({ source, score }) => [source?.line, Number(score?.toFixed(3))])).toEqual([
      [2, 0.681],
      [3, 0.5],
      [1, 0.42],
    ]);
    expect(queue[0]!.message).toContain('likely mislabelled (68 of 100)');
    expect(queue[1]!.message).toContain('likely leaked');
  });
});
