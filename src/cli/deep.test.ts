import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { cli, type Line, temporaryFolder } from '../../test/support/cli.ts';
import { writeRows } from '../../test/support/golden-rows.ts';
import { train, writeToys } from '../../test/support/toy-runs.ts';

const toys = writeToys(temporaryFolder());
const rows = Array.from({ length: 24 }, (_, i) => ({
  prompt: `Where is the ${'parcel letter bicycle lamp'.split(' ')[i % 4]} of customer ${i}?`,
  completion: `It left shelf ${i} and will be there soon.`,
}));
const file = writeRows(path.join(toys.folder, 'orders.jsonl'), rows);

test('with --deep a model reads the rows, those that are held out too, and the queue of suspects comes last', async () => {
  const test = writeRows(path.join(toys.folder, 'test.jsonl'), [rows[7]]);
  const asked = ['data', 'check', file, '--test', test, '--model', toys.model];
  const plain = await cli(asked);
  const meant = (found: readonly Line[]) => found.filter(({ message }) => /^means to /.test(String(message)));
  expect(meant(plain.lines)).toEqual([]);
  expect(plain.lines.filter(({ code }) => code === 'DATA_SUSPECT')).toEqual([]);
  const { lines, stderr } = await cli([...asked, '--deep']);
  expect(meant(lines), stderr).toContainEqual(
    expect.objectContaining({ code: 'DATA_LEAK_NEAR', line: 8, severity: 'review' }),
  );
  const queue = lines.filter(({ code }) => code === 'DATA_SUSPECT');
  expect(queue[0]).toMatchObject({ line: 8, message: expect.stringMatching(/likely leaked/) });
  const scores = queue.map(({ score }) => Number(score));
  expect(scores).toEqual([...scores].sort((a, b) => b - a));
  // What was found without the model stays as it was.
  expect(lines).toEqual(expect.arrayContaining([...plain.lines]));
});

test('what rows lost in a run is looked at without naming the data again, and runs show tells the first of it', async () => {
  const { run } = await train(toys, { data: file, steps: 6 });
  expect((await cli(['data', 'check', '--run', run])).exit).toBe(0);
  const log = path.join(run, 'rows.jsonl');
  const steps = readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  for (const row of steps.flatMap((step) => step.rows)) if (row.line === 21) row.loss = 30;
  writeFileSync(log, steps.map((step) => `${JSON.stringify(step)}\n`).join(''));
  for (const data of [[], [file]]) {
    const { lines, stderr } = await cli(['data', 'check', ...data, '--run', run]);
    const unlearned = lines.filter(({ code }) => code === 'DATA_UNLEARNED');
    expect(unlearned, stderr).toMatchObject([{ file, line: 21, message: expect.stringMatching(/30.00 → 30.00/) }]);
    expect(lines.at(-1)).toMatchObject({ code: 'DATA_SUSPECT', line: 21 });
  }
  const shown = await cli(['runs', 'show', run, '--out', toys.folder]);
  expect(shown.stderr).toContain('orders.jsonl:21');
});

test('what the model or the run would have to say is asked for properly', async () => {
  expect((await cli(['data', 'check', file, '--deep'])).stderr).toContain('--deep goes with --model');
  expect((await cli(['data', 'check'])).stderr).toContain('no data is named');
  expect((await cli(['data', 'check', '--run', 'nowhere'])).stderr).toContain('RUN_NOT_FOUND');
});
