import type { Message, Tool } from '../text/messages.ts';

/** Where a row came from; `line` counts from 1 (for .json arrays and tables: the record's number). */
export interface RowSource {
  readonly file: string;
  readonly line: number;
}

/** The labels of a row that is classified. */
export interface RowLabels {
  readonly names: readonly string[];
  /** Whether the row has a list of labels, of any length, or exactly one. */
  readonly kind: 'single' | 'multi';
}

/** A row after normalisation: one of the shapes that sft trains on. */
export type Row = { readonly source: RowSource; readonly labelled?: RowLabels } & (
  | { readonly kind: 'messages'; readonly messages: readonly Message[]; readonly tools?: readonly Tool[] }
  /** Raw prompt and completion, for a model without a chat template or with --format raw. */
  | { readonly kind: 'prompt'; readonly prompt: string; readonly completion: string }
  | { readonly kind: 'text'; readonly text: string }
  /** Taken as it is. */
  | { readonly kind: 'ids'; readonly ids: readonly number[]; readonly labels: readonly number[] }
);
