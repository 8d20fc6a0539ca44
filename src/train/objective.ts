import { TunesmithError } from '../errors/index.ts';
import type { RunConfig } from './config.ts';
import type { RunContext } from './context.ts';
import type { Dataset, DatasetOptions } from './dataset.ts';
import type { TrainEvent } from './events.ts';
import type { Evaluated } from './loop.ts';
import type { Method, OnlineMethod } from './methods.ts';
import type { OptimizerState, StepOptions, StepResult } from './step.ts';

/** What a run does whose loss is not that of its tokens. It is handed in: such objectives stand further right than the loop. */
export interface Objective {
  /** Reads, checks, splits and renders everything that the run trains and evaluates on. */
  readonly open: (options: DatasetOptions) => Promise<Dataset>;
}

/** The objective of a method; undefined for those that learn tokens or labels. */
export type Objectives = (method: Method) => Objective | undefined;

/** What an objective knows of its data beyond the examples. */
export interface Aligned {
  /** How many examples each row of a part has; they follow one another: 2 for pairs of answers. */
  readonly sizes: Readonly<Record<'train' | 'select' | 'report', readonly number[]>>;
  /** Whether the examples of a row share a micro-batch, for the loss is of all of them. */
  readonly staysTogether: boolean;
  /** Before the first step, and again when a run is resumed. */
  readonly begin: (run: RunContext, state: OptimizerState, signal: AbortSignal) => Promise<AlignedSession>;
}

/** A step as an objective takes it. */
export type AlignedStep = StepResult & {
  readonly realTokens: number;
  readonly warnings: readonly { readonly code: string; readonly message: string }[];
};

/** An objective at work in a run. */
export interface AlignedSession {
  /** @param rows of the batch, by number; see {@link Aligned.sizes} */
  readonly takeStep: (rows: readonly number[], options: StepOptions) => Promise<AlignedStep>;
  /** Loss and metrics on rows that are held out. */
  readonly evaluate: (
    part: 'select' | 'report',
    kind: 'baseline' | 'evaluate' | 'report',
    signal: AbortSignal,
  ) => Promise<Evaluated>;
  /** What is to be told of the best checkpoint, which is in the network then, on rows that were used for nothing else. */
  readonly finish?: (signal: AbortSignal) => AsyncGenerator<TrainEvent>;
}

/** Whether a method learns from answers that are ranked, marked or rewarded. */
export function isAligned({ kind }: Pick<Method, 'kind'>): boolean {
  return kind !== 'sft' && kind !== 'classify' && kind !== 'pretrain';
}

/** Examples of one row of a method that share a micro-batch, if rows are no longer lists. */
export function rowsTogether({ kind }: Pick<Method, 'kind'>): 1 | 2 {
  return kind === 'dpo' || kind === 'orpo' || kind === 'cpo' || kind === 'simpo' || kind === 'reward' ? 2 : 1;
}

/** Whether a method trains on answers that the model draws itself. */
export function isOnline(method: Method): method is OnlineMethod {
  return method.kind === 'grpo' || method.kind === 'rloo';
}

/** Options that have no effect on preferences, and why. */
const WITHOUT_EFFECT: Readonly<Record<string, readonly [flag: string, why: string]>> = {
  'data.trainOn': ['--train-on', 'the last answer of a row is what is preferred'],
  'data.shape': ['--shape', 'the columns of a preference say what it is'],
  'train.routerLoss': ['--router-loss', 'it goes with losses per token'],
};

/**
 * Refuses options that preferences would ignore, and smoothing for a loss that has none.
 *
 * @param origins where each value comes from, by dotted path
 * @throws CLI_OPTION_CONFLICT
 */
export function requireAlignedOptions({ method, weights }: RunConfig, origins: Readonly<Record<string, string>>): void {
  if (!isAligned(method)) return;
  const isGiven = (path: string) => {
    const origin = origins[path] ?? 'default';
    // A run that another starts from brings every value that it was told.
    return origin !== 'default' && !origin.startsWith('run ');
  };
  const conflict = (message: string, fix: string) => new TunesmithError('CLI_OPTION_CONFLICT', { message, fix });
  for (const [path, [flag, why]] of Object.entries(WITHOUT_EFFECT)) {
    if (isGiven(path)) throw conflict(`${flag} has no effect on --method ${method.kind}: ${why}.`, `leave ${flag} out`);
  }
  if (isOnline(method)) {
    requireOnlineOptions({ method, weights }, isGiven, conflict);
    return;
  }
  if (!('labelSmoothing' in method) || method.labelSmoothing === undefined || method.kind === 'simpo') return;
  if (SMOOTHED.includes(method.loss)) return;
  const message = `--label-smoothing has no effect on --loss ${method.loss}, only on ${SMOOTHED.join(', ')}.`;
  throw conflict(message, 'leave --label-smoothing out');
}

/** Options that have no effect on answers that the model draws, and why. */
const WITHOUT_EFFECT_ONLINE: Readonly<Record<string, readonly [flag: string, why: string]>> = {
  'data.maxLength': ['--max-length', '--max-tokens says how long answers get, and prompts are not cut'],
  'data.onLong': ['--on-long', 'prompts are not cut'],
};

function requireOnlineOptions(
  { method, weights }: { readonly method: OnlineMethod; readonly weights: RunConfig['weights'] },
  isGiven: (path: string) => boolean,
  conflict: (message: string, fix: string) => TunesmithError,
): void {
  for (const [path, [flag, why]] of Object.entries(WITHOUT_EFFECT_ONLINE)) {
    if (isGiven(path)) throw conflict(`${flag} has no effect on --method ${method.kind}: ${why}.`, `leave ${flag} out`);
  }
  if (method.reward === undefined) {
    const fix = '--reward numeric, or another of those that tunesmith train --help lists';
    throw new TunesmithError('CLI_ARGUMENT', { message: 'nothing says what answers are worth.', fix });
  }
  requireFastRollouts(method, weights);
  const importance = method.kind === 'grpo' && method.loss === 'cispo' ? method.importance : 'token';
  if (importance === 'sequence') {
    throw conflict(
      '--importance sequence has no effect on --loss cispo, which weighs tokens.',
      'leave one of them out',
    );
  }
  if (method.kind === 'grpo' && method.loss === 'cispo' && isGiven('method.epsilon')) {
    throw conflict('--epsilon has no effect on --loss cispo, only --epsilon-high.', 'leave --epsilon out');
  }
}

function requireFastRollouts({ rolloutPrecision }: OnlineMethod, weights: RunConfig['weights']): void {
  if (rolloutPrecision !== 'fast' || weights.kind !== 'full') return;
  const message = '--rollout-precision fast draws from the base weights of the file, which --weights full changes.';
  throw new TunesmithError('CLI_OPTION_CONFLICT', { message, fix: 'leave one of them out' });
}

/** Losses that take some pairs to be ranked the wrong way round. */
const SMOOTHED: readonly string[] = ['sigmoid', 'robust', 'exo_pair'];
