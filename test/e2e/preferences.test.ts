import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Called, cli, type Line, temporaryFolder } from '../support/cli.ts';
import { lossesOf } from '../support/close.ts';
import { writeRows } from '../support/golden-rows.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';

const folder = temporaryFolder();
const model = writeTinyChatModel(path.join(folder, 'model'));
const data = (name: string, rows: readonly unknown[]) => writeRows(path.join(folder, `${name}.jsonl`), rows);
const words = ['red', 'green', 'blue', 'black', 'white'];
const chosen = (i: number) => `Yes, ${words[i % 5]}.`;
const rejected = (i: number) => `No ${words[(i + 1) % 5]} ${'at all '.repeat(i % 3)}`.trim();
const prompt = (i: number) => `Is number ${i} ${words[i % 5]}?`;

const texts = Array.from({ length: 24 }, (_, i) => ({ prompt: prompt(i), chosen: chosen(i), rejected: rejected(i) }));
const pairs = data('pairs', texts);

function train(file: string, name: string, ...args: (string | number)[]): Promise<Called> {
  const common = [
    '--out',
    folder,
    '--name',
    name,
    '--threads',
    1,
    '--lr',
    5e-3,
    '--warmup',
    0,
    '--schedule',
    'constant',
  ];
  return cli(['train', '--model', model, '--data', file, ...common, ...args]);
}

type Step = Line & { readonly loss: number; readonly metrics: Record<string, number> };
const stepsOf = ({ lines }: Called) => lines.filter(({ type }) => type === 'step') as Step[];
const few = ['--valid', 'none', '--batch', 4, '--steps', 2];

async function ran(called: Promise<Called>): Promise<Called> {
  const { exit, stderr } = await called;
  expect(exit, stderr).toBe(0);
  return called;
}

describe('preferences', () => {
  test('are learned, from ln 2 on, and reported on rows that were held out', async () => {
    const called = await ran(train(pairs, 'dpo', '--method', 'dpo', '--valid', 0.3, '--batch', 8, '--steps', 12));
    const steps = stepsOf(called);
    expect(steps[0]?.loss).toBeCloseTo(Math.LN2, 5);
    expect(steps[0]?.metrics['rewards/margins']).toBeCloseTo(0, 5);
    expect(steps.at(-1)?.loss).toBeLessThan(0.4);
    expect(steps.at(-1)?.metrics['rewards/accuracies']).toBe(1);
    const report = called.lines.find(({ type }) => type === 'report') as Line & { before: number; after: number };
    expect(report.before).toBeCloseTo(Math.LN2, 5);
    expect(report.after).toBeLessThan(0.5);
    const evals = called.lines.filter(({ type }) => type === 'eval') as Step[];
    expect(evals.at(-1)?.metrics['rewards/accuracies']).toBeGreaterThan(0.8);
  });

  test('come in the shapes of TRL and of OpenAI, and mean the same', async () => {
    const user = (i: number) => ({ role: 'user', content: prompt(i) });
    const says = (content: string) => ({ role: 'assistant', content });
    const shapes = {
      texts,
      messages: texts.map((row, i) => ({
        prompt: [user(i)],
        chosen: [says(row.chosen)],
        rejected: [says(row.rejected)],
      })),
      implicit: texts.map((row, i) => ({
        chosen: [user(i), says(row.chosen)],
        rejected: [user(i), says(row.rejected)],
      })),
      openai: texts.map((row, i) => ({
        input: { messages: [user(i)] },
        preferred_output: [says(row.chosen)],
        non_preferred_output: [says(row.rejected)],
      })),
    };
    const losses: number[][] = [];
    for (const [name, rows] of Object.entries(shapes)) {
      const called = await ran(train(data(name, rows), name, '--method', 'dpo', ...few));
      losses.push(lossesOf(called.lines));
    }
    for (const other of losses.slice(1)) expect(other).toEqual(losses[0]);
  });

  test('a run that goes on takes the steps of one that was not interrupted, and keeps its reference', async () => {
    const flags = ['--method', 'kto', '--valid', 'none', '--batch', 4, '--steps', 6, '--save-every', 2];
    const whole = lossesOf((await ran(train(pairs, 'whole', ...flags))).lines);
    const stop = new AbortController();
    const run = path.join(folder, 'cut');
    const watching = setInterval(() => {
      if (existsSync(path.join(run, 'checkpoints', 'step-000002'))) stop.abort();
    }, 5);
    const args = ['train', '--model', model, '--data', pairs, '--out', folder, '--name', 'cut', '--threads', 1];
    const course = ['--lr', 5e-3, '--warmup', 0, '--schedule', 'constant'];
    const { exit } = await cli([...args, ...course, ...flags], stop.signal);
    clearInterval(watching);
    const reference = readFileSync(path.join(run, 'reference.json'), 'utf8');
    if (exit !== 0) {
      const again = await cli(['train', '--resume', run]);
      expect(again.exit, again.stderr).toBe(0);
    }
    expect(readFileSync(path.join(run, 'reference.json'), 'utf8')).toBe(reference);
    const lines = readFileSync(path.join(run, 'events.jsonl'), 'utf8').trim().split('\n');
    expect(lossesOf(lines.map((line) => JSON.parse(line) as Line))).toEqual(whole);
  });

  test('hold for whole weights', async () => {
    const called = await ran(train(pairs, 'full', '--method', 'dpo', '--weights', 'full', ...few));
    expect(stepsOf(called)[0]?.loss).toBeCloseTo(Math.LN2, 5);
    expect(stepsOf(called)[1]?.loss).toBeLessThan(Math.LN2);
  });

  test('it is said when the chosen answers become less likely', async () => {
    // Answers that begin alike fall together.
    const alike = texts.map((row) => ({ ...row, chosen: `${row.rejected} b`, rejected: `${row.rejected} a` }));
    const called = await train(
      data('alike', alike),
      'falls',
      '--method',
      'dpo',
      '--loss',
      'apo_down',
      '--valid',
      'none',
      '--batch',
      8,
      '--steps',
      12,
    );
    const fallen = stepsOf(called).some((_, i, all) => {
      const last = all.slice(Math.max(0, i - 4), i + 1).map(({ metrics }) => metrics['rewards/chosen'] ?? 0);
      return last.length === 5 && last.reduce((a, b) => a + b, 0) < 0;
    });
    const said = called.lines.filter(({ type, code }) => type === 'warning' && code === 'TRAIN_CHOSEN_FALLS');
    expect(said).toHaveLength(fallen ? 1 : 0);
    expect(fallen).toBe(true);
  });
});

