import { homedir } from 'node:os';
import { join } from 'node:path';
import { TunesmithError } from '../errors/index.ts';
import { type PullEvent, pullModel } from '../io/cache.ts';
import { RunConfig, type RunConfigInput } from '../train/config.ts';
import type { TrainEvent } from '../train/events.ts';
import type { TrainPlan } from '../train/plan.ts';
import { prepareRun, surroundings } from '../train/run.ts';
import { resolveModel } from './models.ts';

/** What goes with a run that is started from code. */
export interface TrainOptions {
  /** Aborting saves the run after the step at hand; it can then be resumed. */
  readonly signal?: AbortSignal;
  /** The cache of models; `~/.cache/tunesmith` if not given. */
  readonly home?: string;
  /** Told what the run will cost, before it starts. */
  readonly onPlan?: (plan: TrainPlan) => void;
  /** Told how the pull of a missing model goes. */
  readonly onPull?: (event: PullEvent) => void;
}

/**
 * Fine-tunes a model: checks the data, pulls the model if need be, measures, trains, and keeps everything in a run folder.
 * Yields what happens; the last event, `done`, names the folders of the best and the last weights.
 *
 * @param config what `tunesmith.config.ts` would hold
 * @throws the catalogue errors, see docs/errors.md
 */
export async function* train(config: RunConfigInput, options: TrainOptions = {}): AsyncGenerator<TrainEvent> {
  const parsed = parseConfig(config);
  const base = await locate(parsed, options);
  const run = await prepareRun({ kind: 'start', config: parsed, origins: {}, base }, surroundings());
  try {
    options.onPlan?.(run.plan);
    yield* run.start(options.signal ?? new AbortController().signal);
  } finally {
    await run.close();
  }
}

/** @throws CLI_OPTION_VALUE naming the key */
function parseConfig(config: RunConfigInput): RunConfig {
  const parsed = RunConfig.safeParse(config);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const message = `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is not a config of a run.'}`;
  throw new TunesmithError('CLI_OPTION_VALUE', { message, cause: parsed.error });
}

async function locate(config: RunConfig, options: TrainOptions): Promise<{ path: string; hubId: string | undefined }> {
  const home = options.home ?? join(homedir(), '.cache', 'tunesmith');
  const found = resolveModel(config.model, { home, runs: config.output.out });
  if (found.kind === 'path') return { path: found.path, hubId: found.hubId };
  if (found.kind === 'missing') {
    const { id, sources, known } = found;
    const signal = options.signal === undefined ? {} : { signal: options.signal };
    const pulled = await pullModel({
      id,
      home,
      sources,
      ...signal,
      ...(options.onPull ? { onEvent: options.onPull } : {}),
    });
    return { path: pulled.path, hubId: known?.hubId ?? id };
  }
  throw new TunesmithError('CLI_OPTION_CONFLICT', {
    message: `${config.model} is a run; a run starts from a base model.`,
    fix: 'name the base as model and the best folder of the run as initAdapter',
  });
}
