import { answersOf } from '../align/open.ts';
import { rewardFigures } from '../align/reward/figures.ts';
import { rewardsOf } from '../align/reward/session.ts';
import { loadPreferences, type PreferenceRow } from '../align/rows.ts';
import { type Answered, answered, rewarded } from '../align/scored.ts';
import { assertNoErrors, createFindingLog, mergeGroups, readPairs } from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { mean } from '../math/stats.ts';
import { specialTexts } from '../text/index.ts';
import { requireVocabulary, rolesOf } from '../train/dataset.ts';
import { createNetwork } from '../train/network.ts';
import { indicesByRow } from '../train/pretrain/pretraining.ts';
import { rowRenderer } from '../train/rows.ts';
import { type OpenedText, openTextOf, openWeights } from './open.ts';
import type { ModelRequest, RowReading, ScoreEvent } from './types.ts';

/** Rows whose rewards are told together. */
const GROUP = 32;

/**
 * The rewards of answers by a reward model: of pairs and ranked lists also how often the better answer gets the larger one.
 *
 * @throws the errors of models, adapters and data
 */
export async function* scoreRewards(
  model: ModelRequest,
  data: readonly string[],
  signal: AbortSignal,
  reading: RowReading,
): AsyncGenerator<ScoreEvent> {
  const opened = openTextOf(model, reading, 'SEQ_CLS');
  const { rows, answers } = await readAnswers(opened, data);
  const { engine, base, adapter, score } = await openWeights(model, opened.source, 'SEQ_CLS');
  try {
    if (score === undefined) {
      throw new TunesmithError('CLASSIFIER_FILE', {
        file: model.adapter ?? model.path,
        message: 'its weights hold no head.',
      });
    }
    const net = createNetwork({ engine, base, adapter, classifier: { kind: 'reward', classes: 1, score } });
    const sizes = rows.map((row) => answersOf(row).length);
    const indices = indicesByRow(sizes);
    const rewards: number[] = [];
    for (let from = 0; from < rows.length; from += GROUP) {
      const own = indices.slice(from, from + GROUP).flat();
      rewards.push(
        ...(await rewardsOf(
          net,
          own.map((index) => answers[index]!),
          signal,
        )),
      );
      for (const [i, row] of indices.slice(from, from + GROUP).entries()) {
        yield { type: 'row', row: from + i, rewards: row.map((index) => rewards[index]!) };
      }
    }
    const ranked = indices
      .filter((row) => row.length > 1)
      .map((row) => ({
        rewards: row.map((index) => rewards[index]!),
        lengths: row.map((index) => answers[index]!.example.ids.length - answers[index]!.answerFrom),
      }));
    const figures = ranked.length === 0 ? {} : { figures: rewardFigures(ranked) };
    yield { type: 'total', answers: rewards.length, meanReward: mean(rewards), ...figures };
  } finally {
    await engine.close();
  }
}

async function readAnswers(
  { source, text, system, roles, map }: OpenedText,
  data: readonly string[],
): Promise<{ readonly rows: readonly PreferenceRow[]; readonly answers: readonly Answered[] }> {
  const { rows, findings } = await loadPreferences(data, {
    format: text.format,
    system,
    vocabSize: source.config.vocabSize,
    specialTokens: text.tokenizer === undefined ? [] : specialTexts(text.tokenizer),
    allow: text.allow,
    roles: rolesOf(roles),
    map: readPairs('map', map),
    singles: true,
  });
  const log = createFindingLog(text.allow);
  const render = rowRenderer({ ...text, trainOn: 'last' }, 'train');
  const { maxPositions, vocabSize } = source.config;
  const examples = rows.flatMap((row) =>
    answersOf(row).map((answer) => {
      const own = rewarded(answered(render(answer)[0]!));
      const tokens = own.example.ids.length;
      if (tokens > maxPositions) {
        const message = `has ${tokens} tokens, more than the ${maxPositions} positions of the model.`;
        log.add({ code: 'DATA_TOO_LONG', ...row.source, message });
      }
      return { row: answer, own };
    }),
  );
  assertNoErrors(mergeGroups(findings, log.groups()));
  requireVocabulary(
    examples.map(({ row, own: { example } }) => ({ row, example })),
    vocabSize,
  );
  return { rows, answers: examples.map(({ own }) => own) };
}
