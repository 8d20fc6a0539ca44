import type { Opinion, Ranking } from './types.ts';

/** Two answers of an item of which the first is better. */
export type Preferred = readonly [better: number, worse: number];

/** All pairs that a ranking orders: answers of one group are no pair. */
export function orderedPairs({ groups }: Ranking): Preferred[] {
  return groups.flatMap((group, i) =>
    group.flatMap((better) => groups.slice(i + 1).flatMap((worse) => worse.map((other) => [better, other] as const))),
  );
}

/** Pairs that were called equally good. */
export function tiedPairs({ groups, uncompared }: Ranking): Preferred[] {
  return groups.flatMap((group, i) =>
    i === uncompared ? [] : group.flatMap((one, at) => group.slice(at + 1).map((other) => [one, other] as const)),
  );
}

/** Answers as good or bad: as they were marked, and where nothing was, the best group against the worst. */
export function marksOf({ good, bad, ranking }: Opinion): {
  readonly good: readonly number[];
  readonly bad: readonly number[];
} {
  if (good !== undefined || bad !== undefined) return { good: good ?? [], bad: bad ?? [] };
  const groups = ranking?.groups ?? [];
  if (groups.length < 2) return { good: [], bad: [] };
  const last = groups.length - 1;
  return {
    good: ranking?.uncompared === 0 ? [] : groups[0]!,
    bad: ranking?.uncompared === last ? [] : groups[last]!,
  };
}

/**
 * What is wrong with an opinion about `count` answers, in words, or undefined: answers that are not there or stand twice, an edit that changes
 * nothing, a good answer below a bad one, or no opinion at all.
 */
export function opinionFault(opinion: Opinion, answers: readonly string[]): string | undefined {
  const { ranking, good = [], bad = [], edits = [] } = opinion;
  const ranked = ranking?.groups.flat() ?? [];
  const isThere = (at: number) => Number.isInteger(at) && at >= 0 && at < answers.length;
  const lists = [ranked, [...good, ...bad], edits.map(({ of }) => of)];
  if (!lists.flat().every(isThere)) return 'names an answer that is not there.';
  if (lists.some((list) => new Set(list).size < list.length)) return 'names an answer twice.';
  if (ranking?.groups.some((group) => group.length === 0) === true) return 'has an empty group.';
  if (ranking !== undefined && ranked.length < 2) return 'orders fewer than two answers.';
  const at = ranking?.uncompared;
  if (at !== undefined && !(Number.isInteger(at) && at >= 0 && at < (ranking?.groups.length ?? 0))) {
    return 'names a group that is not there.';
  }
  const empty = edits.find(({ text, of }) => text.trim() === '' || text === answers[of]);
  if (empty !== undefined) return empty.text.trim() === '' ? 'has an empty edit.' : 'has an edit that changes nothing.';
  const contradicts = ranking && orderedPairs(ranking).some(([a, b]) => bad.includes(a) && good.includes(b));
  if (contradicts) return 'calls an answer bad and puts it above a good one.';
  return ranking === undefined && good.length + bad.length + edits.length === 0
    ? 'says nothing of the answers.'
    : undefined;
}
