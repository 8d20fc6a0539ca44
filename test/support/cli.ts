import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import { main } from '../../src/cli/run.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A line that `--json` prints; its fields are those of issue 3's list of commands. */
export type Line = { readonly type: string } & Readonly<Record<string, unknown>>;

/** What a call of the program left behind. */
export interface Called {
  readonly exit: number;
  readonly lines: readonly Line[];
  readonly stderr: string;
}

/** Calls the program in this process, `--json` on; numbers and paths become words. */
export async function cli(args: readonly (string | number)[], signal?: AbortSignal): Promise<Called> {
  const [stdout, stderr] = [collector(), collector()];
  const exit = await main([...unevaluated(args), '--json'], {
    stdout,
    stderr,
    env: process.env,
    signal: signal ?? new AbortController().signal,
  });
  return { exit, lines: linesOf(stdout.text()), stderr: stderr.text() };
}

/** What a run learned and forgot is measured in the tests that ask for it by --eval. */
function unevaluated(args: readonly (string | number)[]): string[] {
  const words = args.map(String);
  const isNew =
    words[0] === 'train' && !words.some((word) => ['--eval', '--no-eval', '--resume', '--help'].includes(word));
  return isNew ? [...words, '--no-eval'] : words;
}

function collector() {
  const parts: string[] = [];
  return { write: (text: string) => parts.push(text), text: () => parts.join('') };
}

/** The whole lines of a machine-readable output. */
export function linesOf(text: string): Line[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
}

/** Starts the program as a user does, as the leader of a process group of its own, as a terminal starts it. */
export function startCli(args: readonly (string | number)[], cwd: string): ChildProcess {
  const entry = path.join(ROOT, 'src', 'cli', 'main.ts');
  return spawn(process.execPath, [entry, ...unevaluated(args), '--json'], {
    cwd,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Runs the program as a process of its own to its end. */
export async function runCliProcess(args: readonly (string | number)[], cwd: string): Promise<Called> {
  const child = startCli(args, cwd);
  const [stdout, stderr] = [collector(), collector()];
  child.stdout?.on('data', (chunk) => stdout.write(String(chunk)));
  child.stderr?.on('data', (chunk) => stderr.write(String(chunk)));
  const exit = await new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? -1)));
  return { exit, lines: linesOf(stdout.text()), stderr: stderr.text() };
}

/** A folder that is gone when the tests of the file are done. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'tunesmith-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
