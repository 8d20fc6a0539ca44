import { krippendorffAlpha } from '../../math/agreement.ts';
import { type Selection, selected } from './derive.ts';
import { orderedPairs, tiedPairs } from './opinion.ts';
import type { Rankings } from './rankings.ts';
import type { RankingItem, Rater } from './types.ts';

/** How far raters agree about the same things. */
export interface Alpha {
  /** Krippendorff's alpha; undefined where nothing was judged twice, or nothing could be told apart. */
  readonly alpha: number | undefined;
  /** What two raters or more have judged. */
  readonly units: number;
}

/** Two raters, and how often they said the same of a pair of answers. */
export interface Between {
  readonly one: string;
  readonly other: string;
  readonly same: number;
  readonly of: number;
}

/** A pair of answers that raters put in opposite orders. */
export interface Disagreement {
  readonly item: RankingItem;
  /** Two answers, the first one preferred by more. */
  readonly answers: readonly [string, string];
  readonly forFirst: readonly string[];
  readonly forSecond: readonly string[];
}

export interface Agreement {
  readonly raters: readonly (Rater & { readonly judged: number })[];
  /** On which of two answers is better: worse, equal, better in their order. */
  readonly pairs: Alpha;
  /** On whether an answer is good. */
  readonly marks: Alpha;
  readonly between: readonly Between[];
  /** Those that divide raters most evenly first. */
  readonly disagreements: readonly Disagreement[];
}

/** What raters said of one pair of answers: 1 the first is better, 0 both alike, -1 the second. */
interface PairUnit {
  readonly item: RankingItem;
  readonly answers: readonly [number, number];
  readonly said: Map<string, number>;
}

/** Compares what raters said of the same answers. */
export function agreementOf(rankings: Rankings, selection: Selection): Agreement {
  const judged = selected(rankings, selection);
  const raters = new Map<string, Rater & { judged: number }>();
  const marks = new Map<string, number[]>();
  const pairs = new Map<string, PairUnit>();
  for (const [item, judgements] of judged) {
    for (const { rater, opinion } of judgements) {
      raters.set(rater.name, { ...rater, judged: (raters.get(rater.name)?.judged ?? 0) + 1 });
      const said = { 1: opinion.good ?? [], 0: opinion.bad ?? [] };
      for (const value of [0, 1] as const) {
        for (const at of said[value]) {
          const key = `${item.id} ${at}`;
          marks.set(key, [...(marks.get(key) ?? []), value]);
        }
      }
      if (opinion.ranking === undefined) continue;
      for (const [a, b] of orderedPairs(opinion.ranking)) note(pairs, item, rater.name, a, b, 1);
      for (const [a, b] of tiedPairs(opinion.ranking)) note(pairs, item, rater.name, a, b, 0);
    }
  }
  const units = [...pairs.values()];
  return {
    raters: [...raters.values()],
    pairs: alphaOf(
      units.map(({ said }) => [...said.values()]),
      'ordinal',
    ),
    marks: alphaOf([...marks.values()], 'nominal'),
    between: betweenRaters([...raters.keys()], units),
    disagreements: units.flatMap(disagreement).sort((a, b) => evenness(b) - evenness(a)),
  };
}

function note(
  pairs: Map<string, PairUnit>,
  item: RankingItem,
  rater: string,
  a: number,
  b: number,
  value: number,
): void {
  const answers = a < b ? ([a, b] as const) : ([b, a] as const);
  const key = `${item.id} ${answers.join(' ')}`;
  const unit = pairs.get(key) ?? { item, answers, said: new Map<string, number>() };
  unit.said.set(rater, a < b ? value : -value + 0);
  pairs.set(key, unit);
}

function alphaOf(units: readonly (readonly number[])[], level: 'ordinal' | 'nominal'): Alpha {
  return { alpha: krippendorffAlpha(units, level), units: units.filter((unit) => unit.length > 1).length };
}

function betweenRaters(names: readonly string[], units: readonly PairUnit[]): Between[] {
  return names.flatMap((one, i) =>
    names.slice(i + 1).flatMap((other) => {
      const both = units.filter(({ said }) => said.has(one) && said.has(other));
      const same = both.filter(({ said }) => said.get(one) === said.get(other)).length;
      return both.length === 0 ? [] : [{ one, other, same, of: both.length }];
    }),
  );
}

function disagreement({ item, answers, said }: PairUnit): Disagreement[] {
  const who = (value: number) => [...said].filter(([, own]) => own === value).map(([name]) => name);
  const [first, second] = [who(1), who(-1)];
  if (first.length === 0 || second.length === 0) return [];
  const texts = answers.map((at) => item.answers[at]!.text) as [string, string];
  if (first.length >= second.length) return [{ item, answers: texts, forFirst: first, forSecond: second }];
  return [{ item, answers: [texts[1], texts[0]], forFirst: second, forSecond: first }];
}

const evenness = ({ forFirst, forSecond }: Disagreement) => forSecond.length / forFirst.length;
