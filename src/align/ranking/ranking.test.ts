import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TunesmithError } from '../../errors/index.ts';
import { agreementOf } from './agreement.ts';
import { deriveLists, deriveMarks, derivePairs, standings } from './derive.ts';
import { type Desk, openDesk } from './desk.ts';
import { changed, type DraftAction, draftOf, draftOpinion, EMPTY_DRAFT, placeText } from './draft.ts';
import { keyAction } from './keys.ts';
import { eventLine, isRankingHead, itemId, openRankingFile, readRankings } from './log.ts';
import { createRankings } from './rankings.ts';
import type { Axis, Opinion, RankingEvent, RankingItem } from './types.ts';

const texts = ['one', 'two', 'three', 'four'];
const itemOf = (question: string, answers = texts): RankingItem => {
  const prompt = [{ role: 'user', content: question } as const];
  return {
    id: itemId(prompt, answers),
    prompt,
    answers: answers.map((text, i) => ({ text, by: i % 2 === 0 ? 'base' : 'tuned' })),
  };
};
const item = itemOf('?');
const judgement = (rater: string, opinion: Opinion | undefined, of = item, axis: Axis = 'overall'): RankingEvent => ({
  type: 'judgement',
  judgement: { item: of.id, axis, rater: { name: rater, kind: 'person' }, at: 't', shown: [0, 1, 2, 3], opinion },
});
const holding = (...events: RankingEvent[]) => {
  const rankings = createRankings();
  rankings.add({ type: 'item', item });
  for (const event of events) rankings.add(event);
  return rankings;
};
const overall = { axis: 'overall' } as const;

/** The draft that keys come to, each a character. */
const typed = (keys: string, answers = texts) =>
  [...keys].reduce((draft, key) => changed(draft, keyAction(key) as DraftAction, answers), EMPTY_DRAFT);
const opinionOf = (keys: string, order = [0, 1, 2, 3], answers = texts) =>
  draftOpinion(typed(keys, answers), order, answers);

describe('a draft', () => {
  it.each([
    ['3142', { ranking: { groups: [[2], [0], [3], [1]] } }],
    ['314', { ranking: { groups: [[2], [0], [3], [1]] } }],
    [
      '3=1',
      {
        ranking: {
          groups: [
            [2, 0],
            [1, 3],
          ],
          uncompared: 1,
        },
      },
    ],
    ['2w3', { ranking: { groups: [[1], [0, 3], [2]], uncompared: 1 } }],
    ['w3', { ranking: { groups: [[0, 1, 3], [2]], uncompared: 0 } }],
    ['t', { ranking: { groups: [[0, 1, 2, 3]] } }],
    ['g1b2', { good: [0], bad: [1] }],
    ['g1g1b2', { good: [], bad: [1] }],
    ['121', { ranking: { groups: [[1], [0, 2, 3]], uncompared: 1 } }],
    ['12x4', { ranking: { groups: [[3], [0, 1, 2]], uncompared: 1 } }],
  ])('of %s is an opinion', (keys, opinion) => {
    expect(opinionOf(keys)).toEqual(opinion);
  });

  it('is of the answers as they are shown', () => {
    expect(opinionOf('12', [1, 0], ['a', 'b'])).toEqual({ ranking: { groups: [[1], [0]] } });
  });

  it('says what is wrong instead of guessing', () => {
    expect(opinionOf('')).toBe('Nothing is chosen yet.');
    expect(opinionOf('12g2b1')).toMatch(/bad and puts it above a good one/);
    expect(typed('9').note).toBe('There is no answer 9.');
    expect(typed('=').note).toMatch(/first/);
    expect(typed('1', ['only']).note).toMatch(/only one answer/);
  });

  it('waits for the digit that a letter is about, and not where there is one answer', () => {
    expect(typed('e').pending).toBe('edit');
    expect(typed('e2').writing).toBe(1);
    expect(typed('e', ['only']).writing).toBe(0);
    expect(opinionOf('g', [0], ['only'])).toEqual({ good: [0], bad: [] });
    expect(typed('ww').pending).toBeUndefined();
  });

  it('takes a mended text, and none that is empty or the same', () => {
    const edit = (text: string) => changed(EMPTY_DRAFT, { type: 'edited', at: 1, text }, texts);
    expect(draftOpinion(edit(' better '), [0, 1, 2, 3], texts)).toEqual({ edits: [{ of: 1, text: 'better' }] });
    for (const text of ['', 'two', ' two ']) expect(edit(text).edits.size).toBe(0);
  });

  it('comes back from the opinion that it became', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...'1234=wtgb')), (keys) => {
        const draft = typed(keys.join(''));
        const opinion = draftOpinion(draft, [2, 0, 3, 1], texts);
        if (typeof opinion === 'string') return;
        expect(draftOpinion(draftOf(opinion, [2, 0, 3, 1]), [2, 0, 3, 1], texts)).toEqual(opinion);
      }),
    );
  });

  it('shows places, equal ones as such', () => {
    const draft = typed('2=31w4');
    expect(texts.map((_, at) => placeText(draft, at))).toEqual(['3', '1=', '1=', 'worst']);
  });
});