describe('what is wrong with preferences is said before any step', () => {
  const ids = { prompt_ids: [5, 6], chosen_ids: [7, 8], rejected_ids: [9] };
  const marks = texts.map((row) => ({ prompt: row.prompt, completion: row.chosen, label: true }));
  test.each([
    [
      'the same answer twice',
      'DATA_PREFERENCE_SAME',
      'dpo',
      [texts[0], { ...texts[1], rejected: chosen(1) }],
      [],
      ':2',
    ],
    ['an empty answer', 'DATA_EMPTY_ANSWER', 'dpo', [texts[0], { ...texts[1], rejected: ' ' }], [], ':2'],
    ['empty ids', 'DATA_EMPTY_ANSWER', 'dpo', [ids, { ...ids, rejected_ids: [] }], [], ':2'],
    ['an answer that does not fit', 'DATA_TOO_LONG', 'dpo', texts, ['--max-length', 8], ':1'],
    ['one kind of answers', 'DATA_PREFERENCE_ONE_KIND', 'kto', marks, [], 'all of them good'],
    ['single answers for pairs', 'DATA_PREFERENCE', 'dpo', marks, [], ':1'],
    ['no preference', 'DATA_PREFERENCE', 'orpo', [{ prompt: 'a', completion: 'b' }], [], ':1'],
    ['texts without a prompt as a chat', 'DATA_PREFERENCE', 'dpo', [{ chosen: 'a b', rejected: 'a c' }], [], ':1'],
    [
      'conversations that part early',
      'DATA_PREFERENCE',
      'dpo',
      [
        {
          chosen: [
            { role: 'user', content: 'a' },
            { role: 'assistant', content: 'b' },
          ],
          rejected: [
            { role: 'user', content: 'c' },
            { role: 'assistant', content: 'd' },
          ],
        },
      ],
      [],
      ':1',
    ],
    [
      'smoothing without effect',
      'CLI_OPTION_CONFLICT',
      'dpo',
      texts,
      ['--loss', 'ipo', '--label-smoothing', 0.1],
      '--label-smoothing',
    ],
    ['an option of another method', 'CLI_OPTION_CONFLICT', 'dpo', texts, ['--gamma', 1], '--gamma'],
    ['an option for answers of sft', 'CLI_OPTION_CONFLICT', 'dpo', texts, ['--train-on', 'last'], '--train-on'],
    ['a loss of another method', 'CLI_OPTION_VALUE', 'kto', texts, ['--loss', 'ipo'], '--loss'],
  ] as const)('%s', async (name, code, method, rows, flags, place) => {
    const file = data(name.replaceAll(' ', '-'), rows);
    const { exit, stderr, lines } = await train(file, name, '--method', method, ...few, ...flags);
    expect(exit).toBe(2);
    expect(stderr).toContain(code);
    expect(stderr).toContain(place);
    expect(lines.filter(({ type }) => type === 'step')).toEqual([]);
  });

  test('the oldest turns of pairs that do not fit go, the same from both answers, and no answer is cut', async () => {
    const turns = [
      { role: 'user', content: 'on and '.repeat(40) },
      { role: 'assistant', content: 'So it is.' },
      { role: 'user', content: 'Is number 1 green?' },
    ];
    const long = { ...texts[1], prompt: turns };
    const short = { ...texts[1], prompt: turns.slice(-1) };
    const flags = ['--method', 'dpo', ...few, '--max-length', 120];
    const called = await ran(train(data('turns', [...texts.slice(2), long]), 'trimmed', ...flags));
    expect(called.lines.find(({ code }) => code === 'DATA_ROW_LONG')?.message).toContain(
      'shortened by its oldest turns',
    );
    const same = await ran(train(data('no-turns', [...texts.slice(2), short]), 'as-trimmed', ...flags));
    expect(lossesOf(called.lines)).toEqual(lossesOf(same.lines));
  });

  test('an answer that does not fit by itself is an error, whatever may be trimmed', async () => {
    const long = { ...texts[0], chosen: 'on and '.repeat(40) };
    const flags = ['--method', 'dpo', ...few, '--max-length', 120];
    const { exit, stderr } = await train(data('long-answer', [...texts, long]), 'uncut', ...flags);
    expect(exit).toBe(2);
    expect(stderr).toContain('DATA_TOO_LONG');
    expect(stderr).toContain('no answer is cut');
  });

  test('pairs that do not fit are left out where that is asked for', async () => {
    const long = { ...texts[0], chosen: 'on and '.repeat(40) };
    const flags = ['--method', 'dpo', ...few, '--max-length', 120, '--on-long', 'drop'];
    const called = await ran(train(data('long', [...texts, long]), 'dropped', ...flags));
    expect(called.lines.find(({ code }) => code === 'DATA_ROW_LONG')?.message).toContain('left out');
  });
});
