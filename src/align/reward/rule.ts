import { mean } from '../../math/stats.ts';
import type { RewardMethod } from '../../train/methods.ts';
import { logSigmoid, sigmoid } from '../losses.ts';

/** What the rewards of one row come to. */
export interface RowOfRewards {
  readonly loss: number;
  /** Derivative of the loss by each reward. */
  readonly slopes: readonly number[];
  /** Pairs of answers, and how many of them have the larger reward where it belongs. */
  readonly pairs: number;
  readonly right: number;
  /** Mean over the pairs of how far the better answer's reward lies above the other's. */
  readonly margin: number;
}

/**
 * The negative log-likelihood of a ranking: of two answers Bradley-Terry's -log sigmoid(r1 - r2 - margin) (Ouyang et al. 2022, arXiv:2203.02155; margin:
 * Touvron et al. 2023, arXiv:2307.09288), of more Plackett-Luce's (Plackett 1975, doi:10.2307/2346567): each answer in turn against those below it.
 * `center` times the square of (2 / n) sum r keeps rewards around 0 (Eisenstein et al. 2023, arXiv:2312.09244).
 *
 * @param rewards from the best answer to the worst
 * @param margin by how much the first of two is better
 */
export function rewardRule(
  rewards: readonly number[],
  margin: number,
  { center = 0 }: Pick<RewardMethod, 'center'>,
): RowOfRewards {
  const n = rewards.length;
  const ranking = n === 2 ? ofPair(rewards[0]! - rewards[1]! - margin) : ofList(rewards);
  const middle = (2 / n) * rewards.reduce((a, b) => a + b, 0);
  const differences = rewards.flatMap((one, i) => rewards.slice(i + 1).map((other) => one - other));
  return {
    loss: ranking.loss + center * middle * middle,
    slopes: ranking.slopes.map((slope) => slope + center * 2 * middle * (2 / n)),
    pairs: differences.length,
    right: differences.filter((difference) => difference > 0).length,
    margin: mean(differences),
  };
}

interface Ranking {
  readonly loss: number;
  readonly slopes: readonly number[];
}

function ofPair(difference: number): Ranking {
  const slope = -sigmoid(-difference);
  return { loss: -logSigmoid(difference), slopes: [slope, -slope] };
}

function ofList(rewards: readonly number[]): Ranking {
  const slopes = new Array<number>(rewards.length).fill(0);
  let loss = 0;
  for (let first = 0; first < rewards.length - 1; first++) {
    const rest = rewards.slice(first);
    const most = Math.max(...rest);
    const weights = rest.map((r) => Math.exp(r - most));
    const total = weights.reduce((a, b) => a + b, 0);
    loss += most + Math.log(total) - rewards[first]!;
    slopes[first]! -= 1;
    for (const [i, weight] of weights.entries()) slopes[first + i]! += weight / total;
  }
  return { loss, slopes };
}

/** Adds up what the rows of a batch come to, under TRL's names. */
export function gatherRewards() {
  let [loss, rows, pairs, right, margins] = [0, 0, 0, 0, 0];
  const all: number[] = [];
  return {
    add(rewards: readonly number[], row: RowOfRewards): void {
      all.push(...rewards);
      loss += row.loss;
      rows++;
      pairs += row.pairs;
      right += row.right;
      margins += row.margin;
    },
    result(): { readonly loss: number; readonly metrics: Record<string, number> } {
      const metrics = {
        min_reward: all.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY),
        mean_reward: mean(all),
        max_reward: all.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY),
        accuracy: right / pairs,
        margin: margins / rows,
      };
      return { loss: loss / rows, metrics };
    },
  };
}
