import { buildMicroBatch, type MicroBatch, type OrderOptions, planMicroBatches, stepRows } from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { learningRate, type Schedule, type ScheduleOptions } from '../math/schedule.ts';
import type { Example } from '../text/example.ts';
import type { Progress } from './checkpoint.ts';
import type { TrainEvent } from './events.ts';
import type { Network } from './network.ts';
import type { AlignedSession, AlignedStep } from './objective.ts';
import type { OptimizerOptions } from './optimisers/index.ts';
import type { RowLoss } from './row-losses.ts';
import { type OptimizerState, type StepOptions, trainStep } from './step.ts';

/** What the loop is told; all of it is frozen in the run's config.json. */
export interface LoopOptions {
  readonly order: OrderOptions;
  readonly totalSteps: number;
  readonly schedule: { readonly kind: Schedule } & Omit<ScheduleOptions, 'totalSteps' | 'step'>;
  readonly optimizer: OptimizerOptions;
  readonly clip: number;
  readonly microBatch: {
    readonly pack: boolean;
    readonly microBatch?: number | undefined;
    readonly targetTokens: number;
    readonly share?: boolean;
    /** Examples of one row, or of each, which share a micro-batch. */
    readonly together?: number | readonly number[];
  };
  readonly evalEvery: number;
  readonly saveEvery: number;
  readonly patience: number | undefined;
}

/** The part of a run's progress that the loop keeps. */
export type LoopProgress = Omit<Progress, 'eventBytes' | 'rowBytes' | 'reportBase' | 'guard'>;

/** What an evaluation found. */
export type Evaluated = Omit<TrainEvent & { readonly type: 'eval' }, 'type' | 'step'>;

/** What the loop needs done for it; it knows no files and no clock. */
export interface LoopHooks {
  /** Mean loss on the selecting rows; undefined where there are none. */
  readonly evaluate: ((signal: AbortSignal) => Promise<Evaluated>) | undefined;
  /** Answers of the model to the fixed held-out prompts. */
  readonly sample: (signal: AbortSignal) => Promise<readonly { readonly prompt: string; readonly text: string }[]>;
  /** Keeps the model as the best so far. */
  readonly saveBest: () => Promise<void>;
  /** Writes a checkpoint and returns its path. */
  readonly save: (progress: LoopProgress) => Promise<string>;
  /** The examples of a step, whose batch has these rows; if not given, each row is one example. */
  readonly stepExamples?: ((step: number, rows: readonly number[]) => readonly number[]) | undefined;
  /** After each step, before anything is made of it. */
  readonly afterStep?: ((step: number) => void) | undefined;
  /** Given what each example of a step lost, before that step's event; not called where the loss is not of tokens. */
  readonly onRows?: ((step: number, rows: readonly RowLoss[]) => void) | undefined;
  /** Takes a step on the rows of its batch where the loss is not that of the examples' tokens. */
  readonly takeStep?: AlignedSession['takeStep'] | undefined;
  /** After each step that no evaluation follows; what it returns are events. */
  readonly betweenEvaluations?: ((step: number) => Promise<readonly TrainEvent[]>) | undefined;
  /** After each evaluation; what it returns are events. */
  readonly afterEvaluation?: ((step: number, found: Evaluated) => Promise<readonly TrainEvent[]>) | undefined;
  /** What the learning rate is multiplied by. */
  readonly rate?: (() => number) | undefined;
  /** Whether training shall end for a reason of its own. */
  readonly isStopped?: (() => boolean) | undefined;
  /** Where an example came from, for messages. */
  readonly describeRow: (index: number) => string;
  /** Milliseconds. */
  readonly now: () => number;
}

/** How the loop ended. */
export type LoopEnd =
  | { readonly kind: 'done'; readonly steps: number }
  | { readonly kind: 'interrupted'; readonly step: number };

type LoopState = { -readonly [K in keyof LoopProgress]: LoopProgress[K] };

/**
 * The training loop: yields what happens, writes nothing itself. Each step is a function of (options, step, parameters), so that a run
 * that goes on from a checkpoint takes the very steps that an uninterrupted one takes.
 */
export async function* trainLoop(
  net: Network,
  optimizer: OptimizerState,
  examples: readonly Example[],
  options: LoopOptions,
  hooks: LoopHooks,
  from: LoopProgress,
  signal: AbortSignal,
): AsyncGenerator<TrainEvent, LoopEnd> {
  const { step, best, sinceBest, pendingEval } = from;
  const state: LoopState = { step, best, sinceBest, pendingEval };
  const rows = stepRows(options.order, state.step + 1);
  const isOver = () =>
    state.step >= options.totalSteps ||
    stopsEarly(state, options) ||
    (!state.pendingEval && hooks.isStopped?.() === true);
  for (;;) {
    if (state.pendingEval) {
      const finished = yield* evaluation(state, hooks, signal);
      if (!finished) return yield* interrupted(state, hooks);
    }
    const isNew = state.step > from.step;
    if (isNew && (isOver() || state.step % options.saveEvery === 0)) yield* checkpoint(state, hooks);
    if (isOver()) return { kind: 'done', steps: state.step };
    if (signal.aborted) return yield* interrupted(state, hooks);
    state.step++;
    yield* oneStep(net, optimizer, examples, rows.next().value.rows, options, hooks, state.step);
    const isDue = state.step % options.evalEvery === 0 || state.step === options.totalSteps;
    state.pendingEval = isDue && hooks.evaluate !== undefined;
    if (!state.pendingEval) yield* (await hooks.betweenEvaluations?.(state.step)) ?? [];
    if (signal.aborted) return yield* interrupted(state, hooks);
  }
}

