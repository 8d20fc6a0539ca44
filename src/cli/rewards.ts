import type { RewardFigures } from '../align/reward/figures.ts';
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

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
