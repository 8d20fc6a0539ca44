import { median } from '../../../math/stats.ts';
import type { RowSource } from '../../row.ts';
import type { Placed } from '../types.ts';

/** A row and what the model's tokens lost on it. */
export interface MeasuredRow {
  readonly source: RowSource;
  /** Mean over the supervised tokens, nats. */
  readonly loss: number;
  readonly tokens: number;
  readonly quote?: string | undefined;
}

/** Rows by which others are judged at least. */
const FEWEST = 20;
/** Deviations above the median, and nats, from which a row is told to be hard. */
const HARD = { deviations: 4, nats: 0.5 };
/** Nats per token that a text which the model never saw does not get below, and tokens from which that is no chance. */
export const RECITED = { nats: 0.3, tokens: 10 };

/** How far values lie above their median, in deviations that outliers do not widen (1.4826 MAD, that of a normal distribution). */
export function robustScores(
  values: readonly number[],
  narrowest: number,
): { readonly middle: number; of(value: number): number } {
  const middle = median(values) ?? 0;
  const deviation = 1.4826 * (median(values.map((value) => Math.abs(value - middle))) ?? 0);
  return { middle, of: (value) => (value - middle) / Math.max(narrowest, deviation) };
}

/** Evidence from 0 to 1: a half at `limit`, and more the further beyond it. */
export function evidence(value: number, limit: number): number {
  return value <= 0 ? 0 : value / (value + limit);
}

const nats = (value: number) => value.toFixed(2);

/**
 * Rows that are far harder for a model than the others, and rows that it knows before it is trained on them.
 *
 * @param when in words: "before training"
 */
export function* lossOutliers(rows: readonly MeasuredRow[], when: string): Iterable<Placed> {
  if (rows.length < FEWEST) return;
  const scores = robustScores(
    rows.map(({ loss }) => loss),
    0.15,
  );
  const limit = Math.min(RECITED.nats, scores.middle / 4);
  for (const { source, loss, tokens, quote } of rows) {
    // The mean of few tokens strays further by itself.
    const deviations = scores.of(loss) * Math.sqrt(tokens / (tokens + 4));
    if (deviations >= HARD.deviations && loss - scores.middle >= HARD.nats) {
      const message = `has a loss of ${nats(loss)} nats per token ${when}, where half of the rows are below ${nats(scores.middle)}.`;
      const score = evidence(deviations, HARD.deviations);
      yield { code: 'DATA_LOSS_HIGH', severity: 'review', source, message, quote, score };
    }
    if (loss <= limit && tokens >= RECITED.tokens) {
      const message = `has a loss of ${nats(loss)} nats per token ${when}, where half of the rows are above ${nats(scores.middle)}: the answer stands in the question, or the model saw it.`;
      yield { code: 'DATA_LOSS_LOW', severity: 'review', source, message, quote, score: 1 - 0.5 * (loss / limit) };
    }
  }
}

/** What questions must make their answers likelier by, nats per token, before one that does not can be told; and deviations below. */
const HELPED = { nats: 0.2, deviations: 2, tokens: 8 };

/**
 * Answers that their question makes no likelier, where questions do so elsewhere: the answer may belong to another. It tells swapped answers far better
 * than their loss does, which says mostly how plain an answer is.
 */
export function* unaskedFindings(
  rows: readonly (MeasuredRow & { readonly alone: number | undefined })[],
): Iterable<Placed> {
  const asked = rows.filter(({ alone, tokens }) => alone !== undefined && tokens >= HELPED.tokens);
  if (asked.length < FEWEST) return;
  const gain = ({ alone, loss }: (typeof rows)[number]) => alone! - loss;
  const scores = robustScores(asked.map(gain), 0.1);
  if (scores.middle < HELPED.nats) return;
  for (const row of asked) {
    const deviations = -scores.of(gain(row));
    if (deviations < HELPED.deviations || gain(row) > scores.middle / 4) continue;
    const message = `has an answer that its question makes ${gain(row) > 0.005 ? `only ${nats(gain(row))} nats per token` : 'no'} likelier, where half of the questions help by ${nats(scores.middle)}.`;
    const { source, quote } = row;
    yield {
      code: 'DATA_UNASKED',
      severity: 'review',
      source,
      message,
      quote,
      score: evidence(deviations, HELPED.deviations),
    };
  }
}
