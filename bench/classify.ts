/**
 * `npm run bench -- classify --data ROWS.(jsonl|csv) [--data OTHER] [--rows N] [--labels N] [--test N] [--steps N] [--threads N] [--keep DIR]`: a classifier over
 * LoRA r 16 on all linear layers of SmolLM2-135M, through us and through transformers + peft, on the same token ids, steps and rates; and TF-IDF with logistic
 * regression on the same texts. Prints macro-F1 with its bootstrap interval, time and peak memory; of ours also what share of the rows of the other
 * file is told apart from its own. With --keep the results of each side stay in a folder, and a second call goes on from there.
 *
 * Rows are {text, label} (or a table with text and label or category). A subset is drawn by a fixed seed, so that a run takes minutes.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { openRecords } from '../src/data/index.ts';
import { permutation, uniform } from '../src/math/random.ts';
import { percentile } from '../src/math/stats.ts';
import { openModelSource } from '../src/model/source.ts';
import { openText, renderRawPrompt, type Tokenizer } from '../src/text/index.ts';
import { classificationMetrics } from '../src/train/classify/metrics.ts';
import { baseModelPath } from '../test/support/base-model.ts';
import { peerPython } from './train.ts';

/** A row of the subset. */
interface Row {
  readonly text: string;
  readonly ids: readonly number[];
  readonly class: number;
}

/** What all sides are given. */
export interface ClassifyWorkload {
  readonly labels: readonly string[];
  readonly train: readonly Row[];
  /** Indices into `train`. */
  readonly steps: readonly (readonly number[])[];
  /** Rate of each step: warm-up over a tenth, then linear to 0. */
  readonly rates: readonly number[];
  /** Rows that calibrate. */
  readonly select: readonly Row[];
  readonly test: readonly Row[];
  /** Texts of another kind. */
  readonly odd: readonly (readonly number[])[];
}

/** What a side reports. */
export interface ClassifySide {
  /** Of each test row. */
  readonly predicted: readonly number[];
  readonly trainSeconds: number;
  readonly testSeconds: number;
  readonly peakBytes: number;
  readonly losses?: readonly number[];
  /** Of ours: share of pairs of an own and a foreign text that a measure of strangeness tells apart. */
  readonly none?: { readonly distance: number; readonly energy: number };
}

interface Size {
  readonly rows: number;
  readonly labels: number;
  readonly test: number;
  readonly steps: number;
}

const BATCH = 16;
const RATE = 1e-3;
const SELECT = 60;
const ODD = 60;
const RESAMPLES = 1000;

export async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      data: { type: 'string', multiple: true },
      rows: { type: 'string', default: '320' },
      labels: { type: 'string', default: '10' },
      test: { type: 'string', default: '200' },
      steps: { type: 'string', default: '40' },
      threads: { type: 'string' },
      python: { type: 'string' },
      keep: { type: 'string' },
    },
  });
  const gguf = baseModelPath();
  if (gguf === undefined) throw new Error('the base model is not there: npm run tunesmith -- pull');
  if (values.data === undefined) throw new Error('--data FILE names labelled rows');
  const size = { rows: +values.rows, labels: +values.labels, test: +values.test, steps: +values.steps };
  const threads = values.threads ?? String(availableParallelism());
  const python = values.python ?? peerPython();
  const { tokenizer } = openText(openModelSource(gguf).text!, { now: new Date(0) });
  const sets = await Promise.all(values.data.map((file) => draw(file, size, tokenizer)));
  const folder = values.keep ?? mkdtempSync(join(tmpdir(), 'tunesmith-bench-'));
  mkdirSync(folder, { recursive: true });
  for (const [i, set] of sets.entries()) {
    const other = sets[(i + 1) % sets.length]!;
    const workload = {
      ...set.workload,
      odd: sets.length > 1 ? other.workload.test.slice(0, ODD).map(({ ids }) => ids) : [],
    };
    const { train, test, labels, steps } = workload;
    console.log(
      `${set.name}: ${labels.length} labels, ${train.length} rows to train in ${steps.length} steps of ${BATCH}, ${test.length} to test (${threads} threads)`,
    );
    const file = join(folder, `${i}.json`);
    writeFileSync(file, JSON.stringify(workload));
    const peers = join(import.meta.dirname, 'peers', 'peft');
    const result = (name: string) => join(folder, `${i}-${name}.json`);
    const own = [join(import.meta.dirname, 'classify-ours.ts'), gguf, file, threads];
    const ours = side(result('ours'), process.execPath, own);
    print('tunesmith', ours, workload);
    const theirs = side(result('peft'), python, [join(peers, 'classify.py'), gguf, file, threads]);
    print('peft', theirs, workload, ours);
    print('TF-IDF + LR', side(result('tfidf'), python, [join(peers, 'tfidf.py'), file]), workload, ours);
  }
}

