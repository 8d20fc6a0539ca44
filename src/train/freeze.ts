import { defaultEpochs, totalSteps } from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { automaticPeakRate, FLOORED, stepsOf } from '../math/schedule.ts';
import { methodOf } from '../model/adapters/index.ts';
import type { ModelConfig } from '../model/config.ts';
import type { RunConfig, TrainConfig } from './config.ts';
import type { LoopOptions } from './loop.ts';
import type { Method } from './methods.ts';
import { isAligned, isOnline } from './objective.ts';
import { CONSTANTS, constantsOf, type OptimizerOptions, RATES, takes } from './optimisers/index.ts';

/** A value that was chosen automatically, and why. */
export type Automatic = Readonly<Record<string, { readonly value: unknown; readonly why: string }>>;

/** The config with every automatic value filled in, and what the loop is told. */
export interface Frozen {
  readonly config: RunConfig;
  readonly loop: LoopOptions;
  readonly automatic: Automatic;
}

/** Evaluations and checkpoints of a run where the user sets neither. */
const TIMES_A_RUN = 10;

/** Preferences tell a model that can answer already how to: a tenth of the rate at which it learns to answer. */
const ALIGNED_RATE = 0.1;
/** What a model learns from its own answers asks for more: at a quarter SmolLM2 earns 0.85 instead of 0.09 for sums after ten steps, at half it forgets how to try. */
const ONLINE_RATE = 0.25;

/** Share of the steps in which the rate of wsd falls, where the user sets none. */
const DECAY = 0.2;

/** Fills in what the config leaves open, now that the rows are counted. A function of its arguments. */
export function freeze(config: RunConfig, model: ModelConfig, rows: number, targetTokens: number): Frozen {
  const automatic: Record<string, { value: unknown; why: string }> = {};
  const choose = <T>(key: string, given: T | undefined, chosen: () => readonly [T, string]): T => {
    if (given !== undefined) return given;
    const [value, why] = chosen();
    automatic[key] = { value, why };
    return value;
  };
  const { train, output, weights, method } = config;
  const factors = [
    [train.optimizer, RATES[train.optimizer]],
    [weights.kind, weights.kind === 'full' ? 1 : methodOf(weights).rate],
    [method.kind, methodRate(method)],
  ] as const;
  const isPretrained = method.kind === 'pretrain';
  // Weights that were just made have nothing to lose.
  const isCareful = weights.kind === 'full' && !(method.kind === 'pretrain' && method.fromScratch !== undefined);
  const peak = automaticPeakRate(isCareful ? 'full' : 'lora', model.hiddenSize);
  const lr = choose('train.lr', train.lr, () => [
    Number(factors.reduce((rate, [, factor]) => rate * factor, peak).toPrecision(3)),
    `5e-4 x (2000 / ${model.hiddenSize})^0.78${isCareful ? ' / 10 for full weights' : ''}${factors
      .filter(([, factor]) => factor !== 1)
      .map(([name, factor]) => ` x ${factor} for ${name}`)
      .join('')}`,
  ]);
  const epochs =
    train.steps === undefined
      ? choose('train.epochs', train.epochs, () =>
          isPretrained ? [1, 'documents are read once'] : [defaultEpochs(rows), `${rows} rows`],
        )
      : undefined;
  const order = { rows, batch: train.batch, shuffle: train.shuffle, seed: train.seed };
  const total = totalSteps(order, train.steps === undefined ? { epochs: epochs! } : { steps: train.steps });
  const everySteps = () =>
    [Math.max(1, Math.ceil(total / TIMES_A_RUN)), `${TIMES_A_RUN} times in ${total} steps`] as const;
  const evalEvery = choose('output.evalEvery', output.evalEvery, everySteps);
  const saveEvery = choose('output.saveEvery', output.saveEvery, everySteps);
  const { name: _, ...constants } = constantsOf(train.optimizer, train);
  const frozen: RunConfig = {
    ...config,
    train: { ...train, ...courseOf(train), ...constants, lr, ...(epochs === undefined ? {} : { epochs }) },
    output: { ...output, evalEvery, saveEvery },
  };
  const { clip, microBatch, pack, patience, warmup } = train;
  const { decay = 0, minLr } = courseOf(train);
  const [warmupSteps, decaySteps] = [stepsOf(warmup, total), stepsOf(decay, total)];
  return {
    config: frozen,
    automatic,
    loop: {
      order,
      totalSteps: total,
      schedule: { kind: train.schedule, peak: lr, warmupSteps, decaySteps, floor: minLr },
      optimizer: optimizerOptions(train),
      clip,
      microBatch: { pack, microBatch, targetTokens, share: sharesBeginnings(config) },
      evalEvery,
      saveEvery,
      patience,
    },
  };
}

