import { marksOf, orderedPairs, type Preferred, tiedPairs } from './opinion.ts';
import type { Rankings } from './rankings.ts';
import type { Axis, Judgement, Opinion, RankingItem, RaterKind } from './types.ts';

/** Which judgements count. */
export interface Selection {
  readonly axis: Axis;
  /** Names of raters; all if not given. */
  readonly raters?: readonly string[] | undefined;
  /** People, models, or both; all if not given. */
  readonly kinds?: readonly RaterKind[] | undefined;
}

/** A judgement with an opinion. */
export type Judged = Judgement & { readonly opinion: Opinion };

/** Which pairs of an order become rows. */
export const PAIR_RULES = ['all', 'best-worst'] as const;
export type PairRule = (typeof PAIR_RULES)[number];

/** What became of the judgements of several raters. */
export interface Derived<T> {
  readonly rows: readonly T[];
  /** What raters saw differently, half of them each way: it became nothing. */
  readonly undecided: number;
}

export interface DerivedPair {
  readonly item: RankingItem;
  readonly chosen: string;
  readonly rejected: string;
}

export interface DerivedMark {
  readonly item: RankingItem;
  readonly answer: string;
  readonly isGood: boolean;
}

/** Answers of an item from the best to the worst. */
export interface DerivedList {
  readonly item: RankingItem;
  readonly answers: readonly string[];
}

/** The judgements that count, by item, in the order of the items. */
export function selected(rankings: Rankings, { axis, raters, kinds }: Selection): Map<RankingItem, Judged[]> {
  const found = new Map<RankingItem, Judged[]>([...rankings.items.values()].map((item) => [item, []]));
  for (const judgement of rankings.judgements()) {
    const { item, opinion, rater } = judgement;
    const isMeant = (raters?.includes(rater.name) ?? true) && (kinds?.includes(rater.kind) ?? true);
    if (opinion !== undefined && judgement.axis === axis && isMeant)
      found.get(rankings.items.get(item)!)!.push({ ...judgement, opinion });
  }
  return new Map([...found].filter(([, judged]) => judged.length > 0));
}

/** Rows of two answers. Of several raters the majority decides; who mended an answer prefers his own text. */
export function derivePairs(rankings: Rankings, selection: Selection, rule: PairRule): Derived<DerivedPair> {
  const rows: DerivedPair[] = [];
  let undecided = 0;
  for (const [item, judged] of selected(rankings, selection)) {
    const votes = new Map<string, number>();
    const vote = (a: number, b: number, count: number) => {
      const key = `${Math.min(a, b)} ${Math.max(a, b)}`;
      votes.set(key, (votes.get(key) ?? 0) + (a < b ? count : -count));
    };
    for (const { opinion } of judged) {
      const { ranking } = opinion;
      if (ranking === undefined) continue;
      for (const [better, worse] of rule === 'all' ? orderedPairs(ranking) : bestWorst(opinion)) vote(better, worse, 1);
      for (const [one, other] of tiedPairs(ranking)) vote(one, other, 0);
    }
    const text = (at: number) => item.answers[at]!.text;
    for (const [key, balance] of votes) {
      const [a, b] = key.split(' ').map(Number) as [number, number];
      if (balance === 0) undecided += isOrdered(judged, a, b) ? 1 : 0;
      else rows.push({ item, chosen: text(balance > 0 ? a : b), rejected: text(balance > 0 ? b : a) });
    }
    rows.push(...editsOf(judged).map(({ of, text: mended }) => ({ item, chosen: mended, rejected: text(of) })));
  }
  return { rows: distinct(rows), undecided };
}

/** Each of the best answers with each of the worst. */
function bestWorst(opinion: Opinion): Preferred[] {
  const { good, bad } = marksOf(opinion.ranking === undefined ? {} : { ranking: opinion.ranking });
  return good.flatMap((better) => bad.map((worse) => [better, worse] as const));
}

