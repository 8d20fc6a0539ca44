import { permutation } from '../../math/random.ts';
import { changed, type Draft, type DraftAction, draftOf, draftOpinion, EMPTY_DRAFT } from './draft.ts';
import type { RankingFile } from './log.ts';
import type { Rankings } from './rankings.ts';
import type { Axis, Judgement, Opinion, RankingItem, Rater } from './types.ts';

/** What is asked next: answers in an order of their own for each rater, so that neither source nor place tells anything. */
export interface Step {
  readonly item: RankingItem;
  readonly axis: Axis;
  /** The answer at each place. */
  readonly order: readonly number[];
  /** Their texts. */
  readonly texts: readonly string[];
}

/** How far a rater is. */
export interface Progress {
  readonly done: number;
  readonly total: number;
}

/** What a rater sees. */
export interface View {
  /** Undefined where there is nothing to judge, for now or for good. */
  readonly step: Step | undefined;
  readonly draft: Draft;
  readonly progress: Progress;
  /** Answers are still being drawn. */
  readonly isDrawing: boolean;
  readonly canUndo: boolean;
}

/** What a rater does. */
export type Action = DraftAction | { readonly type: 'save' } | { readonly type: 'skip' } | { readonly type: 'undo' };

/** Where raters sit: each has a step before him and a draft of his own, and what is decided goes to the file at once. */
export interface Desk {
  view(rater: string): View;
  /** @throws DISK_FULL, FILE_WRITE_FAILED */
  act(rater: string, action: Action): void;
  /** Tells how many items there will be, and whether more are on their way. */
  expect(items: number, isDrawing: boolean): void;
}

/** The order in which a rater sees the answers of an item. */
export function shownOrder({ seed }: Rankings, { id, answers }: RankingItem, rater: string): number[] {
  return [...permutation(seed, `shown/${id}/${rater}`, 0, answers.length)];
}

/** Opens a desk over a file of rankings. */
export function openDesk(
  file: Pick<RankingFile, 'rankings' | 'add'>,
  { axes, now }: { readonly axes: readonly Axis[]; readonly now: () => Date },
): Desk {
  const { rankings } = file;
  // A draft belongs to the step that it was begun at.
  const drafts = new Map<string, { readonly of: string; readonly draft: Draft }>();
  let expected = 0;
  let isDrawing = false;

  /** Who passes an item over at its first axis has passed it over at all. */
  const isPassed = (item: string, axis: Axis, rater: string): boolean => {
    const first = rankings.judgement(item, axes[0]!, rater);
    if (first !== undefined && first.opinion === undefined) return true;
    return rankings.judgement(item, axis, rater) !== undefined;
  };

  const next = (rater: string): Step | undefined => {
    for (const item of rankings.items.values()) {
      const axis = axes.find((name) => !isPassed(item.id, name, rater));
      if (axis === undefined) continue;
      const order = shownOrder(rankings, item, rater);
      return { item, axis, order, texts: order.map((at) => item.answers[at]!.text) };
    }
    return undefined;
  };

  const draftFor = (rater: string, step: Step | undefined): Draft => {
    const kept = drafts.get(rater);
    return kept !== undefined && kept.of === stepKey(step) ? kept.draft : EMPTY_DRAFT;
  };

  const keep = (rater: string, step: Step | undefined, draft: Draft) =>
    void drafts.set(rater, { of: stepKey(step), draft });

  const progress = (rater: string): Progress => {
    const ids = [...rankings.items.keys()];
    const done = ids.reduce((n, id) => n + axes.filter((axis) => isPassed(id, axis, rater)).length, 0);
    return { done, total: Math.max(expected, ids.length) * axes.length };
  };

  const last = (rater: string) =>
    rankings.judgements().findLast((own) => own.rater.name === rater && axes.includes(own.axis));

  const decide = (rater: Rater, { item, axis, order }: Step, opinion: Opinion | undefined) => {
    const judgement: Judgement = { item: item.id, axis, rater, at: now().toISOString(), shown: order, opinion };
    file.add({ type: 'judgement', judgement });
    drafts.delete(rater.name);
  };

  const undo = (rater: string) => {
    const judgement = last(rater);
    if (judgement === undefined) {
      const step = next(rater);
      return keep(rater, step, { ...draftFor(rater, step), note: 'There is nothing to take back.' });
    }
    const { item, axis, opinion } = judgement;
    file.add({ type: 'undo', item, axis, rater, at: now().toISOString() });
    const step = next(rater);
    const isBack = opinion !== undefined && step?.item.id === item && step.axis === axis;
    keep(rater, step, { ...(isBack ? draftOf(opinion, step.order) : EMPTY_DRAFT), note: 'Taken back.' });
  };

  return {
    view: (rater) => {
      const step = next(rater);
      const draft = draftFor(rater, step);
      return { step, draft, progress: progress(rater), isDrawing, canUndo: last(rater) !== undefined };
    },
    act: (rater, action) => {
      if (action.type === 'undo') return undo(rater);
      const step = next(rater);
      if (step === undefined) return;
      const person: Rater = { name: rater, kind: 'person' };
      const draft = draftFor(rater, step);
      if (action.type === 'skip') return decide(person, step, undefined);
      if (action.type !== 'save') return keep(rater, step, changed(draft, action, step.texts));
      const answers = step.item.answers.map(({ text }) => text);
      const opinion = draftOpinion(draft, step.order, answers);
      if (typeof opinion === 'string') return keep(rater, step, { ...draft, pending: undefined, note: opinion });
      decide(person, step, opinion);
    },
    expect: (items, more) => {
      expected = items;
      isDrawing = more;
    },
  };
}

const stepKey = (step: Step | undefined) => (step === undefined ? '' : JSON.stringify([step.item.id, step.axis]));
