import { defaultEpochs, totalSteps } from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { automaticPeakRate, warmupSteps } from '../math/schedule.ts';
import type { ModelConfig } from '../model/config.ts';
import type { RunConfig } from './config.ts';
import type { LoopOptions } from './loop.ts';

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

/** Fills in what the config leaves open, now that the rows are counted. A function of its arguments. */
export function freeze(config: RunConfig, model: ModelConfig, rows: number, targetTokens: number): Frozen {
  const automatic: Record<string, { value: unknown; why: string }> = {};
  const choose = <T>(key: string, given: T | undefined, chosen: () => readonly [T, string]): T => {
    if (given !== undefined) return given;
    const [value, why] = chosen();
    automatic[key] = { value, why };
    return value;
  };
  const { train, output, weights } = config;
  const lr = choose('train.lr', train.lr, () => [
    Number(automaticPeakRate(weights.kind, model.hiddenSize).toPrecision(3)),
    `5e-4 x (2000 / ${model.hiddenSize})^0.78${weights.kind === 'full' ? ' / 10 for full weights' : ''}`,
  ]);
  const epochs =
    train.steps === undefined
      ? choose('train.epochs', train.epochs, () => [defaultEpochs(rows), `${rows} rows`])
      : undefined;
  const order = { rows, batch: train.batch, shuffle: train.shuffle, seed: train.seed };
  const total = totalSteps(order, train.steps === undefined ? { epochs: epochs! } : { steps: train.steps });
  const everySteps = () =>
    [Math.max(1, Math.ceil(total / TIMES_A_RUN)), `${TIMES_A_RUN} times in ${total} steps`] as const;
  const evalEvery = choose('output.evalEvery', output.evalEvery, everySteps);
  const saveEvery = choose('output.saveEvery', output.saveEvery, everySteps);
  const frozen: RunConfig = {
    ...config,
    train: { ...train, lr, ...(epochs === undefined ? {} : { epochs }) },
    output: { ...output, evalEvery, saveEvery },
  };
  const { weightDecay, beta1, beta2, eps, clip, microBatch, pack, patience } = train;
  return {
    config: frozen,
    automatic,
    loop: {
      order,
      totalSteps: total,
      schedule: { kind: train.schedule, peak: lr, warmupSteps: warmupSteps(train.warmup, total) },
      optimizer: { beta1, beta2, eps, weightDecay },
      clip,
      microBatch: { pack, microBatch, targetTokens },
      evalEvery,
      saveEvery,
      patience,
    },
  };
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
  if (config.train.patience !== undefined && !hasValidation) {
    conflict('--patience has no effect without validation rows.', 'give --valid FILE or leave --patience out');
  }
}
