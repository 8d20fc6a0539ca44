import type { Fields, FindingLog, RawRecord, RowSource } from '../../data/index.ts';
import { TunesmithError } from '../../errors/index.ts';
import { type DerivedList, type DerivedMark, type DerivedPair, deriveMarks, derivePairs } from './derive.ts';
import { readEvent } from './log.ts';
import { createRankings } from './rankings.ts';
import type { RankingItem } from './types.ts';

/** What judgements become: rows of two answers, or of one that is good or bad. */
export type RankedAs = 'pairs' | 'marks';

/** Answers of turns are messages, those of raw text texts. */
function answerOf({ prompt }: RankingItem, text: string): unknown {
  return typeof prompt === 'string' ? text : [{ role: 'assistant', content: text }];
}

const beside = ({ prompt, tools }: RankingItem): Fields => ({ prompt, ...(tools === undefined ? {} : { tools }) });

/** `{prompt, chosen, rejected}`, as TRL has it. */
export function pairFields({ item, chosen, rejected }: DerivedPair): Fields {
  const { prompt, ...rest } = beside(item);
  return { prompt, chosen: answerOf(item, chosen), rejected: answerOf(item, rejected), ...rest };
}

/** `{prompt, completion, label}`, as TRL has it for KTO. */
export function markFields({ item, answer, isGood }: DerivedMark): Fields {
  const { prompt, ...rest } = beside(item);
  return { prompt, completion: answerOf(item, answer), label: isGood, ...rest };
}

/** `{prompt, ranked: [best, ..., worst]}`. */
export function listFields({ item, answers }: DerivedList): Fields {
  const { prompt, ...rest } = beside(item);
  return { prompt, ranked: answers.map((text) => answerOf(item, text)), ...rest };
}

/** Records of a file of rankings that are taken one by one, and the rows that come of them once all are there. */
export interface RankedRows {
  take(record: RawRecord, file: string): void;
  /** Each with the line of its prompt. */
  rows(file: string): readonly { readonly source: RowSource; readonly fields: Fields }[];
}

/** Reads a file of rankings among other files of preferences: the judgements of all raters on the whole. What is wrong goes to the log. */
export function openRankedRows(as: RankedAs, log: FindingLog): RankedRows {
  const rankings = createRankings();
  const lines = new Map<string, number>();
  return {
    take: (record, file) => {
      const { line } = record;
      if ('code' in record) return void log.add({ code: record.code, file, line, message: record.message });
      try {
        const event = readEvent(record.value, rankings, file, line);
        if (event.type === 'item' && !lines.has(event.item.id)) lines.set(event.item.id, line);
        rankings.add(event);
      } catch (error) {
        if (!(error instanceof TunesmithError)) throw error;
        const { message, fix } = error.details;
        log.add({ code: error.code, file, line, message, fix });
      }
    },
    rows: (file) => {
      const { rows, undecided } =
        as === 'pairs' ? derivePairs(rankings, { axis: 'overall' }, 'all') : deriveMarks(rankings, { axis: 'overall' });
      if (undecided > 0) {
        const message = `holds ${undecided} ${as === 'pairs' ? 'pairs' : 'answers'} that as many raters prefer as not: they are left out.`;
        log.add({ code: 'DATA_RATERS_DIVIDED', file, message });
      }
      if (rows.length === 0)
        log.add({
          code: 'DATA_PREFERENCE',
          file,
          message: `holds no judgement that makes ${as === 'pairs' ? 'a pair' : 'an answer good or bad'}.`,
          fix: 'tunesmith prefer goes on with it.',
        });
      return rows.map((row) => ({
        source: { file, line: lines.get(row.item.id)! },
        fields: 'chosen' in row ? pairFields(row) : markFields(row),
      }));
    },
  };
}
