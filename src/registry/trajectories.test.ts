import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../../test/support/cli.ts';
import { ROW_LOG } from '../train/row-log.ts';
import { readTrajectories, trajectoryFindings } from './trajectories.ts';

const folder = temporaryFolder();

/** Three passes over 30 rows, whose losses fall; what happens to some is given. */
function writeLog(special: Readonly<Record<number, readonly (readonly [loss: number, known: number])[]>>): void {
  const lines = [0, 1, 2].map((epoch) => {
    const rows = Array.from({ length: 30 }, (_, i) => {
      const [loss, known] = special[i + 1]?.[epoch] ?? [3 - epoch + (i % 5) / 20, 4 + 5 * epoch];
      return { file: '/data/rows.jsonl', line: i + 1, loss, tokens: 20, known };
    });
    return JSON.stringify({ step: epoch + 1, rows });
  });
  writeFileSync(path.join(folder, ROW_LOG), `${lines.join('\n')}\n{"step":4,"ro`);
}

test('rows that stay hard, and rows that are forgotten, are told; a torn line is not read', () => {
  writeLog({
    7: [
      [5.2, 2],
      [5.1, 2],
      [5, 3],
    ],
    9: [
      [3, 4],
      [1.5, 12],
      [1.3, 7],
    ],
    12: [
      [0.1, 20],
      [0.1, 20],
      [0.1, 20],
    ],
  });
  const rows = readTrajectories(folder);
  expect(rows).toHaveLength(30);
  expect(rows[6]!.visits.map(({ loss }) => loss)).toEqual([5.2, 5.1, 5]);
  expect(rows.map(({ forgotten }) => forgotten).filter((n) => n > 0)).toEqual([1]);
  const found = [...trajectoryFindings(rows)];
  expect(found.map(({ code, source }) => [code, source?.line])).toEqual([
    ['DATA_UNLEARNED', 7],
    ['DATA_FORGOTTEN', 9],
    ['DATA_LOSS_LOW', 12],
  ]);
  expect(found[0]!.message).toContain('5.20 → 5.10 → 5.00');
  expect(found[1]!.message).toContain('20 % → 60 % → 35 %');
});

test('a run that noted nothing of its rows is refused', () => {
  writeFileSync(path.join(folder, ROW_LOG), '');
  expect(() => readTrajectories(folder)).toThrow(/holds no losses of rows/);
});
