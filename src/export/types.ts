import type { StoredTensor } from '../io/stored.ts';
import type { PeftAdapter } from '../model/peft.ts';
import type { ModelSource } from '../model/source.ts';
import type { TextTools } from '../text/index.ts';
import type { MergedModel } from './merge.ts';

/** What a model can be exported to, with the number formats that each can have, the default first. */
export const EXPORT_TARGETS = {
  peft: [],
  safetensors: ['f16', 'bf16', 'f32'],
  gguf: ['q8_0', 'q4_k_m', 'q4_0', 'f16', 'bf16', 'f32'],
  'gguf-adapter': ['f32', 'f16'],
  ollama: ['q8_0', 'q4_k_m', 'q4_0', 'f16', 'bf16', 'f32'],
  onnx: ['f32', 'f16', 'q8', 'q4'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** One of {@link EXPORT_TARGETS}. */
export type ExportTarget = keyof typeof EXPORT_TARGETS;
/** How numbers lie in an export. */
export type Quant = (typeof EXPORT_TARGETS)[ExportTarget][number];

/** A tensor that could not have the type that its quantisation asks for, and the one that it got. */
export interface Fallback {
  readonly tensor: string;
  readonly wanted: string;
  readonly got: string;
}

/** The head of a classifier, and what its outputs stand for. */
export interface ExportedClassifier {
  /** One label for each input, or any number. */
  readonly kind: 'single' | 'multi';
  readonly labels: readonly string[];
  /** Logits are divided by it before they become probabilities. */
  readonly temperature: number;
  /** [classes, width] */
  readonly score: StoredTensor;
}

/** What a writer is given. */
export interface ExportJob {
  readonly source: ModelSource;
  readonly adapter: PeftAdapter | undefined;
  readonly merged: MergedModel;
  /** Undefined for a model that writes text. */
  readonly classifier: ExportedClassifier | undefined;
  readonly tools: Partial<TextTools>;
  /** The system prompt that the model was trained with, which goes into the chat template of what is merged. */
  readonly system: string | undefined;
  /** Undefined where the target knows only one. */
  readonly quant: Quant | undefined;
  /** Short name of the model: names of files, `general.name`. */
  readonly name: string;
  /** SPDX identifier, where it is known. */
  readonly licence: string | undefined;
  readonly hubId: string | undefined;
  /** The adapter's own folder. */
  readonly adapterFolder: string | undefined;
  /** At which the adapter is exported; 1 is as it was trained. */
  readonly strength: number;
  readonly shardBytes: number;
}

/** What was written, read back from the disk: weights by the readers that training uses, a program by what runs it. */
export interface ReadBack {
  readonly model:
    | { readonly kind: 'weights'; readonly source: ModelSource; readonly adapter: PeftAdapter | undefined }
    | { readonly kind: 'program'; readonly path: string };
  /** Undefined for an export without tokenizer and template. */
  readonly tools: Partial<TextTools> | undefined;
}

/** One target: how its files are made and read. */
export interface Writer {
  /** Bytes that will be written, about. Refuses what the format cannot say. @throws EXPORT_UNSUPPORTED */
  plan(job: ExportJob): { readonly bytes: number; readonly fallbacks: readonly Fallback[] };
  /** Writes the files; `onBytes` is told of each piece and may throw to stop. */
  write(job: ExportJob, folder: string, onBytes: (bytes: number) => void): Promise<void>;
  readBack(job: ExportJob, folder: string, now: Date): ReadBack;
  /** What the user does next, given the folder's name. */
  next(job: ExportJob, folder: string): string;
}
