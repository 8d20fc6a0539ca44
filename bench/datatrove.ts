/**
 * `npm run bench -- datatrove [--rows N] [--data DIR] [--python PYTHON]`: the same rows through `data check` (all of its checks) and through datatrove's MinHash
 * and its formatter of personal data, with two workers each. Prints seconds, what was found, and the ratio.
 * The time that datatrove's workers spend is not known: its pool starts them by a server whose children nobody waits for.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { checkFiles } from '../src/data/check/index.ts';
import { passages } from './data-quality/speed.ts';

const WORKERS = 2;
/** One row in so many says again what an earlier one says, with a word changed. */
const COPIED = 20;

/** Runs both sides on one data set. */
export async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rows: { type: 'string', default: '50000' },
      data: { type: 'string', default: '../shared/data' },
      python: { type: 'string' },
    },
  });
  const folder = mkdtempSync(join(tmpdir(), 'datatrove-'));
  try {
    const rows = Number(values.rows);
    const input = join(folder, 'rows');
    mkdirSync(input);
    const copies = writeRows(values.data, rows, input);
    console.log(`${rows} rows, ${copies} of them near-duplicates`);
    const ours = await check(input);
    console.log(
      `tunesmith: ${ours.seconds.toFixed(1)} s, ${ours.cpu.toFixed(1)} s of CPU, ${ours.found} near-duplicates`,
    );
    const python = values.python ?? peerPython();
    const script = join(import.meta.dirname, 'peers', 'datatrove', 'dedup.py');
    const { status, stdout, stderr } = spawnSync(python, [script, input, folder, String(WORKERS)], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`datatrove ended with ${status}: ${stderr.slice(-2000)}`);
    const peer = JSON.parse(stdout.trim().split('\n').at(-1)!) as { seconds: number; rows: number };
    const found = rows - peer.rows;
    console.log(`datatrove: ${peer.seconds.toFixed(1)} s, ${found} near-duplicates`);
    console.log(`tunesmith takes 1 / ${(peer.seconds / ours.seconds).toFixed(2)} of the time`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Rows in as many files as there are workers; returns how many of them are copies. */
function writeRows(data: string, count: number, folder: string): number {
  const passage = passages(data);
  const texts: string[] = [];
  let copies = 0;
  for (let i = 0; i < count; i++) {
    const copied = i % COPIED === COPIED - 1;
    if (copied) copies++;
    const own = [0, 1, 2, 3, 4, 5]
      .map((k) => passage(i, k, 8))
      .join(' ')
      .slice(0, 300);
    texts.push(copied ? texts[i - COPIED + 1]!.replace(/\s\S+$/, ' changed') : own);
  }
  const part = Math.ceil(count / WORKERS);
  for (let w = 0; w < WORKERS; w++) {
    const lines = texts.slice(w * part, (w + 1) * part).map((text) => `${JSON.stringify({ text })}\n`);
    writeFileSync(join(folder, `${w}.jsonl`), lines.join(''));
  }
  return copies;
}

async function check(folder: string): Promise<{ seconds: number; cpu: number; found: number }> {
  const [cpu, start] = [process.cpuUsage(), performance.now()];
  const { groups } = await checkFiles([folder]);
  const used = process.cpuUsage(cpu);
  const found = groups.filter(({ code }) => code === 'DATA_NEAR_DUPLICATE' || code === 'DATA_DUPLICATE');
  return {
    seconds: (performance.now() - start) / 1000,
    cpu: (used.user + used.system) / 1e6,
    found: found.reduce((sum, group) => sum + group.count, 0),
  };
}

/** A Python with datatrove, installed once. */
function peerPython(): string {
  const home = join(homedir(), '.cache', 'tunesmith', 'bench-datatrove');
  const python = join(home, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
  const run = (command: string, args: readonly string[]) => {
    const { status } = spawnSync(command, args, { stdio: 'inherit' });
    if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`);
  };
  if (!existsSync(python)) {
    run('python3', ['-m', 'venv', home]);
    run(python, ['-m', 'pip', 'install', '-r', join(import.meta.dirname, 'peers', 'datatrove', 'requirements.txt')]);
  }
  return python;
}
