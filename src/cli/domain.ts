import type { ClassifierSession } from '../evaluate/classification.ts';
import type { EvaluationEvent, EvaluationRequest } from '../evaluate/evaluation.ts';
import type { ModelRequest, ModelSession, Prompt, RowReading, ScoreEvent } from '../evaluate/types.ts';
import type { OnActivity } from '../train/activity.ts';
import type { PreparedRun, RunRequest } from '../train/run.ts';

export type { ClassifierSession } from '../evaluate/classification.ts';
export type {
  GenerateEvent,
  ModelRequest,
  ModelSession,
  Prompt,
  RowReading,
  Sampling,
  ScoreEvent,
} from '../evaluate/types.ts';
export type { TrainPlan } from '../train/plan.ts';
export type { PreparedRun, RunRequest } from '../train/run.ts';

/** One finding of `doctor`. */
export interface Check {
  readonly name: string;
  readonly status: 'ok' | 'warning' | 'failed';
  readonly detail: string;
}

/** What the commands need of the domain; `wiring.ts` connects it. Everything bad is thrown as a TunesmithError. */
export interface Domain {
  prepareRun(request: RunRequest, onActivity: OnActivity): Promise<PreparedRun>;
  score(
    model: ModelRequest,
    data: readonly string[],
    signal: AbortSignal,
    reading?: RowReading,
  ): AsyncIterable<ScoreEvent>;
  /** Renders what it is given and adds no special tokens. */
  tokenize(
    model: ModelRequest,
    input: Prompt,
    options: { readonly addGenerationPrompt: boolean },
  ): Promise<{ readonly ids: readonly number[]; readonly text: string }>;
  openModel(model: ModelRequest): Promise<ModelSession>;
  openClassifier(model: ModelRequest): Promise<ClassifierSession>;
  /** Lets a model and what it is compared with answer the same items. */
  evaluate(request: EvaluationRequest, signal: AbortSignal): AsyncIterable<EvaluationEvent>;
  /** Devices, and a numerics self-test in under a minute. */
  checkEngine(signal: AbortSignal): AsyncIterable<Check>;
}
