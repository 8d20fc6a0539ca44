import type { Axis, Judgement, RankingEvent, RankingItem } from './types.ts';

/** What a file of rankings comes to: its items, and the judgements that stand. */
export interface Rankings {
  /** Of the order in which answers are shown. */
  readonly seed: number;
  readonly items: ReadonlyMap<string, RankingItem>;
  /** In the order in which they were given. */
  judgements(): readonly Judgement[];
  judgement(item: string, axis: Axis, rater: string): Judgement | undefined;
  add(event: RankingEvent): void;
}

const keyOf = (item: string, axis: Axis, rater: string) => JSON.stringify([item, axis, rater]);

/** Rankings that grow event by event. Who judges again replaces what he said; an item comes once. */
export function createRankings(seed = 0): Rankings {
  const items = new Map<string, RankingItem>();
  const standing = new Map<string, Judgement>();
  return {
    seed,
    items,
    judgements: () => [...standing.values()],
    judgement: (item, axis, rater) => standing.get(keyOf(item, axis, rater)),
    add(event) {
      switch (event.type) {
        case 'prefer':
          break;
        case 'item':
          if (!items.has(event.item.id)) items.set(event.item.id, event.item);
          break;
        case 'judgement': {
          const { item, axis, rater } = event.judgement;
          const key = keyOf(item, axis, rater.name);
          // The latest stands last.
          standing.delete(key);
          standing.set(key, event.judgement);
          break;
        }
        case 'undo':
          standing.delete(keyOf(event.item, event.axis, event.rater));
          break;
        default:
          event satisfies never;
      }
    },
  };
}
