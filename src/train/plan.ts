import { dirname } from 'node:path';
import { stepsPerEpoch } from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { folderExists, freeDiskBytes } from '../io/index.ts';
import { sizeOf } from '../tensor/tensor.ts';
import type { Example } from '../text/example.ts';
import { supervisedTokens } from '../text/example.ts';
import type { Dataset } from './dataset.ts';
import type { Automatic, Frozen } from './freeze.ts';
import { microBatches } from './loop.ts';
import { trainedTensors } from './names.ts';
import { forwardLoss, microStep, type Network } from './network.ts';

/** What a run will cost, measured on its longest rows. */
export interface TrainPlan {
  readonly rows: number;
  /** Validation rows that select and that report. */
  readonly validRows: number;
  /** Tokens of one epoch, and those with loss. */
  readonly tokens: number;
  readonly supervisedTokens: number;
  readonly steps: number;
  readonly trainableParameters: number;
  readonly minutes: number;
  readonly peakMemoryBytes: number;
  readonly diskBytes: number;
  /** Values that were chosen automatically, by dotted path, and why. */
  readonly automatic: Automatic;
  readonly warnings: readonly { readonly code: string; readonly message: string }[];
  /** A cheaper choice, where the run takes long. */
  readonly cheaper: string | undefined;
}

/** Minutes above which a plan names a cheaper choice. */
const LONG_MINUTES = 30;

/** Runs two real micro-batches of the longest rows, forward and backward, and reckons the whole run from the second. */
export async function makePlan(
  net: Network,
  dataset: Dataset,
  frozen: Frozen,
  predictedBytes: number,
  extraWarnings: TrainPlan['warnings'],
  now: () => number,
): Promise<TrainPlan> {
  const examples = dataset.train.map(({ example }) => example);
  const { loop } = frozen;
  const secondsPerToken = await measure(net, longest(examples, loop.order.batch), frozen, now);
  const tokens = examples.reduce((n, e) => n + e.ids.length, 0);
  const held = [...dataset.select, ...dataset.report].reduce((n, { example }) => n + example.ids.length, 0);
  const epochs = loop.totalSteps / stepsPerEpoch(loop.order);
  const evaluations = dataset.select.length === 0 ? 0 : Math.ceil(loop.totalSteps / loop.evalEvery) + 2;
  const selectTokens = dataset.select.reduce((n, { example }) => n + example.ids.length, 0);
  const seconds =
    epochs * tokens * secondsPerToken.train +
    (evaluations * selectTokens + 2 * (held - selectTokens)) * secondsPerToken.forward;
  const trainable = [...trainedTensors(net)].reduce((n, { handle }) => n + sizeOf(handle.shape), 0);
  const minutes = seconds / 60;
  return {
    rows: dataset.train.length,
    validRows: dataset.select.length + dataset.report.length,
    tokens,
    supervisedTokens: examples.reduce((n, e) => n + supervisedTokens(e), 0),
    steps: loop.totalSteps,
    trainableParameters: trainable,
    minutes,
    // Measured before the optimiser's first step; a checkpoint reads weights and moments into this process.
    peakMemoryBytes:
      Math.max((await net.engine.stats()).peakBytes + 8 * trainable, predictedBytes) +
      process.memoryUsage.rss() +
      12 * trainable,
    // Each checkpoint holds weights and two moments; best and last hold weights; one is written beside before an old one goes.
    diskBytes: 4 * trainable * (3 * (frozen.config.output.keep + 2) + 2),
    automatic: frozen.automatic,
    warnings: [...dataset.warnings, ...extraWarnings],
    cheaper: minutes > LONG_MINUTES ? cheaperChoice(frozen, epochs) : undefined,
  };
}

/** As many of the longest examples as a step has rows. */
function longest(examples: readonly Example[], count: number): Example[] {
  return examples.toSorted((a, b) => b.ids.length - a.ids.length).slice(0, count);
}

async function measure(
  net: Network,
  examples: readonly Example[],
  frozen: Frozen,
  now: () => number,
): Promise<{ readonly train: number; readonly forward: number }> {
  const batch = microBatches(examples, frozen.loop.microBatch).toSorted((a, b) => b.ids.length - a.ids.length)[0]!;
  const step = async (): Promise<number> => {
    const start = now();
    const { nll, layers, outer } = microStep(net, batch, 0);
    net.engine.release(...nll, ...layers.flatMap((layer) => Object.values(layer)), ...Object.values(outer));
    await net.engine.sync();
    return (now() - start) / 1000;
  };
  await step();
  const train = await step();
  net.engine.release(...forwardLoss(net, batch));
  await net.engine.sync();
  const start = now();
  net.engine.release(...forwardLoss(net, batch));
  await net.engine.sync();
  return { train: train / batch.realTokens, forward: (now() - start) / 1000 / batch.realTokens };
}

function cheaperChoice({ config }: Frozen, epochs: number): string {
  if (config.weights.kind === 'full')
    return '--weights lora trains a hundredth of the numbers in about two thirds of the time.';
  if (epochs > 1) return `--epochs 1 takes about ${Math.round(100 / epochs)} % of the time.`;
  return 'fewer rows (--steps) or a shorter --max-length take proportionally less.';
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
