import type { Desk } from '../../align/ranking/desk.ts';
import { shownOrder } from '../../align/ranking/desk.ts';
import type { RankingFile } from '../../align/ranking/log.ts';
import type { Rater } from '../../align/ranking/types.ts';
import { TunesmithError } from '../../errors/index.ts';
import type { Judge } from '../../evaluate/judge.ts';
import { judgeRanking } from '../../evaluate/judge-ranking.ts';
import type { Context } from '../command.ts';
import { openProgress } from '../progress.ts';
import type { Left } from './terminal.ts';

/** Failures one after the other, after which a judge is asked no more. */
const GIVE_UP = 3;

/** What a judge works on. */
export interface JudgeSeat {
  readonly judge: Judge;
  readonly rater: Rater;
  readonly file: RankingFile;
  readonly desk: Desk;
  /** Resolves when an item has come or the last one was drawn. */
  changed(): Promise<void>;
}

/**
 * Lets a model judge all items that it has not judged yet. What failed stays open, and is tried again by the next call.
 *
 * @throws EVAL_JUDGE where it fails several times in a row; what it judged before is kept
 */
export async function askJudge({ judge, rater, file, desk, changed }: JudgeSeat, context: Context): Promise<Left> {
  const { signal, terminal } = context;
  const progress = openProgress(terminal, 'judge');
  const tried = new Set<string>();
  let [done, failures] = [0, 0];
  try {
    for (;;) {
      const item = [...file.rankings.items.values()].find(({ id }) => !tried.has(id));
      if (item === undefined && !desk.view(rater.name).isDrawing) break;
      if (item === undefined) {
        await changed();
        continue;
      }
      tried.add(item.id);
      if (file.rankings.judgement(item.id, 'overall', rater.name) !== undefined) continue;
      try {
        const opinion = await judgeRanking(item, judge, signal);
        if (opinion === undefined) continue;
        const shown = shownOrder(file.rankings, item, rater.name);
        file.add({
          type: 'judgement',
          judgement: { item: item.id, axis: 'overall', rater, at: new Date().toISOString(), shown, opinion },
        });
        failures = 0;
        done++;
        progress.update(done, file.rankings.items.size, `${done} of ${file.rankings.items.size} prompts`);
      } catch (error) {
        if (signal.aborted) return 'interrupted';
        failures++;
        const why = error instanceof Error ? error.message : String(error);
        progress.say(`no verdict: ${why}`);
        if (failures < GIVE_UP) continue;
        const message = `${judge.name} gave no verdict on ${GIVE_UP} prompts in a row; ${done} judgements are kept.`;
        throw new TunesmithError('EVAL_JUDGE', {
          message,
          fix: 'the same command goes on once it answers',
          cause: error,
        });
      }
    }
  } finally {
    progress.stop();
  }
  return signal.aborted ? 'interrupted' : 'done';
}
