/** What benchmarks of several trainings share: results that are computed once, runs that go on where they were interrupted, and losses after training. */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { score } from '../src/evaluate/score.ts';
import { train } from '../src/registry/train.ts';
import type { RunConfigInput } from '../src/train/config.ts';

export const MODEL = 'smollm2-135m-instruct';
export const BATCH = 8;

/** Results by their key, one a line of a file; what is there is not computed again. */
export interface Cells<T> {
  readonly all: ReadonlyMap<string, T>;
  once(key: string, compute: () => Promise<T>): Promise<T>;
}

/** Opens a file of results, which need not be there. */
export function openCells<T>(file: string): Cells<T> {
  const known = existsSync(file) ? linesOf(file).map((line) => JSON.parse(line) as { readonly cell: string } & T) : [];
  const all = new Map<string, T>(known.map(({ cell, ...result }) => [cell, result as T]));
  return {
    all,
    async once(key, compute) {
      const there = all.get(key);
      if (there !== undefined) return there;
      const result = await compute();
      all.set(key, result);
      appendFileSync(file, `${JSON.stringify({ cell: key, ...result })}\n`);
      return result;
    },
  };
}

/** The lines of a file that hold anything. */
export function linesOf(file: string): string[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '');
}

/** Writes lines as a file of a folder. @returns its path */
export function writeLines(folder: string, name: string, lines: readonly string[]): string {
  const file = join(folder, name);
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/** Trains, or goes on with what is there. @returns the folder of the run */
export async function trainedRun(folder: string, name: string, config: RunConfigInput): Promise<string> {
  const run = join(folder, name);
  const input = { ...config, output: { ...config.output, out: folder, name, eval: false } };
  for await (const event of train(existsSync(join(run, 'config.json')) ? { resume: run } : input)) {
    if (['eval', 'act', 'forgetting', 'report'].includes(event.type)) console.error(name, JSON.stringify(event));
  }
  return run;
}

/** Loss of a model on the answers of rows, or on a text, in nats per token. */
export async function lossOn(model: Parameters<typeof score>[0], file: string): Promise<number> {
  for await (const event of score(model, [file])) {
    if (event.type === 'total' && 'nll' in event) return event.nll / event.tokens;
  }
  throw new Error(`no total for ${file}`);
}

export const signed = (value: number) => `${value < 0 ? '-' : '+'}${Math.abs(value).toFixed(4)}`;
