/**
 * `npm run bench -- two-tasks --first ROWS.jsonl --first-valid ROWS.jsonl --second ROWS.jsonl --second-valid ROWS.jsonl --out RESULTS.jsonl [--lrs 5e-4,1.3e-3,5e-3]
 * [--ways plain,self] [--rows N] [--steps N] [--seeds 0,1,2] [--ratio X] [--threads N]`: SmolLM2-135M learns a first task and then, from that adapter, a second one,
 * LoRA r 16 on all linear layers, at the same rate. Retention is what is left of the gain on the first: (loss after both - base) / (loss after the first - base),
 * on 40 rows that no run has seen. `self` replays what the model says as the second run starts, on generic prompts and on those of the first task; `plain` nothing.
 *
 * Each training is a cell, a line of RESULTS once it is there; what is there is not computed again, and a run that was interrupted goes on. Rows of a text and
 * other columns (`text`, `intent`, `slots`) ask for the others as JSON.
 */
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { baseModelPath } from '../test/support/base-model.ts';
import { BATCH, linesOf, lossOn, MODEL, openCells, trainedRun, writeLines } from './cells.ts';

const HELD_OUT = 40;
const SELECT = 16;

/** Losses on the held-out rows of either task, in nats per token. */
interface Losses {
  readonly first: number;
  readonly second: number;
}

interface Setting {
  readonly lr: number;
  readonly seed: number;
  readonly steps: number;
  readonly ratio: number | undefined;
  readonly threads: number;
}

interface Task {
  readonly train: string;
  readonly select: string;
  readonly heldOut: string;
}

export async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      first: { type: 'string' },
      'first-valid': { type: 'string' },
      second: { type: 'string' },
      'second-valid': { type: 'string' },
      out: { type: 'string' },
      lrs: { type: 'string', default: '5e-4,1.3e-3,5e-3' },
      ways: { type: 'string', default: 'plain,self' },
      rows: { type: 'string', default: '240' },
      steps: { type: 'string', default: '30' },
      seeds: { type: 'string', default: '0,1,2' },
      ratio: { type: 'string' },
      threads: { type: 'string', default: String(availableParallelism()) },
    },
  });
  const { first, 'first-valid': firstValid, second, 'second-valid': secondValid, out } = values;
  const base = baseModelPath();
  if (first === undefined || firstValid === undefined || second === undefined || secondValid === undefined) {
    throw new Error('--first, --first-valid, --second and --second-valid are needed');
  }
  if (out === undefined || base === undefined) throw new Error('--out, and tunesmith pull smollm2-135m-instruct');
  const folder = resolve(`${out}.d`);
  mkdirSync(folder, { recursive: true });
  const rows = Number(values.rows);
  const tasks = {
    first: taskOf(folder, 'first', first, firstValid, rows),
    second: taskOf(folder, 'second', second, secondValid, rows),
  };
  const cells = openCells<Losses>(out);
  const measure = async (adapter?: string): Promise<Losses> => {
    const model = { path: base, ...(adapter === undefined ? {} : { adapter }) };
    return { first: await lossOn(model, tasks.first.heldOut), second: await lossOn(model, tasks.second.heldOut) };
  };
  const start = await cells.once('base', () => measure());
  for (const seed of values.seeds.split(',').map(Number)) {
    for (const lr of values.lrs.split(',').map(Number)) {
      const steps = Number(values.steps);
      const ratio = values.ratio === undefined ? undefined : Number(values.ratio);
      const setting: Setting = { lr, seed, steps, ratio, threads: Number(values.threads) };
      const key = `lr ${lr} rows ${rows} steps ${steps} seed ${seed}`;
      const learned = async () => train(folder, `first ${key}`, tasks.first, setting);
      const one = await cells.once(`first ${key}`, async () => measure(join(await learned(), 'best')));
      for (const way of values.ways.split(',')) {
        const name = `${way}${way === 'self' && ratio !== undefined ? ` ratio ${ratio}` : ''} ${key}`;
        const both = await cells.once(name, async () => {
          const from = {
            adapter: join(await learned(), 'best'),
            prompts: tasks.first.train,
            isReplayed: way === 'self',
          };
          return measure(join(await train(folder, name, tasks.second, setting, from), 'best'));
        });
        const retention = (start.first - both.first) / (start.first - one.first);
        const gain = start.second - both.second;
        console.log(
          `${name.padEnd(56)} first ${start.first.toFixed(4)} -> ${one.first.toFixed(4)} -> ${both.first.toFixed(4)}  retention ${(100 * retention).toFixed(1)} %  second -${gain.toFixed(4)}`,
        );
      }
    }
  }
}

/** The same rows for all ways. */
function taskOf(folder: string, name: string, train: string, valid: string, rows: number): Task {
  const held = linesOf(valid).map(asPrompt);
  return {
    train: writeLines(folder, `${name}-${rows}.jsonl`, linesOf(train).slice(0, rows).map(asPrompt)),
    select: writeLines(folder, `${name}-select.jsonl`, held.slice(HELD_OUT, HELD_OUT + SELECT)),
    heldOut: writeLines(folder, `${name}-held-out.jsonl`, held.slice(0, HELD_OUT)),
  };
}

function asPrompt(line: string): string {
  const { text, ...rest } = JSON.parse(line) as Readonly<Record<string, unknown>>;
  return text === undefined ? line : JSON.stringify({ prompt: text, response: JSON.stringify(rest) });
}

async function train(
  folder: string,
  key: string,
  task: Task,
  { lr, seed, steps, ratio, threads }: Setting,
  from?: { readonly adapter: string; readonly prompts: string; readonly isReplayed: boolean },
): Promise<string> {
  const evalEvery = Math.max(1, Math.ceil(steps / 4));
  const replay = {
    replay: 'self',
    replayPrompts: from?.prompts,
    ...(ratio === undefined ? {} : { replayRatio: ratio }),
  };
  return trainedRun(folder, key.replaceAll(' ', '-'), {
    model: MODEL,
    data: { train: task.train, valid: task.select },
    ...(from === undefined ? {} : { initAdapter: from.adapter }),
    method: { kind: 'sft', ...(from?.isReplayed ? replay : {}) },
    train: { steps, lr, seed, batch: BATCH },
    output: { evalEvery, saveEvery: evalEvery, keep: 0 },
    compute: { threads },
  });
}
