import { opinionFault } from './opinion.ts';
import type { Opinion, Ranking } from './types.ts';

/** What the next digit means: a place in the order, the same place as the one before, or what a letter before it said. */
export const PENDING = ['tie', 'worst', 'good', 'bad', 'edit'] as const;
export type Pending = (typeof PENDING)[number];

/** An opinion that is being formed, on answers by the place at which they are shown, from 0. */
export interface Draft {
  /** From the best on, as far as the answers are in order. */
  readonly groups: readonly (readonly number[])[];
  readonly worst: number | undefined;
  readonly good: readonly number[];
  readonly bad: readonly number[];
  /** Mended texts by place. */
  readonly edits: ReadonlyMap<number, string>;
  readonly reason: string;
  readonly pending: Pending | undefined;
  /** The text that is being written: that of an answer, or the reason. */
  readonly writing: number | 'reason' | undefined;
  /** A word to the person, until the next action. */
  readonly note: string;
}

/** Nothing chosen yet. */
export const EMPTY_DRAFT: Draft = {
  groups: [],
  worst: undefined,
  good: [],
  bad: [],
  edits: new Map(),
  reason: '',
  pending: undefined,
  writing: undefined,
  note: '',
};

/** What changes a draft. */
export type DraftAction =
  /** A digit: what it means depends on what is pending. */
  | { readonly type: 'digit' | 'pick' | 'worst' | 'good' | 'bad' | 'edit'; readonly at: number }
  | { readonly type: 'pending'; readonly what: Pending }
  | { readonly type: 'all-tied' | 'clear' | 'reason' | 'cancel' }
  | { readonly type: 'edited'; readonly at: number; readonly text: string }
  | { readonly type: 'reasoned'; readonly text: string };

/** The draft after an action. `answers` are the texts as they are shown. */
export function changed(draft: Draft, action: DraftAction, answers: readonly string[]): Draft {
  const next = { ...draft, note: '', pending: undefined, writing: undefined };
  if ('at' in action && !(action.at >= 0 && action.at < answers.length)) {
    return { ...next, note: `There is no answer ${action.at + 1}.` };
  }
  switch (action.type) {
    case 'digit': {
      const meant = draft.pending === undefined || draft.pending === 'tie' ? 'pick' : draft.pending;
      return changed(draft, { type: meant, at: action.at }, answers);
    }
    case 'pick':
      return answers.length === 1
        ? { ...next, note: 'There is only one answer: g good, b bad, e edit.' }
        : picked(next, action.at, draft.pending === 'tie');
    case 'worst':
      return { ...next, groups: without(draft.groups, action.at), worst: toggled(draft.worst, action.at) };
    case 'edit':
      return { ...next, writing: action.at };
    case 'good':
    case 'bad':
      return marked(next, action.type, action.at);
    case 'pending':
      return awaiting(draft, action.what, answers);
    case 'all-tied':
      return { ...next, groups: [answers.map((_, at) => at)], worst: undefined };
    case 'clear':
      return EMPTY_DRAFT;
    case 'reason':
      return { ...next, writing: 'reason' };
    case 'cancel':
      return next;
    case 'edited':
      return edited(next, action.at, action.text, answers);
    case 'reasoned':
      return { ...next, reason: action.text.trim() };
    default:
      return action satisfies never;
  }
}

const toggled = (one: number | undefined, at: number) => (one === at ? undefined : at);

/** Waits for the digit that a letter is about; where there is one answer, the letter is enough. */
function awaiting(draft: Draft, what: Pending, answers: readonly string[]): Draft {
  const next = { ...draft, note: '', writing: undefined };
  if (answers.length === 1 && (what === 'good' || what === 'bad' || what === 'edit')) {
    return changed(draft, { type: what, at: 0 }, answers);
  }
  if (what === 'tie' && draft.groups.length === 0) {
    return { ...next, pending: undefined, note: 'Choose an answer first; = puts the next one beside it.' };
  }
  return { ...next, pending: draft.pending === what ? undefined : what };
}

