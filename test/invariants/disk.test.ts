import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openPeft } from '../../src/model/peft.ts';
import { openModelSource } from '../../src/model/source.ts';
import { type Called, cli, linesOf, temporaryFolder } from '../support/cli.ts';
import { lossesOf } from '../support/close.ts';
import { resume, train, trainArgs, writeToys } from '../support/toy-runs.ts';

const toys = writeToys(temporaryFolder());
const { config } = openModelSource(toys.model);
const FLAGS = { steps: 12, 'save-every': 2, keep: 1 };

/** Trains, and does something to the surroundings as soon as there is a checkpoint of step 4. */
async function trainUntil(
  name: string,
  flags: Parameters<typeof trainArgs>[2],
  strike: (run: string) => void,
): Promise<Called> {
  const run = path.join(String(flags.out ?? toys.folder), name);
  let struck = false;
  const watching = setInterval(() => {
    if (struck || !existsSync(path.join(run, 'checkpoints', 'step-000004'))) return;
    struck = true;
    strike(run);
  }, 1);
  try {
    return await cli(trainArgs(toys, name, { ...FLAGS, ...flags }));
  } finally {
    clearInterval(watching);
  }
}

/** The run says how to go on, what it kept is whole, and it goes on to the end of a run to which nothing happened. */
async function expectResumable({ exit, stderr }: Called, code: string, run: string, mend: () => void): Promise<void> {
  expect(exit, stderr).toBe(1);
  expect(stderr).toContain(code);
  expect(stderr).toContain(`tunesmith train --resume ${run}`);
  for (const name of ['last']) openPeft(path.join(run, name), config);
  mend();
  const resumed = await resume(run);
  expect(resumed.exit, resumed.stderr).toBe(0);
  const straight = await train(toys, FLAGS);
  expect(lossesOf(linesOf(readFileSync(path.join(run, 'events.jsonl'), 'utf8')))).toEqual(straight.losses);
  const adapter = (folder: string) => readFileSync(path.join(folder, 'last', 'adapter_model.safetensors'));
  expect(adapter(run).equals(adapter(straight.run))).toBe(true);
}

describe('in mid-run', () => {
  test('a folder that vanishes ends the run so that it can go on', async () => {
    const strike = (run: string) => rmSync(path.join(run, 'checkpoints'), { recursive: true });
    const called = await trainUntil('vanished', {}, strike);
    await expectResumable(called, 'FILE_WRITE_FAILED', path.join(toys.folder, 'vanished'), () => {});
  });

  // Only the administrator can make a small disk, so elsewhere there is nothing to test.
  const disk = path.join(toys.folder, 'disk');
  mkdirSync(disk);
  const isSmall = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1400k', 'tmpfs', disk]).status === 0;
  afterAll(() => void (isSmall && spawnSync('umount', [disk])));
  if (isSmall) {
    test('a disk that is full ends the run so that it can go on', async () => {
      const ballast = path.join(disk, 'ballast');
      const strike = () => {
        try {
          writeFileSync(ballast, new Uint8Array(2_000_000));
        } catch {
          // As much as there was room for is written by now.
        }
      };
      const called = await trainUntil('full', { out: disk }, strike);
      await expectResumable(called, 'DISK_FULL', path.join(disk, 'full'), () => rmSync(ballast));
    });
  }
});
