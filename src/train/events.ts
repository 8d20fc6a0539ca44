import type { ClassificationMetrics, ClassMetrics } from './classify/metrics.ts';

import type { Ability, Act, Budget } from './retain/budget.ts';
import type { CurvePoint } from './retain/search.ts';

/** What a run reports, in the order in which it happens; one line each in events.jsonl and under --json. */
export type TrainEvent =
  | {
      readonly type: 'step';
      /** Counts from 1. */
      readonly step: number;
      /** Before the update: mean over the step's supervised tokens, nats; of preferences over its rows. */
      readonly loss: number;
      /** Global norm before clipping. */
      readonly gradNorm: number;
      readonly lr: number;
      /** Supervised tokens of the step. */
      readonly tokens: number;
      /** All non-padding tokens over the wall time of the whole step. */
      readonly tokensPerSecond: number;
      /** Of preferences, under TRL's names: `rewards/chosen`, `logps/rejected`, ... */
      readonly metrics?: Readonly<Record<string, number>> | undefined;
    }
  | {
      readonly type: 'eval';
      readonly step: number;
      readonly loss: number;
      readonly tokens: number;
      /** Of documents: the summed loss in bits, by the bytes of the text. */
      readonly bitsPerByte?: number | undefined;
      /** As those of a step. */
      readonly metrics?: Readonly<Record<string, number>> | undefined;
    }
  /** The answer of the model in training to one of three fixed held-out prompts. */
  | {
      readonly type: 'sample';
      readonly step: number;
      readonly index: number;
      readonly prompt: string;
      readonly text: string;
    }
  | { readonly type: 'checkpoint'; readonly step: number; readonly path: string }
  | { readonly type: 'warning'; readonly code: string; readonly message: string }
  /** Mean loss on rows that were used for nothing else, of the model that the run began with and of the best checkpoint. */
  | {
      readonly type: 'report';
      readonly before: number;
      readonly after: number;
      readonly tokens: number;
      /** Of documents. */
      readonly bitsPerByte?: { readonly before: number; readonly after: number } | undefined;
    }
  /** How the best checkpoint of a classifier labels rows that were used for nothing else. */
  | (Omit<ClassificationMetrics, 'classes'> & {
      readonly type: 'classification';
      /** With the probability from which each label is confident; null where no probability reaches the precision. */
      readonly classes: readonly (ClassMetrics & { readonly threshold: number | null })[];
      /** Always the labels that most training rows have. */
      readonly baseline: { readonly labels: readonly string[]; readonly accuracy: number; readonly macroF1: number };
      readonly calibrated?: {
        readonly temperature: number;
        /** That the thresholds were chosen for. */
        readonly precision: number;
        /** Labels that were given with confidence, and how many of them are right. */
        readonly confident: number;
        readonly confidentRight: number;
        /** Rows that came out as none of these. */
        readonly noneOfThese: number;
      };
    })
  /** Of answers that were drawn and rewarded: what the best checkpoint reaches on prompts that were used for nothing else, against the model as the run started. */
  | {
      readonly type: 'win-rate';
      readonly rows: number;
      /** Mean rewards. */
      readonly before: number;
      readonly after: number;
      /** Share of the prompts whose answer gets a larger reward, ties half, and its 95 % interval. */
      readonly winRate: number;
      readonly interval: readonly [low: number, high: number];
    }
  /** How a reward model's best checkpoint tells better answers from worse ones, in pairs that were used for nothing else. */
  | {
      readonly type: 'reward';
      readonly pairs: number;
      /** Share of the pairs whose better answer has the larger reward, and its 95 % interval. */
      readonly accuracy: number;
      readonly interval: readonly [low: number, high: number];
      /** Mean of -log sigmoid(difference), nats. */
      readonly logLoss: number;
      /** Mean distance of sigmoid(difference) and how often it is right. */
      readonly calibrationError: number;
      /** Of pairs with answers of unequal lengths: how often people preferred the longer one, and how often it has the larger reward; null where there are none. */
      readonly length: {
        readonly pairs: number;
        readonly preferred: number | null;
        readonly rewarded: number | null;
        /** Of reward and tokens, within rows. */
        readonly correlation: number;
      };
    }
  /** What the trainer did because the budget of forgetting was threatened, from the next step on. */
  | {
      readonly type: 'act';
      readonly step: number;
      readonly act: Act;
      /** Share of the budget that was used up. */
      readonly used: number;
    }
  /** What was chosen within the budget of forgetting, and from what. Losses in nats per token. */
  | {
      readonly type: 'forgetting';
      readonly budget: Budget;
      readonly start: Ability;
      /** From the least to the most that was forgotten. */
      readonly points: readonly CurvePoint[];
      readonly chosen: CurvePoint;
      readonly isKept: boolean;
      /** General text that chose nothing, of the start and of what was chosen. */
      readonly report: { readonly before: number; readonly after: number };
    }
  | { readonly type: 'done'; readonly steps: number; readonly best: string; readonly last: string };
