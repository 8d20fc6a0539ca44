import type { Message, Tool } from '../../text/index.ts';

/** What answers are compared by: on the whole, or by one property. */
export const AXES = ['overall', 'helpful', 'honest', 'harmless'] as const;
export type Axis = (typeof AXES)[number];

/** An answer that is judged. */
export interface DrawnAnswer {
  readonly text: string;
  /** What gave it, in words: who judges does not see this. */
  readonly by: string;
}

/** A prompt and the answers to it. Text where the model has no turns. */
export interface RankingItem {
  /** Of the prompt and the texts of its answers. */
  readonly id: string;
  readonly prompt: string | readonly Message[];
  readonly tools?: readonly Tool[];
  readonly answers: readonly DrawnAnswer[];
}

/** An order of answers, by their index in the item. */
export interface Ranking {
  /** From the best to the worst; answers of one group are equally good. */
  readonly groups: readonly (readonly number[])[];
  /** The group whose answers were not compared with one another, only with those of other groups. */
  readonly uncompared?: number;
}

/** An answer that a person has mended. */
export interface Edit {
  readonly of: number;
  readonly text: string;
}

/** What somebody thinks of the answers of an item; at least one of its parts is there. */
export interface Opinion {
  readonly ranking?: Ranking;
  readonly good?: readonly number[];
  readonly bad?: readonly number[];
  readonly edits?: readonly Edit[];
  readonly reason?: string;
}

/** Who judges: a person, a model that was asked, or a file that was read in. */
export const RATER_KINDS = ['person', 'model', 'import'] as const;
export type RaterKind = (typeof RATER_KINDS)[number];

export interface Rater {
  readonly name: string;
  readonly kind: RaterKind;
}

/** A judgement as it stands in the file. */
export interface Judgement {
  readonly item: string;
  readonly axis: Axis;
  readonly rater: Rater;
  /** An ISO 8601 time. */
  readonly at: string;
  /** The answers in the order in which they were shown. */
  readonly shown: readonly number[];
  /** Undefined where the item was passed over. */
  readonly opinion: Opinion | undefined;
}

/** A line of a file of rankings, which only grows. */
export type RankingEvent =
  /** The first line. */
  | { readonly type: 'prefer'; readonly version: 1; readonly seed: number }
  | { readonly type: 'item'; readonly item: RankingItem }
  | { readonly type: 'judgement'; readonly judgement: Judgement }
  /** Takes back the judgement of a rater. */
  | { readonly type: 'undo'; readonly item: string; readonly axis: Axis; readonly rater: string; readonly at: string };