describe('a desk', () => {
  const sit = (axes: readonly Axis[] = ['overall'], ...items: RankingItem[]) => {
    const rankings = createRankings(3);
    const events: RankingEvent[] = [];
    const add = (event: RankingEvent) => {
      events.push(event);
      rankings.add(event);
    };
    for (const one of items) add({ type: 'item', item: one });
    const desk = openDesk({ rankings, add }, { axes, now: () => new Date(0) });
    return { desk, rankings, events };
  };
  const press = (desk: Desk, keys: string, rater = 'ada') => {
    for (const key of keys) desk.act(rater, keyAction(key === '\n' ? 'Enter' : key) as DraftAction);
  };

  it('goes through the items, keeps what was saved, and takes it back', () => {
    const { desk, rankings } = sit(['overall'], itemOf('a'), itemOf('b'));
    const first = desk.view('ada').step!;
    press(desk, '1\n');
    expect(desk.view('ada')).toMatchObject({ progress: { done: 1, total: 2 }, canUndo: true });
    expect(desk.view('ada').step?.item.id).not.toBe(first.item.id);
    press(desk, 'u');
    expect(desk.view('ada').step?.item.id).toBe(first.item.id);
    expect(desk.view('ada').draft.groups).toEqual([[0]]);
    expect(rankings.judgements()).toEqual([]);
    press(desk, '2\ns');
    expect(desk.view('ada')).toMatchObject({ step: undefined, progress: { done: 2, total: 2 } });
    expect(rankings.judgements().map(({ opinion }) => opinion === undefined)).toEqual([false, true]);
  });

  it('shows each rater an order of his own, the same each time', () => {
    const many = Array.from({ length: 12 }, (_, i) => itemOf(`q${i}`));
    const { desk } = sit(['overall'], ...many);
    const orders = (rater: string) => {
      const seen = [];
      for (let i = 0; i < many.length; i++) {
        seen.push(desk.view(rater).step!.order.join(''));
        press(desk, 's', rater);
      }
      return seen;
    };
    const [ada, ben] = [orders('ada'), orders('ben')];
    expect(new Set(ada).size).toBeGreaterThan(4);
    expect(ada).not.toEqual(ben);
    expect(desk.view('ada').step).toBeUndefined();
  });

  it('asks by each axis in turn, and none of a prompt that is skipped', () => {
    const { desk, rankings } = sit(['helpful', 'honest'], itemOf('a'), itemOf('b'));
    press(desk, '1\n2\ns');
    expect(desk.view('ada').step).toBeUndefined();
    expect(rankings.judgements().map(({ axis }) => axis)).toEqual(['helpful', 'honest', 'helpful']);
    press(desk, 'u');
    expect(desk.view('ada').step?.axis).toBe('helpful');
  });

  it('says so where there is nothing to take back or to save', () => {
    const { desk, events } = sit(['overall'], itemOf('a'));
    press(desk, 'u');
    expect(desk.view('ada').draft.note).toMatch(/nothing to take back/);
    press(desk, '\n');
    expect(desk.view('ada').draft.note).toBe('Nothing is chosen yet.');
    expect(events).toHaveLength(1);
  });
});