function methodRate(method: Method): number {
  if (isOnline(method)) return ONLINE_RATE;
  return isAligned(method) && method.kind !== 'reward' ? ALIGNED_RATE : 1;
}

/** Whether tokens that rows begin with alike may be computed once: not where each has noise or masks of its own, or experts count tokens. */
function sharesBeginnings({ train, weights }: RunConfig): boolean {
  const hasMasks = 'dropout' in weights && weights.dropout > 0;
  return !hasMasks && train.neftuneAlpha === undefined && train.routerLoss === undefined;
}

/** What the optimiser is told. */
export function optimizerOptions(train: TrainConfig): OptimizerOptions {
  const { optimizer, weightDecay, loraPlusRatio = 1, seed } = train;
  return { constants: constantsOf(optimizer, train), weightDecay, loraPlusRatio, seed };
}

/** The options of the chosen schedule, those left open filled in. */
function courseOf({ schedule, decay, minLr }: TrainConfig): Pick<TrainConfig, 'decay' | 'minLr'> {
  return {
    ...(schedule === 'wsd' ? { decay: decay ?? DECAY } : {}),
    ...(FLOORED.includes(schedule) ? { minLr: minLr ?? 0 } : {}),
  };
}

/** Refuses options that the chosen optimiser or schedule would ignore. @throws CLI_OPTION_CONFLICT */
export function requireTaken({ train, weights }: Pick<RunConfig, 'train' | 'weights'>): void {
  const conflict = (message: string, fix: string) => {
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message, fix });
  };
  const flagOf = (key: string) => `--${key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;
  const { optimizer, schedule } = train;
  for (const key of CONSTANTS) {
    if (train[key] === undefined || takes(optimizer, key)) continue;
    const takers = (Object.keys(RATES) as (keyof typeof RATES)[]).filter((name) => takes(name, key));
    conflict(
      `${flagOf(key)} has no effect on --optimizer ${optimizer}, only on ${takers.join(', ')}.`,
      'leave one of them out',
    );
  }
  if (train.nesterov === true && train.momentum === 0) {
    conflict('--nesterov has no effect with --momentum 0.', 'leave one of them out');
  }
  if (train.decay !== undefined && schedule !== 'wsd') {
    conflict(`--decay has no effect on --schedule ${schedule}, only on wsd.`, 'leave one of them out');
  }
  if (train.minLr !== undefined && !FLOORED.includes(schedule)) {
    conflict(
      `--min-lr has no effect on --schedule ${schedule}, only on ${FLOORED.join(', ')}.`,
      'leave one of them out',
    );
  }
  if (train.loraPlusRatio !== undefined && weights.kind === 'full') {
    conflict('--lora-plus-ratio has no effect with --weights full.', 'leave one of them out');
  }
}

/** Refuses options that the chosen method would ignore. @throws CLI_OPTION_CONFLICT */
export function requireEffective(config: RunConfig, hasValidation: boolean): void {
  const conflict = (message: string, fix: string) => {
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message, fix });
  };
  if (config.weights.kind === 'full' && config.initAdapter !== undefined) {
    conflict('--init-adapter has no effect with --weights full.', 'leave one of them out');
  }
  if (config.train.steps !== undefined && config.train.epochs !== undefined) {
    conflict('--steps and --epochs cannot both set the length of the run.', 'leave one of them out');
  }
  for (const [option, given] of [
    ['--patience', config.train.patience],
    ['--eval-every', config.output.evalEvery],
  ] as const) {
    if (given === undefined || hasValidation) continue;
    conflict(`${option} has no effect without validation rows.`, `give --valid FILE|FRACTION or leave ${option} out`);
  }
}
