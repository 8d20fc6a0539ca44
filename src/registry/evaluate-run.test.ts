import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { cli, type Line, temporaryFolder } from '../../test/support/cli.ts';
import { trainArgs, train as trainToys, writeToys } from '../../test/support/toy-runs.ts';
import { type RunEvent, train } from './train.ts';

const folder = temporaryFolder();
const toys = writeToys(folder);
const home = path.join(folder, 'home');
const flags = { valid: toys.chats, steps: 4, lr: 3e-2 };

beforeAll(() => {
  vi.stubEnv('TUNESMITH_HOME', home);
});
afterAll(() => {
  vi.unstubAllEnvs();
});

const comparisons = (lines: readonly Line[]) => lines.filter(({ type }) => type === 'comparison');

describe('the evaluation at the end of a run', () => {
  it('says what was learned and what was forgotten, in the run and before it is told to be done, as eval does', async () => {
    const { lines, run } = await trainToys(toys, { ...flags, eval: true });
    expect(lines.slice(-2).map(({ type }) => type)).toEqual(['evaluated', 'done']);
    const html = readFileSync(path.join(run, 'report.html'), 'utf8');
    for (const part of ['Learned', 'Forgotten', 'Unsure', 'Loss by step', 'Answers side by side', 'What to do next'])
      expect(html).toContain(part);
    const kept = JSON.parse(readFileSync(path.join(run, 'evaluation.json'), 'utf8')) as Line[];
    expect(comparisons(kept)).toEqual(comparisons(lines));
    // Its answers are those of an evaluation of its own, which finds them.
    const again = await cli(['eval', run, '--threads', 1]);
    expect(comparisons(again.lines)).toEqual(comparisons(lines));
  }, 120_000);

  it.each(['full', 'dora'])(
    'measures %s weights too',
    async (weights) => {
      const { lines } = await trainToys(toys, { ...flags, weights, lr: 1e-2, eval: true });
      const heldOut = comparisons(lines).find(({ task }) => task === 'held-out rows')!;
      expect(heldOut.tuned as number).toBeLessThan(heldOut.base as number);
    },
    120_000,
  );

  it('is left out on demand', async () => {
    const { lines, run } = await trainToys(toys, { ...flags, 'no-eval': true });
    expect(comparisons(lines)).toEqual([]);
    expect(existsSync(path.join(run, 'report.html'))).toBe(false);
  });

  it('is refused where the run has nothing to say', async () => {
    const { exit, lines } = await cli(trainArgs(toys, 'no', { method: 'classify', eval: true }));
    expect([exit, lines[0]?.code]).toEqual([2, 'CLI_OPTION_CONFLICT']);
  });

  it('is shown in the plan, with its cost', async () => {
    const { lines, stderr } = await cli([...trainArgs(toys, 'planned', { ...flags, eval: true }), '--plan']);
    expect(lines.at(-1)).toMatchObject({ type: 'plan', evaluation: { items: 1062 } });
    expect(stderr).toContain('--no-eval leaves it out');
  });

  it('leaves the run done when it is interrupted, and says how it goes on', async () => {
    const stop = new AbortController();
    const report = path.join(folder, 'cut', 'report.html');
    const timer = setInterval(() => {
      const events = path.join(folder, 'cut', 'events.jsonl');
      if (existsSync(events) && readFileSync(events, 'utf8').includes('"done"')) stop.abort(new Error('interrupted'));
    }, 5);
    const { exit, lines, stderr } = await cli(trainArgs(toys, 'cut', { ...flags, seed: 3, eval: true }), stop.signal);
    clearInterval(timer);
    expect(exit, stderr).toBe(130);
    expect(lines.at(-1)).toMatchObject({ type: 'done', steps: 4 });
    expect(stderr).toContain('tunesmith eval');
    expect(existsSync(report)).toBe(false);
  }, 120_000);

  it('comes from code too, between the last event of the training and done', async () => {
    const events: RunEvent[] = [];
    const data = { train: toys.chats, valid: 'none' } as const;
    const output = { out: folder, name: 'code', eval: true };
    const input = { model: toys.model, data, output, train: { steps: 2, batch: 4 }, compute: { threads: 1 } };
    for await (const event of train(input, { home, runs: folder })) events.push(event);
    expect(events.some(({ type }) => type === 'comparison')).toBe(true);
    expect(events.slice(-2)).toMatchObject([{ type: 'evaluated' }, { type: 'done' }]);
  }, 120_000);
});
