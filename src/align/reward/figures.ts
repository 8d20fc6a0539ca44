import { correlation, mean, shareInterval } from '../../math/stats.ts';
import { calibrationError } from '../../train/classify/metrics.ts';
import type { TrainEvent } from '../../train/events.ts';
import { logSigmoid, sigmoid } from '../losses.ts';

/** The answers to one prompt, from the best to the worst. */
export interface RewardedRow {
  readonly rewards: readonly number[];
  /** Tokens of each answer. */
  readonly lengths: readonly number[];
}

/** How well a reward model tells better answers from worse ones. */
export type RewardFigures = Omit<TrainEvent & { readonly type: 'reward' }, 'type'>;

interface PairOfRewards {
  /** Of the better answer over the other. */
  readonly reward: number;
  readonly length: number;
}

/** Measures rewards against the ranking of the answers: every pair within a row counts. */
export function rewardFigures(rows: readonly RewardedRow[]): RewardFigures {
  const pairs = rows.flatMap(({ rewards, lengths }) =>
    rewards.flatMap((reward, i) =>
      rewards.slice(i + 1).map((other, j): PairOfRewards => {
        return { reward: reward - other, length: lengths[i]! - lengths[i + 1 + j]! };
      }),
    ),
  );
  const right = pairs.filter(({ reward }) => reward > 0).length;
  const predictions = pairs.map(({ reward }) => {
    return { predicted: [], actual: [0], probabilities: [sigmoid(reward), sigmoid(-reward)] };
  });
  const unequal = pairs.filter(({ length }) => length !== 0);
  const share = (isLonger: (pair: PairOfRewards) => boolean) =>
    unequal.length === 0 ? null : unequal.filter(isLonger).length / unequal.length;
  const answers = rows.flatMap(({ rewards, lengths }) => {
    const [reward, length] = [mean(rewards), mean(lengths)];
    return rewards.map((one, i) => ({ reward: one - reward, length: lengths[i]! - length }));
  });
  return {
    pairs: pairs.length,
    accuracy: right / pairs.length,
    interval: shareInterval(right, pairs.length),
    logLoss: mean(pairs.map(({ reward }) => -logSigmoid(reward))),
    calibrationError: calibrationError(predictions, 'single'),
    length: {
      pairs: unequal.length,
      preferred: share(({ length }) => length > 0),
      rewarded: share(({ reward, length }) => reward * length > 0),
      correlation: correlation(
        answers.map(({ reward }) => reward),
        answers.map(({ length }) => length),
      ),
    },
  };
}

/** Share of pairs by which the reward may lean towards longer answers more than people did. */
const LEANING = 0.1;

/** Held-out pairs that can tell little. */
const FEW = 20;

/** What is to be said of a reward model in plain words. */
export function rewardWarnings({
  accuracy,
  interval,
  pairs,
  length,
}: RewardFigures): { code: string; message: string }[] {
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
  const found: { code: string; message: string }[] = [];
  if (interval[0] <= 0.5) {
    const message = `${percent(accuracy)} of ${pairs} held-out pairs are told apart (${percent(interval[0])} to ${percent(interval[1])}): ${pairs < FEW ? 'too few pairs to tell that from guessing. Hold out more.' : "that can't be told from guessing. More rows or more steps may help; do not train on these rewards."}`;
    found.push({ code: 'REWARD_GUESSES', message });
  }
  const { preferred, rewarded } = length;
  if (preferred === null || rewarded === null) return found;
  const noise = 2 * Math.sqrt((preferred * (1 - preferred)) / length.pairs);
  if (rewarded - preferred > Math.max(LEANING, noise)) {
    const message = `the longer answer gets the larger reward in ${percent(rewarded)} of the held-out pairs, and people preferred it in ${percent(preferred)}: a model that is trained on these rewards will become wordy.`;
    found.push({ code: 'REWARD_LENGTH', message });
  }
  return found;
}
