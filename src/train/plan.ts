import { dirname } from 'node:path';
import { type PreparedExample, stepsPerEpoch } from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { folderExists, freeDiskBytes } from '../io/index.ts';
import { parameterCount } from '../model/weights.ts';
import { sizeOf } from '../tensor/tensor.ts';
import { supervisedTokens } from '../text/example.ts';
import type { OnActivity } from './activity.ts';
import type { RunConfig } from './config.ts';
import type { Dataset } from './dataset.ts';
import type { Automatic, Frozen } from './freeze.ts';
import { microBatches } from './loop.ts';
import { type Measured, measure } from './measure.ts';
import type { MemoryPlan } from './memory.ts';
import { trainedTensors } from './names.ts';
import type { Network } from './network.ts';
import { isOnline } from './objective.ts';
import { optimizerBytes } from './optimisers/index.ts';
import { batchRows, rowExamples, unitSizes } from './pretrain/pretraining.ts';
import { replayedPerStep } from './retain/replay.ts';

/** What a run will cost, measured on its longest rows. */
export interface TrainPlan {
  readonly method: RunConfig['method']['kind'];
  /** Training rows; in pre-training blocks. */
  readonly rows: number;
  /** Rows or blocks that are replayed: how many there are, how many a step takes on average, and tokens of the whole run. */
  readonly replay?: { readonly rows: number; readonly perStep: number; readonly tokens: number };
  /** Validation rows that select and that report. */
  readonly validRows: number;
  /** Tokens of one epoch, and those with loss. */
  readonly tokens: number;
  readonly supervisedTokens: number;
  readonly steps: number;
  readonly trainableParameters: number;
  readonly minutes: number;
  /** Of a pass forward, for what is measured when the run is done. */
  readonly forwardSecondsPerToken: number;
  /** What the run will have at its peak, both processes together: the larger of what was predicted, and what was measured with a checkpoint on top. */
  readonly peakMemoryBytes: number;
  /** Reckoned from the programs before they ran. */
  readonly predictedMemoryBytes: number;
  /** After two steps on the longest rows. */
  readonly measuredMemoryBytes: number;
  readonly diskBytes: number;
  /** Values that were chosen automatically, by dotted path, and why. */
  readonly automatic: Automatic;
  readonly warnings: readonly { readonly code: string; readonly message: string }[];
  /** A cheaper choice, where the run takes long. */
  readonly cheaper: string | undefined;
}

/** Minutes above which a plan names a cheaper choice. */
const LONG_MINUTES = 30;

/** What a plan is made from. */
export interface PlanOptions {
  readonly dataset: Dataset;
  readonly frozen: Frozen;
  readonly memory: MemoryPlan;
  /** What is to be known about this start of the run, beside what is to be known about the data. */
  readonly warnings: TrainPlan['warnings'];
  /** Milliseconds. */
  readonly now: () => number;
  readonly onActivity: OnActivity;
}

/** Takes two real steps on the longest rows, and reckons the whole run from the second. @throws TRAIN_NOT_FINITE */
export async function makePlan(net: Network, options: PlanOptions): Promise<TrainPlan> {
  const { dataset, frozen, memory, now, onActivity } = options;
  const { loop } = frozen;
  const rows = longest(dataset, loop.order.batch);
  const long = rows.flat();
  const batches = microBatches(
    long.map(({ example }) => example),
    { ...loop.microBatch, together: unitSizes(dataset, rows) },
  ).toSorted((a, b) => b.ids.length - a.ids.length);
  const describeRows = () => long.map(({ row: { source } }) => `${source.file}:${source.line}`).join(', ');
  const evaluates = dataset.select.length + dataset.report.length > 0 || frozen.config.output.eval !== false;
  const measured = await measure(net, batches, { loop, describeRows, evaluates, now, onActivity });
  const examples = dataset.train.map(({ example }) => example);
  const shapes = [...trainedTensors(net)].map(({ handle }) => handle.shape);
  const trainable = shapes.reduce((n, shape) => n + sizeOf(shape), 0);
  const state = optimizerBytes(shapes, loop.optimizer.constants);
  const minutes = secondsOf(dataset, loop, measured) / 60;
  return {
    method: frozen.config.method.kind,
    rows: batchRows(dataset),
    validRows: rowExamples(dataset, 'select').length + rowExamples(dataset, 'report').length,
    ...replayOf(dataset, loop),
    tokens: tokensOf(dataset.train),
    supervisedTokens: examples.reduce((n, e) => n + supervisedTokens(e), 0),
    steps: loop.totalSteps,
    trainableParameters: trainable,
    minutes,
    forwardSecondsPerToken: measured.forwardSecondsPerToken,
    // A checkpoint reads the weights into this process.
    peakMemoryBytes: Math.max(measured.peakBytes + 4 * trainable, memory.predictedBytes),
    predictedMemoryBytes: memory.predictedBytes,
    measuredMemoryBytes: measured.peakBytes,
    // Each checkpoint holds weights and optimiser state; best and last hold weights; one is written beside before an old one goes.
    diskBytes:
      (folderBytes(net, trainable) + state) * (frozen.config.output.keep + 2) + 2 * folderBytes(net, trainable),
    automatic: { ...lengthChoice(dataset), ...frozen.automatic },
    warnings: [...dataset.warnings, ...options.warnings],
    cheaper: minutes > LONG_MINUTES ? cheaperChoice(frozen) : undefined,
  };
}