function stopsEarly(state: LoopState, { patience }: LoopOptions): boolean {
  return patience !== undefined && !state.pendingEval && state.sinceBest >= patience;
}

async function* oneStep(
  net: Network,
  optimizer: OptimizerState,
  examples: readonly Example[],
  rows: readonly number[],
  options: LoopOptions,
  hooks: LoopHooks,
  step: number,
): AsyncGenerator<TrainEvent> {
  const start = hooks.now();
  const computed = hooks.stepExamples?.(step, rows) ?? rows;
  const { kind, ...course } = options.schedule;
  const lr = (hooks.rate?.() ?? 1) * learningRate(kind, { ...course, totalSteps: options.totalSteps, step });
  const describeRows = () => [...new Set(computed.map(hooks.describeRow))].join(', ');
  const told = { optimizer: options.optimizer, clip: options.clip, step, lr, describeRows };
  const plain = () => tokenStep(net, optimizer, examples, computed, options.microBatch, told);
  const { realTokens, warnings, rows: lost, ...result } = await (hooks.takeStep?.(rows, told) ?? plain());
  if (lost !== undefined) hooks.onRows?.(step, lost);
  hooks.afterStep?.(step);
  await net.engine.sync();
  const seconds = (hooks.now() - start) / 1000;
  yield { type: 'step', step, ...result, lr, tokensPerSecond: Math.round((realTokens / seconds) * 10) / 10 };
  for (const warning of warnings) yield { type: 'warning', ...warning };
}

/** A step whose loss is the mean over its tokens. */
async function tokenStep(
  net: Network,
  optimizer: OptimizerState,
  examples: readonly Example[],
  indices: readonly number[],
  layout: LoopOptions['microBatch'],
  options: StepOptions,
): Promise<AlignedStep> {
  const batches = microBatches(
    indices.map((index) => examples[index]!),
    layout,
  );
  const result = await trainStep(net, optimizer, batches, options);
  const rows = result.rows?.map((row) => ({ ...row, example: indices[row.example]! }));
  return { ...result, rows, realTokens: batches.reduce((n, batch) => n + batch.realTokens, 0), warnings: [] };
}

/** The micro-batches of a step's rows. */
export function microBatches(batch: readonly Example[], options: LoopOptions['microBatch']): MicroBatch[] {
  const plans = planMicroBatches(
    batch.map((example) => example.ids.length),
    options,
  );
  return plans.map((plan) => buildMicroBatch(batch, plan));
}

/** Evaluates, remembers the best, lets the model answer. @returns false if it was interrupted */
async function* evaluation(
  state: LoopState,
  hooks: LoopHooks,
  signal: AbortSignal,
): AsyncGenerator<TrainEvent, boolean> {
  let result: Evaluated;
  let samples: readonly { readonly prompt: string; readonly text: string }[];
  try {
    result = await hooks.evaluate!(signal);
    requireFinite(result.loss, state.step);
    samples = await hooks.sample(signal);
  } catch (error) {
    if (signal.aborted && error === signal.reason) return false;
    throw error;
  }
  const isBest = state.best === undefined || result.loss < state.best.loss;
  if (isBest) {
    state.best = { step: state.step, loss: result.loss };
    await hooks.saveBest();
  }
  state.sinceBest = isBest ? 0 : state.sinceBest + 1;
  state.pendingEval = false;
  yield { type: 'eval', step: state.step, ...result };
  yield* (await hooks.afterEvaluation?.(state.step, result)) ?? [];
  for (const [index, sample] of samples.entries()) yield { type: 'sample', step: state.step, index, ...sample };
  return true;
}

function requireFinite(loss: number, step: number): void {
  if (Number.isFinite(loss)) return;
  const message = `the loss on the validation rows is ${loss} after step ${step}.`;
  throw new TunesmithError('TRAIN_NOT_FINITE', { message, fix: 'lower --lr or lengthen --warmup' });
}

async function* checkpoint(state: LoopState, hooks: LoopHooks): AsyncGenerator<TrainEvent> {
  yield { type: 'checkpoint', step: state.step, path: await hooks.save({ ...state }) };
}

async function* interrupted(state: LoopState, hooks: LoopHooks): AsyncGenerator<TrainEvent, LoopEnd> {
  yield* checkpoint(state, hooks);
  return { kind: 'interrupted', step: state.step };
}
