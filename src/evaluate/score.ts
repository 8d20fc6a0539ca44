import { assertNoErrors, prepareExamples } from '../data/index.ts';
import { isRewardModel } from '../train/classify/file.ts';
import { requireVocabulary } from '../train/dataset.ts';
import { exampleLosses } from '../train/evaluate-loss.ts';
import { createNetwork } from '../train/network.ts';
import { rowRenderer } from '../train/rows.ts';
import { openTextOf, openWeights, rowsFor } from './open.ts';
import { scoreRewards } from './rewards.ts';
import type { ModelRequest, RowReading, ScoreEvent } from './types.ts';

/**
 * -log p of the supervised tokens of each row, in nats; the examples of a row (several, where the template rewrites history) are summed.
 * Adds no end of sequence, and a BOS only where the tokenizer does. A reward model gives answers their rewards instead.
 *
 * @throws the errors of models, adapters and data
 */
export async function* score(
  model: ModelRequest,
  data: readonly string[],
  signal: AbortSignal = new AbortController().signal,
  reading: RowReading = {},
): AsyncGenerator<ScoreEvent> {
  if (isRewardModel(model.adapter ?? model.path)) return yield* scoreRewards(model, data, signal, reading);
  const opened = openTextOf(model, reading);
  const { rows } = await rowsFor(opened, data, 'required');
  const render = rowRenderer(opened.text, 'score');
  const maxLength = opened.source.config.maxPositions;
  const { examples, findings } = prepareExamples(rows, render, { maxLength, onLong: 'error' });
  assertNoErrors(findings);
  requireVocabulary(examples, opened.source.config.vocabSize);
  const { engine, base, adapter } = await openWeights(model, opened.source);
  try {
    const net = createNetwork({ engine, base, adapter });
    const total = { nll: 0, tokens: 0 };
    let part = { nll: 0, tokens: 0 };
    let row = 0;
    let i = 0;
    for await (const loss of exampleLosses(
      net,
      examples.map(({ example }) => example),
      signal,
    )) {
      part = { nll: part.nll + loss.nll, tokens: part.tokens + loss.tokens };
      if (examples[i]?.row !== examples[++i]?.row) {
        yield { type: 'row', row: row++, ...part };
        total.nll += part.nll;
        total.tokens += part.tokens;
        part = { nll: 0, tokens: 0 };
      }
    }
    yield { type: 'total', ...total, perplexity: Math.exp(total.nll / total.tokens) };
  } finally {
    await engine.close();
  }
}
