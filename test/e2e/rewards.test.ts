import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { writeSafetensors } from '../../src/io/index.ts';
import { type Called, cli, type Line, temporaryFolder } from '../support/cli.ts';
import { lossesOf } from '../support/close.ts';
import { writeRows } from '../support/golden-rows.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';

const folder = temporaryFolder();
const model = writeTinyChatModel(path.join(folder, 'model'));
const data = (name: string, rows: readonly unknown[]) => writeRows(path.join(folder, `${name}.jsonl`), rows);
const words = ['red', 'green', 'blue', 'black', 'white'];
const texts = Array.from({ length: 60 }, (_, i) => {
  return {
    prompt: `Is number ${i} ${words[i % 5]}?`,
    chosen: `Yes ${words[i % 5]}`,
    rejected: `No ${words[(i + 1) % 5]}`,
  };
});
const pairs = data('pairs', texts);
const common = ['--out', folder, '--threads', 1, '--warmup', 0, '--schedule', 'constant', '--batch', 8] as const;

function train(file: string, name: string, ...args: (string | number)[]): Promise<Called> {
  return cli(['train', '--model', model, '--method', 'reward', '--data', file, '--name', name, ...common, ...args]);
}

async function ran(called: Promise<Called>): Promise<Called> {
  const { exit, stderr } = await called;
  expect(exit, stderr).toBe(0);
  return called;
}

const few = ['--valid', 'none', '--steps', 3] as const;

describe('a reward model', () => {
  const learned = ran(train(pairs, 'learned', '--valid', 0.4, '--steps', 24, '--lr', 1e-2));

  test('learns to tell answers apart, and reports how well on pairs that were held out', async () => {
    const { lines } = await learned;
    const figures = lines.find(({ type }) => type === 'reward') as Line & {
      accuracy: number;
      interval: number[];
      pairs: number;
    };
    expect(figures.pairs).toBeGreaterThan(5);
    expect(figures.accuracy).toBeGreaterThan(0.9);
    expect(figures.interval[0]).toBeGreaterThan(0.5);
    expect(lines.find(({ type }) => type === 'step')).toMatchObject({ metrics: { accuracy: expect.any(Number) } });
    expect(lines.filter(({ type }) => type === 'sample')).toEqual([]);
    const shown = await cli(['runs', 'show', 'learned', '--out', folder]);
    expect(shown.exit, shown.stderr).toBe(0);
  });

  test('leaves a PEFT folder of sequence classification with one label', async () => {
    await learned;
    const read = (file: string) =>
      JSON.parse(readFileSync(path.join(folder, 'learned', 'best', file), 'utf8')) as object;
    expect(read('adapter_config.json')).toMatchObject({ task_type: 'SEQ_CLS', modules_to_save: ['score'] });
    expect(read('classifier.json')).toMatchObject({ kind: 'reward', labels: ['reward'] });
  });

  test('scores pairs, lists and single answers', async () => {
    await learned;
    const file = data('mixed', [
      ...texts.slice(0, 4),
      { prompt: 'Is it red?', ranked: ['Yes red', 'No green'] },
      { prompt: 'Is it red?', completion: 'Yes red' },
    ]);
    const { exit, lines, stderr } = await cli(['score', path.join(folder, 'learned'), '--data', file, '--threads', 1]);
    expect(exit, stderr).toBe(0);
    const rows = lines.filter(({ type }) => type === 'row') as (Line & { rewards: number[] })[];
    expect(rows.map(({ rewards }) => rewards.length)).toEqual([2, 2, 2, 2, 2, 1]);
    expect(rows[4]!.rewards[0]).toBeCloseTo(rows[5]!.rewards[0]!, 4);
    expect(lines.at(-1)).toMatchObject({ type: 'total', answers: 11, figures: { pairs: 5, accuracy: 1 } });
  });

  test('neither labels nor chats', async () => {
    await learned;
    const run = path.join(folder, 'learned');
    expect((await cli(['classify', run, '--text', 'x'])).stderr).toMatch(/REWARD_USE .*gives no labels/);
    expect((await cli(['generate', run, '--prompt', 'x'])).stderr).toMatch(/CLASSIFIER_USE .*writes no text/);
  });

  test('goes on where it was cut, bit for bit, and starts from the head of another', async () => {
    const whole = lossesOf((await ran(train(pairs, 'whole', '--valid', 'none', '--steps', 4, '--lr', 1e-2))).lines);
    const half = ran(train(pairs, 'half', '--valid', 'none', '--steps', 4, '--lr', 1e-2, '--save-every', 2));
    expect(lossesOf((await half).lines)).toEqual(whole);
    const more = await cli([
      'train',
      '--from',
      path.join(folder, 'whole'),
      '--data',
      pairs,
      '--out',
      folder,
      '--name',
      'more',
    ]);
    expect(more.exit, more.stderr).toBe(0);
    expect(lossesOf(more.lines)[0]).toBeLessThan(whole[0]!);
  });

  test('learns lists, of which those of two are pairs; margin, centring and the head change the outcome', async () => {
    const losses = async (name: string, file: string, ...args: (string | number)[]) =>
      lossesOf((await ran(train(file, name, ...few, ...args))).lines);
    const plain = await losses('plain', pairs);
    const lists = data(
      'lists',
      texts.map(({ prompt, chosen, rejected }) => ({ prompt, ranked: [chosen, rejected] })),
    );
    expect(await losses('lists', lists)).toEqual(plain);
    const longer = data(
      'longer',
      texts.map(({ prompt, chosen, rejected }, i) => ({
        prompt,
        ranked: [chosen, rejected, 'x'].slice(0, 2 + (i % 2)),
      })),
    );
    expect((await losses('longer', longer))[0]).toBeGreaterThan(plain[0]!);
    const margins = data(
      'margins',
      texts.map((row) => ({ ...row, margin: 0.5 })),
    );
    expect((await losses('margins', margins))[0]).toBeGreaterThan(plain[0]!);
    expect(await losses('center', pairs, '--center', 0.5)).not.toEqual(plain);
    const head = path.join(folder, 'head.safetensors');
    writeSafetensors(head, [{ name: 'score.weight', type: 'F32', shape: [1, 32], data: new Float32Array(32) }]);
    const zero = await losses('zero', pairs, '--reward-head', head);
    expect(zero[0]).toBeCloseTo(Math.LN2, 6);
  });
});