function print(name: string, one: ClassifySide, { test, labels }: ClassifyWorkload, ours?: ClassifySide): void {
  const actual = test.map((row) => row.class);
  const [low, high] = interval((pick) => macroF1(one.predicted, actual, labels, pick), test.length);
  const score = `macro-F1 ${macroF1(one.predicted, actual, labels).toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;
  const cost = `train ${one.trainSeconds.toFixed(1)} s, test ${one.testSeconds.toFixed(1)} s, peak ${(one.peakBytes / 1e9).toFixed(2)} GB`;
  console.log(`  ${name.padEnd(12)} ${score}  ${cost}`);
  if (one.none !== undefined && !Number.isNaN(one.none.distance)) {
    const [distance, energy] = [one.none.distance, one.none.energy].map((share) => `${(100 * share).toFixed(1)} %`);
    console.log(
      `               pairs of own and foreign texts told apart: ${distance} by distance, ${energy} by energy`,
    );
  }
  if (ours === undefined) return;
  const gain = interval(
    (pick) => macroF1(ours.predicted, actual, labels, pick) - macroF1(one.predicted, actual, labels, pick),
    test.length,
  );
  const [from, to] = gain.map((x) => x.toFixed(3));
  const [time, memory] = [ours.trainSeconds / one.trainSeconds, ours.peakBytes / one.peakBytes];
  console.log(
    `               ours: ${from} to ${to} macro-F1 more, ${time.toFixed(2)} of its time, ${memory.toFixed(2)} of its peak`,
  );
}

function macroF1(
  predicted: readonly number[],
  actual: readonly number[],
  labels: readonly string[],
  pick = [...actual.keys()],
) {
  const rows = pick.map((i) => ({
    predicted: [predicted[i]!],
    actual: [actual[i]!],
    probabilities: labels.map(() => 0),
  }));
  return classificationMetrics(rows, labels, 'single').macroF1;
}

/** 95 % bootstrap interval of a figure over resampled rows. */
function interval(figure: (rows: number[]) => number, rows: number): readonly [number, number] {
  const values = Array.from({ length: RESAMPLES }, (_, a) =>
    figure(Array.from({ length: rows }, (_, b) => Math.floor(uniform(0, 'bootstrap', a, b) * rows))),
  );
  return [percentile(values, 2.5)!, percentile(values, 97.5)!];
}

/** Runs a side, unless its result is there already. */
function side(result: string, command: string, args: readonly string[]): ClassifySide {
  if (existsSync(result)) return JSON.parse(readFileSync(result, 'utf8')) as ClassifySide;
  const { stdout, stderr, status } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr.slice(-2000)}`);
  const line = stdout.trim().split('\n').at(-1) ?? '';
  writeFileSync(result, line);
  return JSON.parse(line) as ClassifySide;
}

/** Distinct texts of the first labels by name, in an order of their own, cut into parts. */
async function draw(file: string, size: Size, tokenizer: Tokenizer) {
  const found = new Map<string, string>();
  for await (const record of openRecords(file).records) {
    if (!('value' in record)) continue;
    const { text, label, category } = record.value as Record<string, string>;
    if (text !== undefined) found.set(text, label ?? category ?? '');
  }
  const labels = [...new Set(found.values())].sort().slice(0, size.labels);
  const rows = [...found].flatMap(([text, label]): Row[] => {
    const k = labels.indexOf(label);
    return k < 0 ? [] : [{ text, ids: renderRawPrompt(text, tokenizer), class: k }];
  });
  const shuffled = [...permutation(0, 'subset', 0, rows.length)].map((i) => rows[i]!);
  const train = shuffled.slice(0, size.rows);
  const test = shuffled.slice(size.rows, size.rows + size.test);
  const select = shuffled.slice(size.rows + size.test).slice(0, SELECT);
  const perEpoch = Math.ceil(train.length / BATCH);
  const steps = Array.from({ length: size.steps }, (_, s) => {
    const order = permutation(0, 'order', Math.floor(s / perEpoch), train.length);
    return [...order.slice((s % perEpoch) * BATCH, ((s % perEpoch) + 1) * BATCH)];
  });
  const warmup = Math.ceil(size.steps / 10);
  const rates = steps.map((_, s) => RATE * Math.min((s + 1) / warmup, (size.steps - s) / (size.steps - warmup)));
  const workload: Omit<ClassifyWorkload, 'odd'> = { labels, train, steps, rates, select, test };
  return { name: basename(dirname(file)), workload };
}