/** Seconds of steps and evaluations, those of the report at both ends included. */
function secondsOf(dataset: Dataset, loop: Frozen['loop'], measured: Measured): number {
  const evaluations = dataset.select.length === 0 ? 0 : Math.ceil(loop.totalSteps / loop.evalEvery) + 2;
  return (
    (epochsOf(loop) * tokensOf(dataset.train) + replayedTokens(dataset, loop)) * measured.secondsPerToken +
    loop.totalSteps * measured.secondsPerUpdate +
    (evaluations * tokensOf(dataset.select) + 2 * tokensOf(dataset.report)) * measured.forwardSecondsPerToken
  );
}

/** Tokens of a run that are replayed, about. */
function replayedTokens({ replay }: Dataset, { totalSteps, order }: Frozen['loop']): number {
  if (replay === undefined) return 0;
  return (totalSteps * replayedPerStep(order.batch, replay) * tokensOf(replay.examples)) / replay.blocks.length;
}

function replayOf(dataset: Dataset, loop: Frozen['loop']): Pick<TrainPlan, 'replay'> {
  const { replay } = dataset;
  if (replay === undefined) return {};
  const perStep = replayedPerStep(loop.order.batch, replay);
  return { replay: { rows: replay.blocks.length, perStep, tokens: Math.round(replayedTokens(dataset, loop)) } };
}

function epochsOf(loop: Frozen['loop']): number {
  return loop.totalSteps / stepsPerEpoch(loop.order);
}

function tokensOf(rows: readonly PreparedExample[]): number {
  return rows.reduce((n, { example }) => n + example.ids.length, 0);
}

/** The longest row that is trained, unless it was given. */
function lengthChoice({ maxLength, lengthOrigin }: Dataset): Automatic {
  return lengthOrigin === 'given' ? {} : { 'data.maxLength': { value: maxLength, why: lengthOrigin } };
}

/** The examples of as many of the longest rows as a step has. */
function longest(dataset: Dataset, count: number): (readonly PreparedExample[])[] {
  return rowExamples(dataset)
    .toSorted((a, b) => tokensOf(b) - tokensOf(a))
    .slice(0, count);
}

function cheaperChoice({ config, loop }: Frozen): string {
  const epochs = epochsOf(loop);
  if (config.weights.kind === 'full')
    return '--weights lora trains a hundredth of the numbers in about two thirds of the time.';
  if (isOnline(config.method)) return 'a lower --steps, --batch, --group or --max-tokens takes less.';
  if (epochs > 1) return `--epochs 1 takes about ${Math.round(100 / epochs)} % of the time.`;
  return 'fewer rows (--steps) or a shorter --max-length take proportionally less.';
}

/** Bytes of weights in a folder: what trains and what belongs to it, or the whole model. */
function folderBytes({ adapter, config }: Network, trainable: number): number {
  if (adapter === undefined) return 4 * Math.max(trainable, parameterCount(config));
  return 4 * [...adapter.constants.values()].reduce((n, { shape }) => n + sizeOf(shape), trainable);
}

/** @throws TRAIN_DISK if the run's folder would not fit */
export function requireDisk(plan: TrainPlan, run: string): void {
  let folder = dirname(run);
  while (!folderExists(folder)) folder = dirname(folder);
  const free = freeDiskBytes(folder);
  if (plan.diskBytes <= free) return;
  const gb = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new TunesmithError('TRAIN_DISK', {
    file: folder,
    message: `the run writes up to ${gb(plan.diskBytes)} and ${gb(free)} are free.`,
    fix: 'lower --keep, or choose another folder with --out',
  });
}