describe('what is wrong with a reward model is said before any step', () => {
  test.each([
    ['an answer twice', [{ prompt: 'a', ranked: ['x', 'y', 'x'] }], /DATA_PREFERENCE_SAME .*has an answer twice/],
    ['a list of one', [{ prompt: 'a', ranked: ['x'] }], /DATA_PREFERENCE .*1 answers where an array of at least two/],
    [
      'a margin of text',
      [{ prompt: 'a', chosen: 'x', rejected: 'y', margin: 'wide' }],
      /DATA_PREFERENCE .*margin is "wide", not a number/,
    ],
    ['marked answers', [{ prompt: 'a', completion: 'x', label: true }], /DATA_PREFERENCE .*reward learns from pairs/],
  ])('%s', async (name, rows, message) => {
    const { exit, stderr } = await train(data(`bad-${name}`, [...rows, ...texts]), `bad-${name}`, ...few);
    expect(exit).toBe(2);
    expect(stderr).toMatch(message);
  });

  test('a head of another width, and lists for a method of pairs', async () => {
    const head = path.join(folder, 'wide.safetensors');
    writeSafetensors(head, [{ name: 'score.weight', type: 'F32', shape: [1, 8], data: new Float32Array(8) }]);
    expect((await train(pairs, 'wide', ...few, '--reward-head', head)).stderr).toMatch(
      /REWARD_HEAD .*score\.weight \[1,8\], and score\.weight \[1,32\]/,
    );
    writeFileSync(head, 'no tensors');
    expect((await train(pairs, 'broken', ...few, '--reward-head', head)).stderr).toMatch(/SAFETENSORS_HEADER/);
    const lists = data(
      'dpo-lists',
      texts.map(({ prompt, chosen, rejected }) => ({ prompt, ranked: [chosen, rejected] })),
    );
    const dpo = await cli(['train', '--model', model, '--method', 'dpo', '--data', lists, ...common, ...few]);
    expect(dpo.stderr).toMatch(/DATA_PREFERENCE .*is a list of 2 answers, and dpo learns from pairs/);
  });
});
