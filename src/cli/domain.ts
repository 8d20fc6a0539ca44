import type { Message, Tool } from '../text/messages.ts';
import type { RunConfig } from '../train/config.ts';
import type { TrainEvent } from '../train/events.ts';

/** A model as commands hand it on: everything is a path by now. */
export interface ModelRequest {
  /** A .gguf file or a folder in Hugging Face layout; for a run of full weights its folder of weights. */
  readonly path: string;
  /** The hub id of the base, where it is known. */
  readonly hubId: string | undefined;
  /** A PEFT adapter folder. */
  readonly adapter: string | undefined;
  /** The run that the model is, whose frozen choices (system prompt, format, template clock) hold. */
  readonly run: string | undefined;
  readonly compute: {
    readonly device: RunConfig['compute']['device'];
    readonly threads?: number;
    readonly memory?: string;
  };
}

/** Something to answer or to continue. */
export type Prompt =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'messages'; readonly messages: readonly Message[]; readonly tools?: readonly Tool[] };

/** How tokens are chosen. */
export interface Sampling {
  readonly maxTokens: number;
  /** 0 is greedy. */
  readonly temperature: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly seed: number;
  readonly stop: readonly string[];
  readonly precision: 'exact' | 'fast';
}

/** What generation reports: pieces of text as they come, and each prompt's result. */
export type GenerateEvent =
  | { readonly type: 'token'; readonly index: number; readonly text: string }
  | {
      readonly type: 'result';
      readonly index: number;
      readonly text: string;
      readonly ids: readonly number[];
      readonly stop: 'eot' | 'string' | 'length';
      readonly promptTokens: number;
      readonly tokens: number;
      readonly tokensPerSecond: number;
    };

/** An open model. Base and adapter are switched per call, without loading the base again. */
export interface ModelSession {
  readonly hasAdapter: boolean;
  /** `chat` where the model has a chat template and its run was not trained on raw text. */
  readonly format: 'chat' | 'raw';
  /** The system prompt that the model was trained with, which conversations without one get. */
  readonly system: string | undefined;
  generate(
    prompts: readonly Prompt[],
    options: Sampling & {
      /** Without the adapter. */
      readonly base?: boolean;
      /** Number of the first prompt, for draws that do not depend on how a file is cut into calls. */
      readonly firstIndex?: number;
      readonly signal: AbortSignal;
    },
  ): AsyncIterable<GenerateEvent>;
  close(): Promise<void>;
}

/** A line of `score`. nll is a sum over supervised tokens, in nats. */
export type ScoreEvent =
  | { readonly type: 'row'; readonly row: number; readonly nll: number; readonly tokens: number }
  | { readonly type: 'total'; readonly nll: number; readonly tokens: number; readonly perplexity: number };

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

/** What a run will cost, from two real steps on its longest rows. */
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
  readonly automatic: Readonly<Record<string, { readonly value: unknown; readonly why: string }>>;
  readonly warnings: readonly { readonly code: string; readonly message: string }[];
  /** A cheaper choice, where the run takes long. */
  readonly cheaper: string | undefined;
}

/** A run that is ready to start. */
export interface PreparedRun {
  readonly plan: TrainPlan;
  /** The run's folder, which is made by {@link start}. */
  readonly path: string;
  start(signal: AbortSignal): AsyncIterable<TrainEvent>;
  close(): Promise<void>;
}

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
