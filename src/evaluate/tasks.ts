import { fileURLToPath } from 'node:url';
import { readText, sha256 } from '../io/index.ts';
import type { Message } from '../text/index.ts';
import { type ChoiceItem, probeItems } from './probes/index.ts';
import { instructionItems, refusalItems } from './probes/instructions.ts';
import type { Constraint } from './scorers/constraints.ts';
import type { JsonSchema, Metric } from './scorers/index.ts';

/** Something to be answered, and what a right answer holds. */
export interface AnswerItem {
  /** A conversation, or text that is asked as a user's turn where the model chats. */
  readonly prompt: string | readonly Message[];
  readonly references: readonly string[];
  /** What JSON must be like. */
  readonly schema?: JsonSchema | undefined;
  /** Of code: what is run after it, and passes if it ends without a fault. */
  readonly tests?: string | undefined;
  readonly language?: CodeLanguage | undefined;
  /** What the answer must be like, as IFEval names it. */
  readonly constraints?: readonly Constraint[] | undefined;
  /** The row as the file has it, for a function of the user's. */
  readonly row?: unknown;
}

/** What code that models write is run by. */
export type CodeLanguage = 'javascript' | 'python';

/** How a function of the user's sees an answer. */
export interface AnswerToMark {
  readonly prompt: AnswerItem['prompt'];
  readonly answer: string;
  readonly references: readonly string[];
  readonly row: unknown;
}

/** What marks the answers to a task. */
export type Marking =
  | { readonly kind: 'metric'; readonly metric: Metric }
  /** Whether all constraints of the row are met. */
  | { readonly kind: 'constraints' }
  /** How well they pass for the references, which are texts of a brand. */
  | { readonly kind: 'voice' }
  /** The answer's code and the row's tests are run in a process that can reach nothing. */
  | { readonly kind: 'code' }
  /** Marks from 0 to 1, or whether it is right. */
  | {
      readonly kind: 'function';
      readonly mark: (answer: AnswerToMark) => number | boolean | Promise<number | boolean>;
    }
  /** A model that is shown the base's answer and the tuned one's, in both orders. */
  | { readonly kind: 'judge' };

/** What is measured: the likeliest of several choices, words that go on, the loss on text, or answers that are generated. */
export type Task =
  | {
      readonly kind: 'choice';
      readonly name: string;
      readonly items: readonly ChoiceItem[];
      /** By the log-probability of a choice (default), by that per character, or by the share of probability that true choices have. */
      readonly by?: 'sum' | 'characters' | 'mass';
    }
  /** Whether each token of what follows is the likeliest one. */
  | {
      readonly kind: 'cloze';
      readonly name: string;
      readonly items: readonly { readonly context: string; readonly target: string }[];
    }
  | { readonly kind: 'text'; readonly name: string; readonly items: readonly string[] }
  /** Text by its bytes, so that models with other tokenizers compare; `bytes` are those of the text as it was found. */
  | {
      readonly kind: 'bytes';
      readonly name: string;
      readonly items: readonly { readonly text: string; readonly bytes: number }[];
    }
  /** Rows of a run as token ids, -100 where a label is without loss. */
  | {
      readonly kind: 'rows';
      readonly name: string;
      readonly items: readonly { readonly ids: readonly number[]; readonly labels: readonly number[] }[];
    }
  | AnswerTask;

/** Questions that are answered greedily. */
export interface AnswerTask {
  readonly kind: 'answer';
  readonly name: string;
  readonly marking: Marking;
  readonly maxTokens: number;
  /** Strings that end an answer. */
  readonly stop?: readonly string[] | undefined;
  readonly items: readonly AnswerItem[];
}

/** The general text lies as deep beneath src as beneath dist. */
const GENERAL_TEXT = fileURLToPath(new URL('../../examples/general.txt', import.meta.url));

/** The probes of general ability and general text, one item a paragraph. */
export function quickSuite(): Task[] {
  const probes = Object.entries(probeItems()).map(([name, items]) => ({ kind: 'choice', name, items }) as const);
  return [...probes, { kind: 'text', name: 'general text', items: generalText() }];
}

/** Longest answers to generated probes, in tokens. */
const INSTRUCTION_TOKENS = 80;
const REFUSAL_TOKENS = 48;

/** The quick suite, and probes whose answers are generated: demands that a program can check, what to refuse, and what not to. */
export function fullSuite(): Task[] {
  const { harmful, harmless } = refusalItems();
  const generated = (name: string, maxTokens: number, items: readonly AnswerItem[]): Task => ({
    kind: 'answer',
    name,
    marking: { kind: 'constraints' },
    maxTokens,
    items,
  });
  return [
    ...quickSuite(),
    generated('instructions', INSTRUCTION_TOKENS, instructionItems()),
    generated('refusing harm', REFUSAL_TOKENS, harmful),
    generated('answering the harmless', REFUSAL_TOKENS, harmless),
  ];
}

/** The paragraphs of the general text. */
export function generalText(): string[] {
  const paragraphs = readText(GENERAL_TEXT)
    .split(/\n\s*\n|\n/)
    .map((text) => text.trim());
  return paragraphs.filter((text) => text !== '');
}

/** The first items of a task, evenly spread, so that all of its kinds stay. */
export function limited(task: Task, limit: number): Task {
  const n = task.items.length;
  if (n <= limit) return task;
  const items = Array.from({ length: limit }, (_, i) => task.items[Math.floor((i * n) / limit)]!);
  // Each kind of task has items of its own type, which picking does not change.
  return { ...task, items } as Task;
}

/** Equal for tasks that ask the same; how answers are marked is no part of it. */
export function taskHash({ name: _, ...task }: Task): string {
  if (task.kind !== 'answer') return sha256(JSON.stringify(task));
  const { kind, maxTokens, stop, items } = task;
  return sha256(JSON.stringify([kind, maxTokens, stop, items.map(({ prompt }) => prompt)]));
}
