import type { ChildProcess } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { openPeft } from '../../src/model/peft.ts';
import { openModelSource } from '../../src/model/source.ts';
import { showRun } from '../../src/registry/runs.ts';
import { cli, linesOf, startCli, temporaryFolder } from '../support/cli.ts';
import { lossesOf } from '../support/close.ts';
import { childrenOf, ended, isAlive, printed, signalGroup } from '../support/processes.ts';
import { resume, type Trained, train, trainArgs, writeToys } from '../support/toy-runs.ts';

const toys = writeToys(temporaryFolder());
const { config } = openModelSource(toys.model);
const FLAGS = { steps: 24, batch: 4, valid: 0.3, 'save-every': 3, 'eval-every': 4, dropout: 0.1 };

const eventsOf = (run: string) => linesOf(readFileSync(path.join(run, 'events.jsonl'), 'utf8'));
const adapterOf = (run: string, folder = 'last') => readFileSync(path.join(run, folder, 'adapter_model.safetensors'));

/** What must not depend on when a run was interrupted. */
function outcome(run: string) {
  const lines = eventsOf(run);
  const evals = lines.filter(({ type }) => type === 'eval').map(({ step, loss }) => [step, loss]);
  const report = lines.filter(({ type }) => type === 'report');
  const rows = readFileSync(path.join(run, 'rows.jsonl'), 'utf8');
  return { losses: lossesOf(lines), evals, report, rows, done: lines.at(-1)?.type };
}

function expectSame(run: string, straight: Trained): void {
  expect(outcome(run)).toEqual(outcome(straight.run));
  for (const folder of ['last', 'best']) {
    expect(adapterOf(run, folder).equals(adapterOf(straight.run, folder)), `${folder} of ${run}`).toBe(true);
  }
}

/** Every folder that is there is whole at any moment. */
function expectWhole(run: string): void {
  for (const name of ['best', 'last']) {
    if (existsSync(path.join(run, name))) openPeft(path.join(run, name), config);
  }
}

let straight: Trained;
beforeAll(async () => {
  straight = await train(toys, FLAGS);
});

describe('a run that was interrupted', () => {
  test('in this process goes on to the same bits, wherever it was', async () => {
    for (const at of ['"type":"eval"', '"step":5,', '"step":24,']) {
      const run = path.join(toys.folder, `interrupted-${at.replace(/\W/g, '')}`);
      const stop = new AbortController();
      const watching = setInterval(() => {
        const file = path.join(run, 'events.jsonl');
        if (existsSync(file) && readFileSync(file, 'utf8').includes(at)) stop.abort();
      }, 1);
      const { exit, stderr } = await cli(trainArgs(toys, path.basename(run), FLAGS), stop.signal);
      clearInterval(watching);
      expect([0, 130], stderr).toContain(exit);
      if (exit === 130) expect(stderr).toContain(`tunesmith train --resume ${run}`);
      expect((await resume(run)).exit).toBe(0);
      expectSame(run, straight);
    }
  });

  test.skipIf(process.platform === 'win32')(
    'by kill -9 at 20 random moments ends with the same bits',
    async () => {
      const seed = Date.now() % 100_000;
      console.log(`seed of the moments: ${seed}`);
      const run = path.join(toys.folder, 'killed');
      let kills = 0;
      let child: ChildProcess | undefined;
      for (; kills < 20; kills++) {
        const isThere = existsSync(run);
        child = startCli(isThere ? ['train', '--resume', run] : trainArgs(toys, 'killed', FLAGS), toys.folder);
        child.stderr?.resume();
        // Most moments are within the steps: a process writes its first event when it has started and measured.
        const moment = random(seed, kills);
        const isOver = ended(child);
        await Promise.race([printed(child, '"type":').catch(() => {}), pause(20_000)]);
        await pause(moment * 250);
        if (child.exitCode === null) signalGroup(child, 'SIGKILL');
        await isOver;
        if (existsSync(run)) expectWhole(run);
      }
      const { exit, stderr } = await resume(run);
      expect(exit, stderr).toBe(0);
      expectSame(run, straight);
    },
    240_000,
  );

  test.skipIf(process.platform === 'win32').each(['SIGINT', 'SIGTERM'] as const)(
    'by %s to its group saves, says how to go on and exits with 130',
    async (signal) => {
      const child = startCli(trainArgs(toys, signal, { ...FLAGS, out: 'runs' }), toys.folder);
      let stderr = '';
      child.stderr?.on('data', (chunk) => (stderr = stderr + String(chunk)));
      await printed(child, '"type":"step"');
      signalGroup(child, signal);
      expect(await ended(child)).toBe(130);
      expect(stderr).toContain(`tunesmith train --resume ${signal}`);
      const run = path.join(toys.folder, 'runs', signal);
      expect((await resume(run)).exit).toBe(0);
      expectSame(run, straight);
    },
  );

  test.skipIf(process.platform === 'win32')('leaves no engine behind when only its own process is killed', async () => {
    const child = startCli(trainArgs(toys, 'orphan', { ...FLAGS, steps: 2000 }), toys.folder);
    child.stderr?.resume();
    await printed(child, '"type":"step"');
    const engines = childrenOf(child.pid);
    expect(engines).toHaveLength(1);
    child.kill('SIGKILL');
    await ended(child);
    for (let tries = 0; tries < 50 && engines.some(isAlive); tries++) await pause(100);
    expect(engines.filter(isAlive)).toEqual([]);
  });
});

