import { alignment } from '../align/open.ts';
import { TunesmithError } from '../errors/index.ts';
import { abilities } from '../evaluate/abilities.ts';
import { verifiers } from '../evaluate/verifiers.ts';
import type { OnActivity } from '../train/activity.ts';
import type { RunConfigInput } from '../train/config.ts';
import type { TrainEvent } from '../train/events.ts';
import type { TrainPlan } from '../train/plan.ts';
import { type PreparedRun, prepareRun, type RunRequest, surroundings } from '../train/run.ts';
import { requireObject, resolveLayers } from './config.ts';
import { evaluateRun, type RunEvaluationEvent } from './evaluate-run.ts';
import { type FindOptions, finding } from './find.ts';
import { doneEvent, fromRequest, resumeRequest, startRequest } from './requests.ts';

/**
 * What to train: a run of its own (what `tunesmith.config.ts` would hold); a run to go on with, as it is; or a new run from the adapter and
 * the config of another, with what is to be different. A run is its name, its path, or `@last`.
 */
export type TrainInput =
  | RunConfigInput
  | { readonly resume: string }
  | ({ readonly from: string } & Partial<Omit<RunConfigInput, 'model' | 'initAdapter'>>);

/** What goes with a run that is started from code. Aborting `signal` saves the run after the step at hand; it can then be resumed. */
export interface TrainOptions extends FindOptions {
  /** Told what the run will cost, before it starts; its evaluation not included. */
  readonly onPlan?: (plan: TrainPlan) => void;
  /** Told of what takes long and yields no event, from the measuring before the run on. */
  readonly onActivity?: OnActivity;
  /** Opens the endpoint of a reward `judge:URL#MODEL`. Naming one in code is agreeing that prompts and answers are sent there. */
  readonly judgeKey?: string | undefined;
}

/** What a run reports: its training, and then what of it was learned and forgotten; the plan and the progress of `eval` are left out. */
export type RunEvent = TrainEvent | RunEvaluation;

type RunEvaluation = Exclude<RunEvaluationEvent, { type: 'plan' | 'progress' | 'done' }>;

/**
 * Fine-tunes a model: checks options and data, pulls the model if need be, measures, trains, says what was learned and what was forgotten
 * (`output: { eval: false }` leaves that out), and keeps everything in a run folder. Yields what happens; the last event, `done`, names the
 * folders of the best and the last weights. A run that is done yields that event only.
 *
 * ```ts
 * for await (const event of train({ model: 'smollm2-135m-instruct', data: 'support.jsonl' })) console.log(event);
 * ```
 *
 * @throws the catalogue errors, see docs/errors.md; an AggregateError of them where the config has several faults
 */
export async function* train(input: TrainInput, options: TrainOptions = {}): AsyncGenerator<RunEvent> {
  const request = await requestOf(input, options);
  const done = request.kind === 'resume' ? doneEvent(request.run) : undefined;
  if (done !== undefined) return yield done;
  const run = await prepareRun(request, surroundings(), options.onActivity, alignment(verifiers(options)), abilities);
  try {
    options.onPlan?.(run.plan);
    const signal = options.signal ?? new AbortController().signal;
    for await (const event of run.start(signal, options.onActivity)) {
      // The run is done from here on, whatever becomes of its evaluation.
      if (event.type === 'done') yield* evaluation(run, request, options, signal);
      yield event;
    }
  } finally {
    await run.close();
  }
}

async function* evaluation(
  run: PreparedRun,
  { base }: RunRequest,
  options: TrainOptions,
  signal: AbortSignal,
): AsyncGenerator<RunEvaluation> {
  if (run.config.output.eval === false) return;
  try {
    for await (const event of evaluateRun(run, base, finding(options).places.home, signal)) {
      if (event.type !== 'plan' && event.type !== 'progress' && event.type !== 'done') yield event;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function requestOf(input: TrainInput, options: TrainOptions): Promise<RunRequest> {
  const value = requireObject(input);
  const { places, pull } = finding(options);
  const { resume, from, ...config } = value;
  if (resume !== undefined) {
    const beside = Object.keys(value).find((key) => key !== 'resume' && value[key] !== undefined);
    if (beside === undefined) return resumeRequest(String(resume), places, pull);
    throw new TunesmithError('CLI_OPTION_CONFLICT', {
      message: `resume goes on with the run as it is, so ${beside} has no place beside it.`,
      fix: 'use from instead of resume to start a new run from its adapter',
    });
  }
  const layer = { kind: 'code', value: config } as const;
  if (from !== undefined) return fromRequest(String(from), [layer], places, pull);
  return startRequest(resolveLayers([layer]), places, pull);
}
