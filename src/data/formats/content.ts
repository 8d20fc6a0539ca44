import type { Message, Tool } from '../../text/messages.ts';
import type { RowLabels } from '../row.ts';

/** Formats of data files, by the names that `--format` and `--to` take. */
export const FORMATS = [
  'openai',
  'openai-preference',
  'prompt-completion',
  'alpaca',
  'sharegpt',
  'text',
  'labelled',
  'preference',
  'unpaired',
  'llamafactory',
  'tokens',
] as const;
export type Format = (typeof FORMATS)[number];

/** What a format is, for people. */
export const FORMAT_NAMES: Readonly<Record<Format, string>> = {
  openai: 'OpenAI chat {messages, tools}',
  'openai-preference': 'OpenAI preferences {input, preferred_output, non_preferred_output}',
  'prompt-completion': 'pairs {prompt, completion}',
  alpaca: 'Alpaca {instruction, input, output}',
  sharegpt: 'ShareGPT {conversations}',
  text: 'raw text {text}',
  labelled: 'texts or conversations with {label} or {labels}',
  preference: 'TRL preferences {prompt, chosen, rejected}',
  unpaired: 'TRL feedback {prompt, completion, label}',
  llamafactory: 'LLaMA-Factory, with its dataset_info.json',
  tokens: 'pre-tokenised {input_ids, labels}',
};

/** A conversation, and the tools that it may use. */
export interface Conversation {
  readonly messages: readonly Message[];
  readonly tools?: readonly Tool[];
}

/** What a record says, whatever format it is written in. */
export type Content =
  | ({ readonly kind: 'chat'; readonly labels?: RowLabels } & Conversation)
  | { readonly kind: 'text'; readonly text: string; readonly labels?: RowLabels }
  /** `labels` hold -100 where a token has no loss. */
  | { readonly kind: 'tokens'; readonly ids: readonly number[]; readonly labels: readonly number[] }
  /** A prompt and two answers to it, of which the first is the better one. */
  | {
      readonly kind: 'preference';
      readonly prompt: readonly Message[];
      readonly chosen: readonly Message[];
      readonly rejected: readonly Message[];
      readonly tools?: readonly Tool[];
    }
  /** A prompt, an answer, and whether it is a good one. */
  | {
      readonly kind: 'unpaired';
      readonly prompt: readonly Message[];
      readonly completion: readonly Message[];
      readonly good: boolean;
      readonly tools?: readonly Tool[];
    };
