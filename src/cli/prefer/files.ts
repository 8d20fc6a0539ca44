import type { Selection } from '../../align/ranking/derive.ts';
import { readRankings } from '../../align/ranking/log.ts';
import { createRankings, type Rankings } from '../../align/ranking/rankings.ts';
import { AXES, type Axis, RATER_KINDS } from '../../align/ranking/types.ts';
import type { OptionSpecs, Values } from '../command.ts';

/** Options of commands that read files of rankings. */
export const selectionOptions = {
  axis: { type: 'string', choices: AXES, description: 'which judgements count', default: 'overall' },
  rater: { type: 'string', value: 'NAME', many: true, description: 'only judgements of this rater' },
  by: {
    type: 'string',
    choices: RATER_KINDS,
    description: 'only judgements of people, of models, or that were read in',
  },
} as const satisfies OptionSpecs;

/** Reads them. */
export function selectionOf({ axis, rater, by }: Values<typeof selectionOptions>): Selection {
  const kind = RATER_KINDS.find((name) => name === by);
  return { axis: (axis ?? 'overall') as Axis, raters: rater, kinds: kind === undefined ? undefined : [kind] };
}

/**
 * Reads several files of rankings into one. Raters of two files who have one name and judged the same are two, told apart by their file.
 *
 * @throws FILE_NOT_FOUND, PREFER_LOG
 */
export function readAllRankings(files: readonly string[]): Rankings {
  const all = createRankings();
  for (const file of files) {
    const { rankings } = readRankings(file);
    const taken = new Set(all.judgements().map(({ rater }) => rater.name));
    for (const item of rankings.items.values()) all.add({ type: 'item', item });
    for (const judgement of rankings.judgements()) {
      const { name, kind } = judgement.rater;
      const rater = { name: taken.has(name) ? `${name} (${file})` : name, kind };
      all.add({ type: 'judgement', judgement: { ...judgement, rater } });
    }
  }
  return all;
}