function picked(draft: Draft, at: number, isTied: boolean): Draft {
  const worst = draft.worst === at ? undefined : draft.worst;
  // Once more takes it out again.
  if (draft.groups.some((group) => group.includes(at))) return { ...draft, groups: without(draft.groups, at) };
  const last = draft.groups.at(-1);
  const groups = isTied && last !== undefined ? [...draft.groups.slice(0, -1), [...last, at]] : [...draft.groups, [at]];
  return { ...draft, worst, groups };
}

function without(groups: Draft['groups'], at: number): number[][] {
  return groups.map((group) => group.filter((other) => other !== at)).filter((group) => group.length > 0);
}

function marked(draft: Draft, mark: 'good' | 'bad', at: number): Draft {
  const isOn = draft[mark].includes(at);
  const others = { good: draft.good.filter((other) => other !== at), bad: draft.bad.filter((other) => other !== at) };
  return { ...draft, ...others, ...(isOn ? {} : { [mark]: [...others[mark], at] }) };
}

function edited(draft: Draft, at: number, text: string, answers: readonly string[]): Draft {
  const edits = new Map(draft.edits);
  const own = text.trim();
  if (own === '' || own === answers[at]?.trim()) {
    edits.delete(at);
    return { ...draft, edits, note: own === '' ? 'An empty text mends nothing.' : 'Nothing was changed.' };
  }
  edits.set(at, own);
  return { ...draft, edits };
}

/** The order that a draft comes to: what was not placed comes after what was, and before the worst; of several such nothing is said among them. */
export function draftRanking({ groups, worst }: Draft, count: number): Ranking | undefined {
  if (groups.length === 0 && worst === undefined) return undefined;
  const placed = new Set([...groups.flat(), worst]);
  const rest = Array.from({ length: count }, (_, at) => at).filter((at) => !placed.has(at));
  const all = [...groups, ...(rest.length === 0 ? [] : [rest]), ...(worst === undefined ? [] : [[worst]])];
  if (all.length < 2 && (all[0]?.length ?? 0) < 2) return undefined;
  return { groups: all, ...(rest.length > 1 ? { uncompared: groups.length } : {}) };
}

/**
 * The opinion that a draft comes to, or why there is none, in words.
 *
 * @param order the answer at each place
 */
export function draftOpinion(draft: Draft, order: readonly number[], answers: readonly string[]): Opinion | string {
  const ranking = draftRanking(draft, order.length);
  const of = (places: readonly number[]) => places.map((at) => order[at]!);
  const isMarked = draft.good.length + draft.bad.length > 0;
  const opinion: Opinion = {
    ...(ranking === undefined ? {} : { ranking: { ...ranking, groups: ranking.groups.map(of) } }),
    ...(isMarked ? { good: of(draft.good), bad: of(draft.bad) } : {}),
    ...(draft.edits.size === 0 ? {} : { edits: [...draft.edits].map(([at, text]) => ({ of: order[at]!, text })) }),
    ...(draft.reason === '' ? {} : { reason: draft.reason }),
  };
  const fault = opinionFault(opinion, answers);
  if (fault === undefined) return opinion;
  return fault === 'says nothing of the answers.' ? 'Nothing is chosen yet.' : `This ${fault}`;
}

/** The draft that an opinion was made of, so that it can be changed. */
export function draftOf(opinion: Opinion, order: readonly number[]): Draft {
  const places = (answers: readonly number[] = []) => answers.map((answer) => order.indexOf(answer));
  const { groups = [], uncompared } = opinion.ranking ?? {};
  const end = uncompared ?? groups.length;
  return {
    ...EMPTY_DRAFT,
    groups: groups.slice(0, end).map(places),
    worst: uncompared === undefined ? undefined : places(groups[uncompared + 1])[0],
    good: places(opinion.good),
    bad: places(opinion.bad),
    edits: new Map((opinion.edits ?? []).map(({ of, text }) => [order.indexOf(of), text])),
    reason: opinion.reason ?? '',
  };
}

/** The place of an answer in words: `1`, `2=`, `last`, or nothing where it was not placed. */
export function placeText(draft: Draft, at: number): string {
  if (draft.worst === at) return 'worst';
  const group = draft.groups.findIndex((own) => own.includes(at));
  if (group < 0) return '';
  const before = draft.groups.slice(0, group).reduce((n, own) => n + own.length, 0);
  return `${before + 1}${(draft.groups[group]?.length ?? 0) > 1 ? '=' : ''}`;
}
