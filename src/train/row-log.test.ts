import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { linesOf, temporaryFolder } from '../../test/support/cli.ts';
import { type Flags, type Trained, train, writeToys } from '../../test/support/toy-runs.ts';
import type { LoggedRow } from './row-log.ts';

const toys = writeToys(temporaryFolder());

function logOf({ run }: Trained) {
  return linesOf(readFileSync(path.join(run, 'rows.jsonl'), 'utf8')) as unknown as {
    readonly step: number;
    readonly rows: readonly LoggedRow[];
  }[];
}

test('the losses of the rows of a step make up the loss of the step, packed and not, in any micro-batches', async () => {
  const shapes: Flags[] = [{}, { 'no-pack': true }, { 'micro-batch': 1 }];
  const logs = [];
  for (const shape of shapes) {
    const trained = await train(toys, { ...shape, steps: 3 });
    const log = logOf(trained);
    for (const [i, { step, rows }] of log.entries()) {
      expect(step).toBe(i + 1);
      const tokens = rows.reduce((n, row) => n + row.tokens, 0);
      const mean = rows.reduce((n, row) => n + row.loss * row.tokens, 0) / tokens;
      expect(mean).toBeCloseTo(trained.losses[i]!, 4);
    }
    logs.push(log.flatMap(({ rows }) => rows).sort((a, b) => a.line - b.line || a.loss - b.loss));
  }
  for (const log of logs) {
    expect(log.map(({ line, tokens, known }) => [line, tokens, known])).toEqual(
      logs[0]!.map(({ line, tokens, known }) => [line, tokens, known]),
    );
    for (const [i, row] of log.entries()) expect(row.loss).toBeCloseTo(logs[0]![i]!.loss, 4);
  }
});

test('rows that a penalty holds to the start are logged too', async () => {
  const log = logOf(await train(toys, { 'kl-weight': 0.5, steps: 2 }));
  expect(log.map(({ rows }) => rows.length)).toEqual([8, 4]);
});