describe('a file of rankings', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tunesmith-rankings-'));
    file = join(folder, 'prefs.jsonl');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const opinion: Opinion = {
    ranking: { groups: [[1], [0, 2], [3]], uncompared: 1 },
    good: [1],
    bad: [],
    edits: [{ of: 0, text: 'x' }],
    reason: 'r',
  };

  it('comes back as it was written, without a line that was torn', () => {
    const open = openRankingFile(file, 5);
    open.add({ type: 'item', item });
    open.add(judgement('ada', opinion));
    open.add(judgement('ben', undefined));
    open.add({ type: 'undo', item: item.id, axis: 'overall', rater: 'ben', at: 't' });
    open.close();
    appendFileSync(file, '{"type":"judgem');
    const again = openRankingFile(file, 9);
    expect(again.rankings.seed).toBe(5);
    expect(again.rankings.judgements()).toEqual([
      (judgement('ada', opinion) as RankingEvent & { type: 'judgement' }).judgement,
    ]);
    again.add(judgement('cyd', opinion));
    again.close();
    expect(readFileSync(file, 'utf8').split('\n')).toHaveLength(7);
    expect(readRankings(file).rankings.judgements()).toHaveLength(2);
  });

  it('recovers from a first line that was torn', () => {
    writeFileSync(file, '{"type":"pre');
    openRankingFile(file, 1).close();
    expect(readRankings(file).rankings.seed).toBe(1);
  });

  const head = '{"type":"prefer","version":1,"seed":0}';
  const line = eventLine({ type: 'item', item }).trim();
  it.each([
    ['{"prompt":"a","chosen":"b","rejected":"c"}\n', 1, /does not begin/],
    [`${head}\n{"type":"judgement"\n`, 2, /not JSON/],
    [`${head}\n${line}\n{"type":"vote"}\n`, 3, /unknown type "vote"/],
    [`${head}\n{"type":"judgement","item":"gone"}\n`, 2, /item that no line before/],
    [`${head}\n{"type":"item","id":"1","prompt":[],"answers":[{"text":"a","by":"m"}]}\n`, 2, /no prompt/],
    ['{"type":"prefer","version":2,"seed":0}\n', 1, /version 2/],
  ])('is refused where it holds something else: %s', (text, number, message) => {
    writeFileSync(file, text);
    const read = () => openRankingFile(file, 0);
    expect(read).toThrow(TunesmithError);
    expect(read).toThrow(message);
    expect(read).toThrow(`${file}:${number}`);
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  it('never breaks on a line, whatever it holds', () => {
    const rankings = holding();
    const value = fc.record(
      {
        type: fc.constantFrom('prefer', 'item', 'judgement', 'undo', 'x'),
        item: fc.constantFrom(item.id, 'x', 3),
        ranking: fc.anything(),
        good: fc.anything(),
        shown: fc.anything(),
        rater: fc.constantFrom('a', 1),
        kind: fc.constantFrom('person', 'x'),
        at: fc.constant('t'),
        axis: fc.constantFrom('overall', 'x'),
        edits: fc.anything(),
        prompt: fc.anything(),
        answers: fc.anything(),
        id: fc.anything(),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(value, (fields) => {
        writeFileSync(file, `${head}\n${line}\n${JSON.stringify(fields)}\n`);
        try {
          readRankings(file);
        } catch (error) {
          expect(error).toBeInstanceOf(TunesmithError);
        }
      }),
      { numRuns: 200 },
    );
    expect(rankings.items.size).toBe(1);
    expect(isRankingHead(null)).toBe(false);
  });
});

describe('judgements become rows', () => {
  const pairsOf = (...events: RankingEvent[]) => {
    const { rows, undecided } = derivePairs(holding(...events), overall, 'all');
    return { pairs: rows.map(({ chosen, rejected }) => `${chosen}>${rejected}`).sort(), undecided };
  };

  it('of two answers: all that are ordered, none that are alike or were not compared', () => {
    expect(pairsOf(judgement('a', { ranking: { groups: [[0], [1, 2]] } })).pairs).toEqual(['one>three', 'one>two']);
    const best = { ranking: { groups: [[0], [1, 2], [3]], uncompared: 1 } };
    expect(pairsOf(judgement('a', best)).pairs).toHaveLength(5);
    expect(derivePairs(holding(judgement('a', best)), overall, 'best-worst').rows).toHaveLength(1);
    expect(pairsOf(judgement('a', { edits: [{ of: 3, text: 'better' }] })).pairs).toEqual(['better>four']);
    expect(pairsOf(judgement('a', undefined)).pairs).toEqual([]);
  });

  it('by the majority of raters, and not at all where they are divided', () => {
    const [up, down] = [{ ranking: { groups: [[0], [1]] } }, { ranking: { groups: [[1], [0]] } }];
    expect(pairsOf(judgement('a', up), judgement('b', up), judgement('c', down))).toEqual({
      pairs: ['one>two'],
      undecided: 0,
    });
    expect(pairsOf(judgement('a', up), judgement('c', down))).toEqual({ pairs: [], undecided: 1 });
    expect(pairsOf(judgement('a', { ranking: { groups: [[0, 1]] } }))).toEqual({ pairs: [], undecided: 0 });
    const rankings = holding(judgement('a', up), judgement('c', down));
    expect(derivePairs(rankings, { ...overall, raters: ['a'] }, 'all').rows).toHaveLength(1);
    expect(derivePairs(rankings, { ...overall, kinds: ['model'] }, 'all').rows).toHaveLength(0);
    expect(derivePairs(rankings, { axis: 'honest' }, 'all').rows).toHaveLength(0);
  });

  it('of one answer: as it was marked, else the best and the worst', () => {
    const marks = (opinion: Opinion) =>
      deriveMarks(holding(judgement('a', opinion)), overall).rows.map(
        ({ answer, isGood }) => `${isGood ? '+' : '-'}${answer}`,
      );
    expect(marks({ good: [2], bad: [1] })).toEqual(['+three', '-two']);
    expect(marks({ ranking: { groups: [[3], [0, 1], [2]] } })).toEqual(['+four', '-three']);
    expect(marks({ ranking: { groups: [[3], [0, 1, 2]], uncompared: 1 } })).toEqual(['+four']);
    expect(marks({ edits: [{ of: 0, text: 'x' }] })).toEqual(['+x', '-one']);
  });

  it('of lists, in which equally good answers take turns', () => {
    const lists = (opinion: Opinion) =>
      deriveLists(holding(judgement('a', opinion)), overall).rows.map(({ answers }) => answers.join('>'));
    expect(lists({ ranking: { groups: [[1], [0, 2], [3]] } })).toEqual(['two>one>four', 'two>three>four']);
    expect(lists({ ranking: { groups: [[1], [0, 2], [3]], uncompared: 1 } })).toEqual(['two>four']);
    expect(lists({ edits: [{ of: 0, text: 'x' }] })).toEqual(['x>one']);
  });

  it('of who won how often', () => {
    expect(standings(holding(judgement('a', { ranking: { groups: [[1], [0], [2], [3]] } })), overall)).toEqual([
      { by: 'tuned', won: 2, of: 4 },
      { by: 'base', won: 2, of: 4 },
    ]);
  });
});

describe('agreement', () => {
  it('is told of pairs and of marks, with those who disagree', () => {
    const up = { ranking: { groups: [[0], [1]] }, good: [0] };
    const agreement = agreementOf(
      holding(judgement('a', up), judgement('b', up), judgement('c', { ranking: { groups: [[1], [0]] }, bad: [0] })),
      overall,
    );
    expect(agreement.raters.map(({ name, judged }) => [name, judged])).toEqual([
      ['a', 1],
      ['b', 1],
      ['c', 1],
    ]);
    expect(agreement.pairs).toMatchObject({ units: 1 });
    expect(agreement.pairs.alpha).toBeCloseTo(0, 9);
    expect(agreement.marks.units).toBe(1);
    expect(agreement.between).toContainEqual({ one: 'a', other: 'b', same: 1, of: 1 });
    expect(agreement.disagreements).toMatchObject([
      { answers: ['one', 'two'], forFirst: ['a', 'b'], forSecond: ['c'] },
    ]);
  });
});
