import type { RewardFigures } from '../align/reward/figures.ts';
import type { TrainEvent } from '../train/events.ts';
import { countText } from './format.ts';

/** What a reward model reached, in words. */
export function rewardText({ pairs, accuracy, interval, logLoss, calibrationError, length }: RewardFigures): string {
  const range = `${percent(interval[0])} to ${percent(interval[1])}`;
  const lines = [
    `${countText(pairs)} pairs: ${percent(accuracy)} told apart (${range}), loss ${logLoss.toFixed(3)}, calibration error ${percent(calibrationError)}`,
  ];
  if (length.preferred !== null && length.rewarded !== null) {
    lines.push(
      `the longer answer is the better one in ${percent(length.preferred)} and gets the larger reward in ${percent(length.rewarded)} of them (correlation of reward and length ${length.correlation.toFixed(2)})`,
    );
  }
  return lines.join('\n');
}

/** What answers reach on prompts that were used for nothing else, in words. */
export function winText({
  rows,
  before,
  after,
  winRate,
  interval,
}: TrainEvent & { readonly type: 'win-rate' }): string {
  const range = `${percent(interval[0])} to ${percent(interval[1])}`;
  return `${countText(rows)} prompts that were used for nothing else: mean reward ${before.toFixed(3)} before, ${after.toFixed(3)} after; ${percent(winRate)} wins against the start (${range}, ties half)`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
