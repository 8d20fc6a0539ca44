import { TunesmithError } from '../../errors/index.ts';
import type { OnlinePrompt } from './prompts.ts';

/** An answer that is to be rewarded. */
export interface AnswerToReward {
  readonly prompt: OnlinePrompt;
  /** Without special tokens. */
  readonly text: string;
  /** Ids of the answer, the token that ends it included. */
  readonly ids: readonly number[];
}

/** Says what answers are worth. */
export interface Reward {
  /** As in `rewards/NAME/mean`. */
  readonly name: string;
  /** Whether rows must bring the right answer. */
  readonly needsReference: boolean;
  score(answers: readonly AnswerToReward[], signal: AbortSignal): Promise<readonly number[]>;
}

/** Opens a verifier, a judge or a function by its name; undefined for a name that is none of them. */
export type OpenReward = (name: string) => Promise<Reward | undefined>;

/** A reward and what it counts. */
export interface WeighedReward {
  readonly reward: Reward;
  readonly weight: number;
}

/** `0.2*numeric` in its parts. @throws CLI_OPTION_VALUE for a weight that is no number */
export function parseReward(spec: string): { readonly name: string; readonly weight: number } {
  const [, weight, name = ''] = /^(?:([^*:/\\]*)\*)?(.+)$/s.exec(spec) ?? [];
  const value = weight === undefined ? 1 : Number(weight);
  if (Number.isFinite(value) && value !== 0 && weight?.trim() !== '') return { name, weight: value };
  throw new TunesmithError('CLI_OPTION_VALUE', {
    message: `--reward "${spec}": ${weight} is no weight.`,
    fix: 'write 0.2*numeric',
  });
}

/** Rewards of answers: of each kind, and added up. */
export interface Rewarded {
  readonly byName: readonly { readonly name: string; readonly values: readonly number[] }[];
  readonly totals: readonly number[];
}

/** Rewards answers. @throws REWARD_FAILED where a reward throws, gives none or no number */
export async function rewardAnswers(
  rewards: readonly WeighedReward[],
  answers: readonly AnswerToReward[],
  signal: AbortSignal,
): Promise<Rewarded> {
  const byName: { name: string; values: readonly number[] }[] = [];
  const totals = new Array<number>(answers.length).fill(0);
  for (const { reward, weight } of rewards) {
    const values = await scoresOf(reward, answers, signal);
    byName.push({ name: reward.name, values });
    for (const [i, value] of values.entries()) totals[i]! += weight * value;
  }
  return { byName, totals };
}

async function scoresOf({ name, score }: Reward, answers: readonly AnswerToReward[], signal: AbortSignal) {
  let values: readonly number[];
  try {
    values = await score(answers, signal);
  } catch (error) {
    if (error instanceof TunesmithError || signal.aborted) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new TunesmithError('REWARD_FAILED', { message: `${name} threw: ${why}`, cause: error });
  }
  if (values.length !== answers.length) {
    throw new TunesmithError('REWARD_FAILED', {
      message: `${name} gave ${values.length} rewards for ${answers.length} answers.`,
    });
  }
  const at = values.findIndex((value) => typeof value !== 'number' || !Number.isFinite(value));
  if (at < 0) return values;
  const { prompt, text } = answers[at]!;
  throw new TunesmithError('REWARD_FAILED', {
    ...prompt.row.source,
    message: `${name} gave ${String(values[at])} for the answer ${JSON.stringify(text.slice(0, 80))}.`,
  });
}
