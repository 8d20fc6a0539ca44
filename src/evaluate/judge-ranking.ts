import type { Opinion, RankingItem } from '../align/ranking/types.ts';
import { type Choice, type Judge, judgePrompt, verdictIn } from './judge.ts';

/**
 * Lets a judge rank the answers of an item: each pair is asked in both orders (Zheng et al. 2023, arXiv:2306.05685), what it says of one order only is a tie,
 * and answers stand by the comparisons that they won, ties counting half (Copeland's rule).
 *
 * @returns undefined where there is nothing to compare
 * @throws where the judge gives no answer or no verdict
 */
export async function judgeRanking(item: RankingItem, judge: Judge, signal: AbortSignal): Promise<Opinion | undefined> {
  const { answers } = item;
  if (answers.length < 2) return undefined;
  const won = answers.map(() => 0);
  for (const [i, one] of answers.entries()) {
    for (const [j, other] of answers.entries()) {
      if (j <= i) continue;
      const inOrder = await verdict(item, one.text, other.text, judge, signal);
      const swapped = await verdict(item, other.text, one.text, judge, signal);
      const share =
        inOrder === 'first' && swapped === 'second' ? 1 : inOrder === 'second' && swapped === 'first' ? 0 : 0.5;
      won[i]! += share;
      won[j]! += 1 - share;
    }
  }
  const scores = [...new Set(won)].sort((a, b) => b - a);
  const groups = scores.map((score) => won.flatMap((own, at) => (own === score ? [at] : [])));
  return { ranking: { groups } };
}

async function verdict(
  { prompt }: RankingItem,
  first: string,
  second: string,
  judge: Judge,
  signal: AbortSignal,
): Promise<Choice> {
  return verdictIn(await judge.ask(judgePrompt({ prompt, references: [] }, first, second), signal));
}
