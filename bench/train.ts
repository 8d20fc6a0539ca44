/**
 * `npm run bench -- train [--data ROWS.jsonl] [--only NAME] [--threads N] [--dtypes float32,bfloat16]`: LoRA r 16 on all linear layers of SmolLM2-135M, through us and through
 * transformers + peft, on the same token ids, in one go. Prints rates, peaks and ratios. The peer's Python environment is made beside the cache.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openModelSource } from '../src/model/source.ts';
import { openText, renderExamples } from '../src/text/index.ts';
import { baseModelPath } from '../test/support/base-model.ts';

/** Token ids and labels, one optimiser step a batch. */
export interface Workload {
  readonly batches: readonly (readonly { readonly ids: readonly number[]; readonly labels: readonly number[] }[])[];
  readonly targetTokens?: number;
}

/** What one side measured; the first step is not counted. */
export interface Side {
  readonly tokensPerSecond: number;
  readonly peakBytes: number;
  readonly losses: readonly number[];
}

const STEPS = 4;

export async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      data: { type: 'string' },
      only: { type: 'string' },
      threads: { type: 'string' },
      python: { type: 'string' },
      dtypes: { type: 'string', default: 'float32,bfloat16' },
    },
  });
  const gguf = baseModelPath();
  if (gguf === undefined) throw new Error('the base model is not there: npm run tunesmith -- pull');
  const threads = values.threads ?? String(availableParallelism());
  const python = values.python ?? peerPython();
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-bench-'));
  for (const [name, workload] of workloads(gguf, values.data)) {
    if (values.only !== undefined && values.only !== name) continue;
    const file = join(folder, `${name}.json`);
    writeFileSync(file, JSON.stringify(workload));
    const ours = side(process.execPath, [join(import.meta.dirname, 'train-ours.ts'), gguf, file, threads]);
    const script = join(import.meta.dirname, 'peers', 'peft', 'train.py');
    console.log(`${name} (${threads} threads)`);
    print('tunesmith fp32', ours, undefined);
    for (const dtype of values.dtypes.split(',')) {
      const peer = side(python, [script, gguf, file, dtype, threads]);
      print(`peft ${dtype}`, peer, ours);
    }
  }
}

function print(label: string, { tokensPerSecond, peakBytes, losses }: Side, ours: Side | undefined): void {
  const figures = `${tokensPerSecond.toFixed(1).padStart(7)} tokens/s  ${(peakBytes / 1e9).toFixed(2)} GB  first loss ${losses[0]?.toFixed(4)}`;
  const ratio =
    ours === undefined
      ? ''
      : `  ours is ${(ours.tokensPerSecond / tokensPerSecond).toFixed(2)} x its rate at ${(ours.peakBytes / peakBytes).toFixed(2)} of its peak`;
  console.log(`  ${label.padEnd(15)} ${figures}${ratio}`);
}

function side(command: string, args: readonly string[]): Side {
  const { stdout, stderr, status } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  const line = stdout.trim().split('\n').at(-1) ?? '';
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr.slice(-2000)}`);
  return JSON.parse(line) as Side;
}

function* workloads(gguf: string, data: string | undefined): Generator<readonly [string, Workload]> {
  yield ['4x256', { batches: rectangle(4, 256) }];
  yield ['1x1024', { batches: rectangle(1, 1024) }];
  if (data !== undefined) yield ['rows', { batches: realRows(gguf, data) }];
}

/** Full rows of arbitrary tokens, all with loss. */
function rectangle(rows: number, length: number): Workload['batches'] {
  const row = (seed: number) => {
    const ids = Array.from({ length }, (_, i) => (i * 7919 + seed * 104_729 + 17) % 49_000);
    return { ids, labels: ids };
  };
  return Array.from({ length: STEPS }, (_, step) => Array.from({ length: rows }, (_, r) => row(step * rows + r)));
}

/** The first 80 rows, prompt and response through the chat template, batch 8. */
function realRows(gguf: string, data: string): Workload['batches'] {
  const source = openModelSource(gguf);
  const { tokenizer, template } = openText(source.text!, { now: new Date(0) });
  const rows = readFileSync(data, 'utf8').trim().split('\n').slice(0, 80);
  const examples = rows.map((line) => {
    const { prompt, response } = JSON.parse(line) as { prompt: string; response: string };
    const messages = [
      { role: 'user', content: prompt },
      { role: 'assistant', content: response },
    ] as const;
    const [example] = renderExamples(messages, undefined, { tokenizer, template: template!, trainOn: 'all' }).examples;
    return { ids: [...example!.ids], labels: [...example!.labels] };
  });
  return Array.from({ length: 10 }, (_, i) => examples.slice(8 * i, 8 * i + 8));
}

/** A Python with the peer's packages, made once. */
export function peerPython(): string {
  const home = join(homedir(), '.cache', 'tunesmith', 'bench-peft');
  const python = join(home, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
  if (existsSync(python)) return python;
  mkdirSync(home, { recursive: true });
  const run = (command: string, args: readonly string[]) => {
    const { status } = spawnSync(command, args, { stdio: 'inherit' });
    if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`);
  };
  run('python3', ['-m', 'venv', home]);
  run(python, ['-m', 'pip', 'install', '-r', join(import.meta.dirname, 'peers', 'peft', 'requirements.txt')]);
  return python;
}
