import type { RewardFigures } from '../align/reward/figures.ts';
import type { BaseWeights } from '../model/base-forms.ts';
import type { Message, Tool } from '../text/index.ts';
import type { RunConfig } from '../train/config.ts';

/** A model to open: everything is a path. */
export interface ModelRequest {
  /** A .gguf file or a folder in Hugging Face layout; for a run of full weights its folder of weights. */
  readonly path: string;
  /** The hub id of the base, where it is known. */
  readonly hubId?: string | undefined;
  /** A PEFT adapter folder. */
  readonly adapter?: string | undefined;
  /** W + strength * delta; as it was trained if not given. */
  readonly strength?: number | undefined;
  /** The run that the model is, whose frozen choices (system prompt, format, template clock) hold. */
  readonly run?: string | undefined;
  readonly compute?: {
    readonly device?: RunConfig['compute']['device'];
    readonly threads?: number;
  };
  /** How the base lies in memory; default: that of the run, or f32. */
  readonly baseWeights?: BaseWeights | undefined;
}

/** Something to answer or to continue. */
export type Prompt =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'messages'; readonly messages: readonly Message[]; readonly tools?: readonly Tool[] };

/** How the rows of a file are read, beside what the run of the model froze. */
export interface RowReading {
  /** Roles of the file as roles of ours: `bot=assistant`. */
  readonly roles?: readonly string[] | undefined;
  /** Columns of the file as columns of ours: `input=question`. */
  readonly map?: readonly string[] | undefined;
  /** Data error codes that are let pass. */
  readonly allow?: readonly string[] | undefined;
}

/** A row to answer. */
export interface Question {
  readonly prompt: Prompt;
  /** The answer that the row brings, which the prompt does not show. */
  readonly reference: string | undefined;
}

/** The questions of a file, checked: each can be rendered and leaves room for an answer. */
export interface Questions {
  readonly questions: readonly Question[];
  /** sha256 of the file. */
  readonly file: string;
  /** sha256 of the token ids of all prompts. */
  readonly prompts: string;
}

/** What a model's answers depend on: sha256 of its weights, and of its adapter where it has one. */
export interface ModelIdentity {
  readonly base: string;
  readonly adapter?: string;
}

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
  /** Most tokens of a prompt and its answer. */
  readonly contextLength: number;
  /** Stored types, and how many matrices of each, that `--precision fast` rounds to 8 bits. */
  readonly roundedByFast: Readonly<Record<string, number>>;
  /** Reads a file of rows to answer. @throws DATA_*, TEMPLATE_*, TOKENIZER_MISMATCH, GENERATE_PROMPT with file and line */
  questions(file: string, reading?: RowReading): Promise<Questions>;
  identity(): Promise<ModelIdentity>;
  generate(
    prompts: readonly Prompt[],
    options: Sampling & {
      /** Without the adapter. */
      readonly base?: boolean;
      /** For one prompt: what is computed is kept for the next such call, whose prompt may begin alike. */
      readonly keepCache?: boolean;
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
  /** Of a reward model: the rewards of the row's answers, in their order. */
  | { readonly type: 'row'; readonly row: number; readonly rewards: readonly number[] }
  /** Of a reward model; the figures are there where rows have several answers, the best one first. */
  | {
      readonly type: 'total';
      readonly answers: number;
      readonly meanReward: number;
      readonly figures?: RewardFigures;
    }
  | { readonly type: 'total'; readonly nll: number; readonly tokens: number; readonly perplexity: number };
