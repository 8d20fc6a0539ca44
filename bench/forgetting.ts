/**
 * `npm run bench -- forgetting --train ROWS.jsonl --valid ROWS.jsonl --text FILE.txt --out RESULTS.jsonl [--cells plain,budget,peft] [--rows N] [--steps N]
 * [--lr X] [--seeds 0,1,2] [--threads N]`: what SmolLM2-135M learns and forgets, LoRA r 16 on all linear layers at the same rows, steps and rates: plain, with a
 * budget of 3 % on general text, and plain through transformers + peft.
 *
 * Losses are nats per token: of 40 rows that no run has seen, and of a general text that nothing replays, tracks or chooses by. Each cell is a line of
 * RESULTS once it is there; what is there is not computed again, and a run that was interrupted goes on.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { stepRows } from '../src/data/index.ts';
import { openTextOf, rowsFor } from '../src/evaluate/open.ts';
import type { score } from '../src/evaluate/score.ts';
import { learningRate } from '../src/math/schedule.ts';
import { rowRenderer } from '../src/train/rows.ts';
import { baseModelPath } from '../test/support/base-model.ts';
import { BATCH, linesOf, lossOn, MODEL, openCells, signed, trainedRun, writeLines } from './cells.ts';
import { peerPython } from './train.ts';

const HELD_OUT = 40;
const SELECT = 32;
const PARAGRAPHS = 40;
const BUDGET = '3%';

/** Losses after training, in nats per token. */
export interface ForgettingSide {
  readonly task: number;
  readonly text: number;
}

interface Setting {
  readonly rows: number;
  readonly steps: number;
  readonly lr: number;
  readonly seed: number;
  readonly threads: number;
}

interface Files {
  readonly folder: string;
  readonly train: string;
  readonly select: string;
  readonly heldOut: string;
  readonly text: string;
}

export async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      train: { type: 'string' },
      valid: { type: 'string' },
      text: { type: 'string' },
      out: { type: 'string' },
      cells: { type: 'string', default: 'plain,budget,peft' },
      rows: { type: 'string', default: '240' },
      steps: { type: 'string', default: '30' },
      lr: { type: 'string', default: '5e-3' },
      seeds: { type: 'string', default: '0,1,2' },
      threads: { type: 'string', default: String(availableParallelism()) },
    },
  });
  const { train: rows, valid, text, out } = values;
  const base = baseModelPath();
  if (rows === undefined || valid === undefined || text === undefined || out === undefined || base === undefined) {
    throw new Error('--train, --valid, --text and --out are needed, and tunesmith pull smollm2-135m-instruct');
  }
  const cells = openCells<ForgettingSide>(out);
  for (const seed of values.seeds.split(',').map(Number)) {
    const [count, steps, lr, threads] = [values.rows, values.steps, values.lr, values.threads].map(Number) as [
      number,
      number,
      number,
      number,
    ];
    const setting: Setting = { rows: count, steps, lr, seed, threads };
    const files = writeFiles(resolve(`${out}.d`), { rows, valid, text }, setting);
    for (const kind of ['base', ...values.cells.split(',')]) {
      const key = kind === 'base' ? 'base' : `${kind} lr ${lr} rows ${count} steps ${steps} seed ${seed}`;
      await cells.once(key, () => cellOf(kind, setting, files, base));
    }
  }
  const start = cells.all.get('base');
  for (const [cell, { task, text: general }] of cells.all) {
    const changes =
      start === undefined ? '' : `  task ${signed(task - start.task)}  text ${signed(general - start.text)}`;
    console.log(`${cell.padEnd(52)} task ${task.toFixed(4)}  text ${general.toFixed(4)}${changes}`);
  }
}

/** The same rows for all sides. */
function writeFiles(
  folder: string,
  from: { readonly rows: string; readonly valid: string; readonly text: string },
  { rows }: Setting,
): Files {
  mkdirSync(folder, { recursive: true });
  const write = (name: string, some: readonly string[]) => writeLines(folder, name, some);
  const valid = linesOf(from.valid);
  const paragraphs = linesOf(from.text).filter((line) => line.length > 200);
  return {
    folder,
    train: write(`train-${rows}.jsonl`, linesOf(from.rows).slice(0, rows)),
    select: write('select.jsonl', valid.slice(HELD_OUT, HELD_OUT + SELECT)),
    heldOut: write('held-out.jsonl', valid.slice(0, HELD_OUT)),
    text: write(
      'text.txt',
      paragraphs.slice(0, PARAGRAPHS).map((line) => line.trim()),
    ),
  };
}

async function cellOf(kind: string, setting: Setting, files: Files, base: string): Promise<ForgettingSide> {
  if (kind === 'base') return measure({ path: base }, files);
  if (kind === 'peft') return peerSide(setting, files, base);
  const run = await trained(kind, setting, files);
  return measure({ path: base, adapter: join(run, 'best'), run }, files);
}

async function trained(kind: string, { steps, lr, seed, threads, rows }: Setting, files: Files): Promise<string> {
  const evalEvery = Math.max(1, Math.ceil(steps / 8));
  return trainedRun(files.folder, `${kind}-${lr}-${rows}-${steps}-${seed}`, {
    model: MODEL,
    data: { train: files.train, valid: files.select },
    train: { steps, lr, seed, batch: BATCH },
    output: { evalEvery, saveEvery: evalEvery, keep: 0 },
    compute: { threads },
    ...(kind === 'budget' ? { forget: { generalText: BUDGET } } : {}),
  });
}

async function measure(model: Parameters<typeof score>[0], files: Files): Promise<ForgettingSide> {
  return { task: await lossOn(model, files.heldOut), text: await lossOn(model, files.text) };
}

/** The same token ids, steps and rates through transformers + peft; its last weights. */
async function peerSide(
  { rows, steps, lr, seed, threads }: Setting,
  files: Files,
  base: string,
): Promise<ForgettingSide> {
  const opened = openTextOf({ path: base });
  const render = rowRenderer(opened.text, 'train');
  const drawn = async (file: string) => {
    const loaded = await rowsFor(opened, [file], 'required');
    return loaded.rows.flatMap((row) => render(row)).map(({ ids, labels }) => ({ ids: [...ids], labels: [...labels] }));
  };
  const order = { rows, batch: BATCH, shuffle: true, seed };
  const batches = stepRows(order);
  const warmupSteps = Math.ceil(0.03 * steps);
  const workload = {
    train: await drawn(files.train),
    steps: Array.from({ length: steps }, () => batches.next().value.rows),
    rates: Array.from({ length: steps }, (_, i) =>
      learningRate('cosine', { peak: lr, warmupSteps, totalSteps: steps, step: i + 1 }),
    ),
    seed,
    task: await drawn(files.heldOut),
    text: await drawn(files.text),
  };
  const file = join(files.folder, `peft-${seed}.json`);
  writeFileSync(file, JSON.stringify(workload));
  const script = join(import.meta.dirname, 'peers', 'peft', 'forgetting.py');
  const { stdout, stderr, status } = spawnSync(
    peerPython(),
    [script, join(dirname(base), basename(base)), file, String(threads)],
    { encoding: 'utf8', maxBuffer: 2 ** 26 },
  );
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as ForgettingSide;
}
