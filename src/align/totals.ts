import type { BatchFacts, RowLoss } from './rules.ts';
import { type Answered, answerTokens } from './scored.ts';

/** Facts of a batch that are known before anything is computed. */
export function batchFacts(answers: readonly Answered[], together: 1 | 2): Omit<BatchFacts, 'kl'> {
  const chosen = answers.filter((_, i) => i % together === 0);
  const chosenTokens = chosen.reduce((n, answer) => n + answerTokens(answer).length, 0);
  return { rows: answers.length / together, chosenTokens };
}

/** Adds up what the rows of a batch come to. @param kl undefined where it is not estimated */
export function gather({ kl }: { readonly kl: number | undefined }) {
  let loss = 0;
  const means = new Map<string, { sum: number; count: number }>();
  const sums = new Map<string, number>();
  return {
    add(row: RowLoss): void {
      loss += row.loss;
      for (const [name, value] of Object.entries(row.means)) {
        const known = means.get(name) ?? { sum: 0, count: 0 };
        means.set(name, { sum: known.sum + value, count: known.count + 1 });
      }
      for (const [name, value] of Object.entries(row.sums)) sums.set(name, (sums.get(name) ?? 0) + value);
    },
    result(): { readonly loss: number; readonly metrics: Record<string, number> } {
      const metrics: Record<string, number> = { ...Object.fromEntries(sums), ...(kl === undefined ? {} : { kl }) };
      for (const [name, { sum, count }] of means) metrics[name] = sum / count;
      const [chosen, rejected] = [metrics['rewards/chosen'], metrics['rewards/rejected']];
      if (chosen !== undefined && rejected !== undefined) metrics['rewards/margins'] = chosen - rejected;
      return { loss, metrics };
    },
  };
}
