import type { ModelRequest, ModelSession, Prompt, ScoreEvent } from '../evaluate/types.ts';
import type { RunConfig } from '../train/config.ts';
import type { PreparedRun } from '../train/run.ts';

export type { GenerateEvent, ModelRequest, ModelSession, Prompt, Sampling, ScoreEvent } from '../evaluate/types.ts';
export type { TrainPlan } from '../train/plan.ts';
export type { PreparedRun } from '../train/run.ts';

/** What `train` is asked for. */
export type TrainRequest =
  | {
      readonly kind: 'start';
      /** `config.model` is the name that the user gave; `base` is where it lies. */
      readonly config: RunConfig;
      readonly origins: Readonly<Record<string, string>>;
      readonly base: ModelRequest;
    }
  | { readonly kind: 'resume'; readonly run: string; readonly base: ModelRequest };

/** One finding of `doctor`. */
export interface Check {
  readonly name: string;
  readonly status: 'ok' | 'warning' | 'failed';
  readonly detail: string;
}

/** What the commands need of the domain; `wiring.ts` connects it. Everything bad is thrown as a TunesmithError. */
export interface Domain {
  prepareRun(request: TrainRequest): Promise<PreparedRun>;
  score(model: ModelRequest, data: readonly string[], signal: AbortSignal): AsyncIterable<ScoreEvent>;
  /** Renders what it is given and adds no special tokens. */
  tokenize(
    model: ModelRequest,
    input: Prompt,
    options: { readonly addGenerationPrompt: boolean },
  ): Promise<{ readonly ids: readonly number[]; readonly text: string }>;
  openModel(model: ModelRequest): Promise<ModelSession>;
  /** Devices, and a numerics self-test in under a minute. */
  checkEngine(signal: AbortSignal): AsyncIterable<Check>;
}
