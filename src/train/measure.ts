import type { MicroBatch } from '../data/index.ts';
import type { EngineStats } from '../engine/index.ts';
import type { OnActivity } from './activity.ts';
import type { LoopOptions } from './loop.ts';
import { forwardLoss, type Network } from './network.ts';
import { initialState, type OptimizerState, trainStep } from './step.ts';

/** What was measured on a machine, on real rows. */
export interface Measured {
  /** Of a step, for each token of its rows. */
  readonly secondsPerToken: number;
  /** Of a step, whatever it has of rows: the optimiser. */
  readonly secondsPerUpdate: number;
  /** Of an evaluation, for each token of its rows. */
  readonly forwardSecondsPerToken: number;
  /** Highest resident memory so far, of the engine's process and this one. */
  readonly peakBytes: number;
}

/** How it is measured. */
export interface MeasureOptions {
  readonly loop: LoopOptions;
  /** The longest rows, named when a loss is not finite. */
  readonly describeRows: () => string;
  /** Whether anything will be evaluated. */
  readonly evaluates: boolean;
  /** Milliseconds. */
  readonly now: () => number;
  readonly onActivity: OnActivity;
}

/** Micro-batches of a measured step: two, so that gradients are added up; more would cost time and tell nothing new. */
const MICRO_BATCHES = 2;

/**
 * Takes two whole steps, with backward pass, clipping and the optimiser, on the largest micro-batches, and throws away what came of them: at
 * a rate of 0 each parameter comes out as it went in, bit for bit, and the optimiser's state is one that is released. The first step compiles,
 * the second is timed.
 *
 * @param batches of a step of the longest rows, the largest first
 * @throws TRAIN_NOT_FINITE
 */
export async function measure(
  net: Network,
  batches: readonly MicroBatch[],
  options: MeasureOptions,
): Promise<Measured> {
  const { engine } = net;
  const { evaluates, now, onActivity } = options;
  const measured = batches.slice(0, MICRO_BATCHES);
  const total = evaluates ? 4 : 2;
  let done = 0;
  const timed = async (pass: () => Promise<unknown>): Promise<number> => {
    onActivity({ kind: 'measure', done, total, unit: 'passes' });
    const start = now();
    await pass();
    await engine.sync();
    onActivity({ kind: 'measure', done: ++done, total, unit: 'passes' });
    return (now() - start) / 1000;
  };
  const state = initialState(net, options.loop.optimizer);
  const step = () => trialStep(net, state, measured, options);
  await timed(step);
  const before = await engine.stats();
  const seconds = await timed(step);
  const after = await engine.stats();
  engine.release(...stateHandles(state));
  const secondsPerUpdate = Math.min(seconds, updateSeconds(net, before, after));
  const tokens = measured.reduce((n, batch) => n + batch.realTokens, 0);
  const forward = async () => engine.release(...forwardLoss(net, measured[0]!));
  if (evaluates) await timed(forward);
  const forwardSeconds = evaluates ? await timed(forward) : 0;
  return {
    secondsPerToken: (seconds - secondsPerUpdate) / tokens,
    secondsPerUpdate,
    forwardSecondsPerToken: forwardSeconds / measured[0]!.realTokens,
    peakBytes: (await engine.stats()).peakBytes + process.memoryUsage.rss(),
  };
}

function trialStep(
  net: Network,
  state: OptimizerState,
  batches: readonly MicroBatch[],
  { loop: { optimizer, clip }, describeRows }: MeasureOptions,
): Promise<unknown> {
  return trainStep(net, state, batches, { optimizer, clip, step: 1, lr: 0, describeRows });
}

function stateHandles(state: OptimizerState) {
  return [...state.values()].flatMap((group) => Object.values(group).flatMap((slots) => Object.values(slots)));
}

/** Time that went into programs which are not those of the passes: the gradients' norm and the update. */
function updateSeconds(net: Network, before: EngineStats, after: EngineStats): number {
  const passes = new Set([...net.programs.values()].map((program) => program.id));
  let ms = 0;
  for (const [id, total] of Object.entries(after.runMs)) {
    if (!passes.has(Number(id))) ms += total - (before.runMs[Number(id)] ?? 0);
  }
  return ms / 1000;
}
