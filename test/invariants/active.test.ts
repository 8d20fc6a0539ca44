import type { ChildProcess } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { cli, linesOf, runCliProcess, startCli, temporaryFolder } from '../support/cli.ts';
import { lossesOf } from '../support/close.ts';
import { childrenOf, ended, printed, signalGroup } from '../support/processes.ts';
import { resume, type Trained, train, trainArgs, writeToys } from '../support/toy-runs.ts';

const toys = writeToys(temporaryFolder());
const FLAGS = { steps: 24, batch: 4, 'save-every': 3, dropout: 0.1 };

const lossesIn = (run: string) => lossesOf(linesOf(readFileSync(path.join(run, 'events.jsonl'), 'utf8')));
const adapterOf = (run: string) => readFileSync(path.join(run, 'last', 'adapter_model.safetensors'));

let straight: Trained;
beforeAll(async () => {
  straight = await train(toys, FLAGS);
});

function expectSame(run: string, other = straight.run): void {
  expect(lossesIn(run)).toEqual(lossesIn(other));
  expect(adapterOf(run).equals(adapterOf(other))).toBe(true);
}

/** Whether a process that goes on with a run got it. */
async function outcomeOf(child: ChildProcess): Promise<string> {
  let stderr = '';
  child.stderr?.on('data', (chunk) => (stderr += String(chunk)));
  const works = printed(child, '"type":"step"').then(() => 'works');
  return works.catch(() => (stderr.includes('RUN_ACTIVE') ? 'RUN_ACTIVE' : stderr));
}

describe.skipIf(process.platform === 'win32')('a run that a process works on', () => {
  test('is neither resumed nor removed nor begun by another, and goes on when its process was killed', async () => {
    const run = path.join(toys.folder, 'held');
    const child = startCli(trainArgs(toys, 'held', { ...FLAGS, steps: 2000 }), toys.folder);
    child.stderr?.resume();
    await printed(child, '"type":"step"');
    for (const args of [
      ['train', '--resume', run],
      ['runs', 'rm', run],
    ]) {
      const { exit, stderr } = await runCliProcess(args, toys.folder);
      expect(exit).toBe(2);
      expect(stderr).toMatch(new RegExp(`RUN_ACTIVE .*process ${child.pid} .*since 20.*Fix: wait for it`));
    }
    expect((await cli(['runs', 'ls', '--out', toys.folder])).lines).toContainEqual(
      expect.objectContaining({ name: 'held', status: 'running' }),
    );
    const begun = await runCliProcess(trainArgs(toys, 'held', FLAGS), toys.folder);
    expect(begun.stderr).toContain('RUN_EXISTS');
    signalGroup(child, 'SIGKILL');
    await ended(child);
    // Of two that go on with it at once, one gets it.
    const both = [0, 1].map(() => startCli(['train', '--resume', run], toys.folder));
    const said = await Promise.all(both.map(outcomeOf));
    expect(said.sort()).toEqual(['RUN_ACTIVE', 'works']);
    for (const one of both) if (one.exitCode === null) signalGroup(one, 'SIGKILL');
    await Promise.all(both.map(ended));
    expect((await cli(['runs', 'rm', run])).exit).toBe(0);
    expect(existsSync(run)).toBe(false);
  });

  test('whose engine is killed says that memory ran out and how to go on, and goes on to the same bits', async () => {
    const run = path.join(toys.folder, 'engine');
    const child = startCli(trainArgs(toys, 'engine', FLAGS), toys.folder);
    let stderr = '';
    child.stderr?.on('data', (chunk) => (stderr += String(chunk)));
    await printed(child, '"type":"checkpoint"');
    for (const engine of childrenOf(child.pid)) process.kill(engine, 'SIGKILL');
    expect(await ended(child)).toBe(1);
    expect(stderr).toMatch(/ENGINE_GONE .*SIGKILL.*memory.* Fix: .*tunesmith train --resume /);
    expect(stderr).not.toContain('internal:');
    const resumed = await resume(run);
    expect(resumed.exit, resumed.stderr).toBe(0);
    expectSame(run);
  });
});

describe('a run that was begun with relative paths', () => {
  test('goes on from another folder, also before its first checkpoint and without its starting adapter', async () => {
    const at = path.join(toys.folder, 'project');
    mkdirSync(at);
    cpSync(toys.chats, path.join(at, 'rows.jsonl'));
    cpSync(toys.model, path.join(at, 'model'), { recursive: true });
    cpSync(path.join(straight.run, 'best'), path.join(at, 'start'), { recursive: true });
    const flags = { ...FLAGS, model: 'model', data: 'rows.jsonl', 'init-adapter': 'start', out: 'runs' };
    const from = (name: string) => runCliProcess(trainArgs(toys, name, flags), at);
    const whole = await from('whole');
    expect(whole.exit, whole.stderr).toBe(0);
    const [a, b] = [path.join(at, 'runs', 'whole'), path.join(at, 'runs', 'bare')];
    cpSync(a, b, { recursive: true });
    for (const name of ['checkpoints', 'best', 'last', 'events.jsonl']) rmSync(path.join(b, name), { recursive: true });
    writeFileSync(path.join(b, 'events.jsonl'), '');
    rmSync(path.join(at, 'start'), { recursive: true });
    renameSync(b, path.join(toys.folder, 'moved'));
    const resumed = await resume(path.join(toys.folder, 'moved'));
    expect(resumed.exit, resumed.stderr).toBe(0);
    expectSame(path.join(toys.folder, 'moved'), a);
    expect(readFileSync(path.join(a, 'best', 'adapter_config.json'), 'utf8')).not.toContain(at);
  });
});
