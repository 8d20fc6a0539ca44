import { describe, expect, it, vi } from 'vitest';
import { markAnswers } from './mark.ts';
import type { ItemResult } from './subject.ts';
import type { AnswerTask } from './tasks.ts';

const answers: ItemResult[] = ['a', 'b'].map((text, item) => ({ item, value: 0, weight: 1, text }));
const task = (mark: (row: { readonly answer: string }) => number | boolean | Promise<number | boolean>) =>
  ({
    kind: 'answer',
    name: 'own',
    marking: { kind: 'function', mark },
    items: answers.map(() => ({ prompt: 'p', references: [], row: {} })),
  }) as unknown as AnswerTask;

describe('a function of the user that marks answers', () => {
  it.each([
    ['throws', () => Promise.reject(new Error('no')), 'no'],
    ['throws what is no error', () => Promise.reject('a word'), 'a word'],
    ['gives nothing', () => undefined as unknown as number, 'gave NaN, which is no number from 0 to 1'],
    ['gives too much', () => 7, 'gave 7, which is no number from 0 to 1'],
  ])('that %s is a fault of that item only', async (_, bad, fault) => {
    const mark = ({ answer }: { readonly answer: string }) => (answer === 'a' ? bad() : 1);
    const marked = await markAnswers(task(mark), answers, new AbortController().signal);
    expect(marked.map((one) => [one.value, one.fault])).toEqual([
      [0, fault],
      [1, undefined],
    ]);
  });

  it('that never answers is given up after a minute', async () => {
    vi.useFakeTimers();
    const mark = ({ answer }: { readonly answer: string }) => (answer === 'a' ? new Promise<number>(() => {}) : 1);
    const marking = markAnswers(task(mark), answers, new AbortController().signal);
    await vi.advanceTimersByTimeAsync(60_000);
    vi.useRealTimers();
    expect((await marking)[0]?.fault).toBe('gave no mark within 60 seconds');
  });

  it('that never answers can be interrupted', async () => {
    const stop = new AbortController();
    const marking = markAnswers(
      task(() => new Promise<number>(() => {})),
      answers,
      stop.signal,
    );
    stop.abort(new Error('enough'));
    await expect(marking).rejects.toThrow('enough');
  });
});