describe('a run', () => {
  test('without a checkpoint starts at its first step', async () => {
    const run = path.join(toys.folder, 'bare');
    const { exit } = await cli(trainArgs(toys, 'bare', FLAGS));
    expect(exit).toBe(0);
    for (const name of ['checkpoints', 'best', 'last']) rmSync(path.join(run, name), { recursive: true });
    writeFileSync(path.join(run, 'events.jsonl'), '');
    expect((await resume(run)).exit).toBe(0);
    expectSame(run, straight);
  });

  test('that is done says so', async () => {
    const { exit, lines } = await resume(straight.run);
    expect(exit).toBe(0);
    expect(lines).toMatchObject([{ type: 'done', steps: 24 }]);
  });

  test('whose last line is torn goes on without it', async () => {
    const run = path.join(toys.folder, 'torn');
    cpSync(straight.run, run, { recursive: true });
    const events = path.join(run, 'events.jsonl');
    const whole = readFileSync(events, 'utf8');
    writeFileSync(events, whole.slice(0, whole.indexOf('{"type":"done"') + 9));
    expect((await resume(run)).exit).toBe(0);
    expectSame(run, straight);
    expect(readdirSync(run).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test('whose loss is no number stops before the step is applied and keeps its last checkpoint', async () => {
    const flags = { ...FLAGS, valid: 'none', 'eval-every': undefined, lr: 1e30, 'save-every': 1 };
    const { exit, lines, stderr } = await cli(trainArgs(toys, 'exploding', flags));
    expect(exit).toBe(1);
    expect(stderr).toMatch(/TRAIN_NOT_FINITE .*step \d+ \(rows .*chats\.jsonl:\d+/);
    const saved = lines.filter(({ type }) => type === 'checkpoint').at(-1);
    expect(saved?.step).toBe(lossesOf(lines).length);
    openPeft(String(saved?.path), config);
    expectWhole(path.join(toys.folder, 'exploding'));
  });

  test('whose validation loss is no number stops too, and can be read', async () => {
    const flags = { ...FLAGS, 'eval-every': 1, lr: 1e30, 'save-every': 1 };
    const { exit, stderr } = await cli(trainArgs(toys, 'exploding-later', flags));
    expect(exit).toBe(1);
    expect(stderr).toMatch(/TRAIN_NOT_FINITE .*validation rows .*step 1/);
    expect(showRun(path.join(toys.folder, 'exploding-later')).status).toBe('stopped');
  });
});

/** A number from 0 to 1 for each kill. */
function random(seed: number, index: number): number {
  const x = Math.sin(seed * 12.9898 + index * 78.233) * 43758.5453;
  return x - Math.floor(x);
}