/** Whether anybody put one of two answers above the other. */
function isOrdered(judged: readonly Judged[], a: number, b: number): boolean {
  return judged.some(
    ({ opinion: { ranking } }) =>
      ranking !== undefined && orderedPairs(ranking).some((pair) => pair.includes(a) && pair.includes(b)),
  );
}

const editsOf = (judged: readonly Judged[]) => judged.flatMap(({ opinion }) => opinion.edits ?? []);

/** Rows of one answer that is good or bad. Of several raters the majority decides. */
export function deriveMarks(rankings: Rankings, selection: Selection): Derived<DerivedMark> {
  const rows: DerivedMark[] = [];
  let undecided = 0;
  for (const [item, judged] of selected(rankings, selection)) {
    const votes = new Map<string, number>();
    const vote = (text: string, count: number) => void votes.set(text, (votes.get(text) ?? 0) + count);
    for (const { opinion } of judged) {
      const { good, bad } = marksOf(opinion);
      for (const at of good) vote(item.answers[at]!.text, 1);
      for (const at of bad) vote(item.answers[at]!.text, -1);
      for (const { of, text } of opinion.edits ?? []) {
        vote(text, 1);
        // A mended answer that was called good is one that could be better.
        if (!good.includes(of) && !bad.includes(of)) vote(item.answers[of]!.text, -1);
      }
    }
    for (const [answer, balance] of votes) {
      if (balance === 0) undecided++;
      else rows.push({ item, answer, isGood: balance > 0 });
    }
  }
  return { rows, undecided };
}

/**
 * Ranked lists of each rater. Equally good answers take turns in lists of their own, answers that were not compared with one another are left out, and
 * a mended answer stands above its original.
 */
export function deriveLists(rankings: Rankings, selection: Selection): Derived<DerivedList> {
  const rows: DerivedList[] = [];
  for (const [item, judged] of selected(rankings, selection)) {
    const text = (at: number) => item.answers[at]!.text;
    for (const { opinion } of judged) {
      const { ranking, edits = [] } = opinion;
      const groups = (ranking?.groups ?? []).filter((group, i) => i !== ranking?.uncompared || group.length === 1);
      const lists = groups.length < 2 ? 0 : Math.max(...groups.map((group) => group.length));
      for (let i = 0; i < lists; i++) {
        rows.push({ item, answers: groups.map((group) => text(group[i % group.length]!)) });
      }
      for (const { of, text: mended } of edits) rows.push({ item, answers: [mended, text(of)] });
    }
  }
  return { rows, undecided: 0 };
}

function distinct(rows: readonly DerivedPair[]): DerivedPair[] {
  const seen = new Set<string>();
  return rows.filter(({ item, chosen, rejected }) => {
    const key = JSON.stringify([item.id, chosen, rejected]);
    return !seen.has(key) && seen.add(key) !== undefined;
  });
}

/** How often the answers of a source won against those of others, of the pairs that were ordered. */
export interface Standing {
  readonly by: string;
  readonly won: number;
  readonly of: number;
}

/** Sources by the share of comparisons that they won; empty where all answers have one source. */
export function standings(rankings: Rankings, selection: Selection): Standing[] {
  const counts = new Map<string, { won: number; of: number }>();
  const count = (by: string, won: number) => {
    const own = counts.get(by) ?? { won: 0, of: 0 };
    counts.set(by, { won: own.won + won, of: own.of + 1 });
  };
  for (const [item, judged] of selected(rankings, selection)) {
    for (const { opinion } of judged) {
      for (const [better, worse] of opinion.ranking === undefined ? [] : orderedPairs(opinion.ranking)) {
        const [winner, loser] = [item.answers[better]!.by, item.answers[worse]!.by];
        if (winner === loser) continue;
        count(winner, 1);
        count(loser, 0);
      }
    }
  }
  return [...counts].map(([by, own]) => ({ by, ...own })).sort((a, b) => b.won / b.of - a.won / a.of);
}
