import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { readRankings } from '../../src/align/ranking/log.ts';
import { cli, temporaryFolder } from '../support/cli.ts';
import { writeRows } from '../support/golden-rows.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';

const folder = temporaryFolder();
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const TSX = import.meta.resolve('tsx');
const model = writeTinyChatModel(path.join(folder, 'model'));
const answers = writeRows(
  path.join(folder, 'answers.jsonl'),
  Array.from({ length: 12 }, (_, i) => ({ prompt: `Question ${i}?`, answers: [`Yes ${i}.`, `No, not ${i}.`] })),
);

/** Starts the program with its input as a pipe. */
function start(...args: string[]): ChildProcess & { readonly said: () => string } {
  const child = spawn(process.execPath, ['--import', TSX, MAIN, 'prefer', ...args], { cwd: folder, stdio: 'pipe' });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
  }
  return Object.assign(child, { said: () => said });
}

async function type(keys: string, ...args: string[]): Promise<{ readonly exit: number; readonly said: string }> {
  const child = start(...args);
  child.stdin?.end(keys);
  const exit = await new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? -1)));
  return { exit, said: child.said() };
}

const judged = (file: string) => readRankings(path.join(folder, file)).rankings.judgements();

async function until(isSo: () => boolean): Promise<void> {
  for (let i = 0; i < 600 && !isSo(); i++) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(isSo()).toBe(true);
}

describe('prefer', () => {
  test('takes keys, texts and reasons, and goes on where it was', async () => {
    const first = await type('1\nrshorter\n2\ne1Better.\n\ns', answers, '--out', 'keys.jsonl', '--rater', 'ada');
    expect(first.exit, first.said).toBe(0);
    expect(first.said).toContain('All of it is saved');
    const opinions = judged('keys.jsonl').map(({ opinion }) => opinion);
    expect(opinions.slice(0, 3)).toMatchObject([
      { ranking: { groups: [[expect.any(Number)], [expect.any(Number)]] } },
      { ranking: {}, reason: 'shorter' },
      { edits: [{ text: 'Better.' }] },
    ]);
    expect(opinions[3]).toBeUndefined();
    const second = await type(`u${'t\n'.repeat(20)}`, 'keys.jsonl', '--rater', 'ada');
    expect(second.exit, second.said).toBe(0);
    expect(second.said).toContain('ada has judged 4 of 12');
    expect(judged('keys.jsonl')).toHaveLength(12);
    expect(readFileSync(path.join(folder, 'keys.jsonl'), 'utf8')).toContain('"type":"undo"');
  });

  test('shows neither source nor the order of the file', async () => {
    const rows = Array.from({ length: 8 }, (_, i) => ({ prompt: `${i}?`, chosen: `AAA${i}`, rejected: `BBB${i}` }));
    const pairs = writeRows(path.join(folder, 'pairs.jsonl'), rows);
    const { said } = await type('1\n'.repeat(8), pairs, '--out', 'blind.jsonl');
    const before = said.slice(0, said.indexOf('answers of'));
    expect(before).not.toMatch(/chosen|rejected/);
    const firsts = [...before.matchAll(/^1 {3}(AAA|BBB)/gm)].map((match) => match[1]);
    expect(new Set(firsts)).toEqual(new Set(['AAA', 'BBB']));
    expect(said).toMatch(/answers of +preferred/);
  });

  test('loses nothing that was answered when it is killed', async () => {
    const child = start(answers, '--out', 'killed.jsonl', '--rater', 'ada');
    child.stdin?.write('1\n2\n');
    const file = path.join(folder, 'killed.jsonl');
    await until(() => existsSync(file) && readFileSync(file, 'utf8').split('"type":"judgement"').length === 3);
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('close', resolve));
    writeFileSync(file, `${readFileSync(file, 'utf8')}{"type":"judge`);
    const { exit, said } = await type('t\n', 'killed.jsonl', '--rater', 'ada');
    expect(exit, said).toBe(0);
    expect(said).toContain('ada has judged 2 of 12');
    expect(judged('killed.jsonl')).toHaveLength(3);
  });

  test('saves and says so on Ctrl-C', async () => {
    const child = start(answers, '--out', 'stopped.jsonl');
    child.stdin?.write('1\n');
    await until(() => child.said().includes('2 of 12'));
    const busy = await type('', answers, '--out', 'stopped.jsonl');
    expect(busy.exit).toBe(2);
    expect(busy.said).toMatch(/PREFER_BUSY .*stopped\.jsonl/);
    child.kill('SIGINT');
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(130);
    expect(judged('stopped.jsonl')).toHaveLength(1);
  });

  test('draws different answers from a model, and none anew for a prompt that has them', async () => {
    const prompts = path.join(folder, 'prompts.txt');
    writeFileSync(prompts, 'What is red?\n\nWhat is blue?\n');
    const common = [model, '--prompts', prompts, '--out', 'drawn.jsonl', '--max-tokens', '12', '--threads', '1'];
    const first = await type('1\n', ...common, '--answers', '3', '--temperature', '1,2', '--system', 'Be brief.');
    expect(first.exit, first.said).toBe(0);
    const { items } = readRankings(path.join(folder, 'drawn.jsonl')).rankings;
    const [item] = items.values();
    expect(item?.prompt).toMatchObject([{ role: 'system', content: 'Be brief.' }, { role: 'user' }]);
    expect(new Set(item?.answers.map(({ text }) => text)).size).toBe(3);
    expect(item?.answers.map(({ by }) => by.replace(/.*,/, '')).sort()).toEqual([
      ' temperature 1',
      ' temperature 1',
      ' temperature 2',
    ]);
    const drawn = items.size;
    await type('1\n1\n', ...common, '--answers', '3', '--temperature', '1,2', '--system', 'Be brief.');
    expect(readRankings(path.join(folder, 'drawn.jsonl')).rankings.items.size).toBe(2);
    expect(drawn).toBeGreaterThan(0);
  });

  test('is trained on as it is', async () => {
    const { exit, said } = await type('1\n'.repeat(12), answers, '--out', 'train.jsonl');
    expect(exit, said).toBe(0);
    const flags = ['--valid', 'none', '--steps', 1, '--batch', 4, '--threads', 1, '--out', folder];
    const data = path.join(folder, 'train.jsonl');
    for (const method of ['dpo', 'kto']) {
      const trained = await cli([
        'train',
        '--model',
        model,
        '--data',
        data,
        '--method',
        method,
        '--name',
        method,
        ...flags,
      ]);
      expect(trained.exit, trained.stderr).toBe(0);
    }
    const empty = await type('', answers, '--out', 'unjudged.jsonl');
    expect(empty.exit).toBe(0);
    const refused = await cli([
      'train',
      '--model',
      model,
      '--data',
      path.join(folder, 'unjudged.jsonl'),
      '--method',
      'dpo',
      '--name',
      'x',
      ...flags,
    ]);
    expect(refused.exit).toBe(2);
    expect(refused.stderr).toMatch(/DATA_PREFERENCE .*no judgement/);
  });

  test.each([
    [[], /CLI_ARGUMENT .*nothing to judge/],
    [['m'], /CLI_ARGUMENT m is to answer, and no --prompts/],
    [['exprot'], /CLI_ARGUMENT .*did you mean prefer export/],
    [['answers.jsonl', '--top-k', '3'], /CLI_OPTION_CONFLICT --top-k has no effect without --prompts/],
    [['gone.jsonl'], /FILE_NOT_FOUND gone\.jsonl/],
    [['m', '--prompts', 'p.txt', '--answers', '7'], /CLI_OPTION_VALUE --answers 7 is not from 1 to 6/],
    [['m', '--prompts', 'p.txt', '--temperature', 'warm'], /CLI_OPTION_VALUE --temperature takes numbers/],
    [['m', '--prompts', 'p.txt', '--axes', 'helpfull'], /CLI_OPTION_VALUE .*did you mean helpful/],
    [['answers.jsonl', '--temperature', '1'], /CLI_OPTION_CONFLICT --temperature has no effect without --prompts/],
    [['answers.jsonl', '--rater', 'a', '--rater', 'b'], /CLI_OPTION_CONFLICT one person at a time/],
    [['answers.jsonl', '--port', '80'], /CLI_OPTION_CONFLICT --port/],
    [['answers.jsonl', '--prompts', 'p.txt'], /CLI_OPTION_CONFLICT .*--prompts has no effect/],
  ])('refuses %j', async (args, message) => {
    const empty = path.join(folder, 'answers.jsonl');
    const { exit, stderr } = await cli([
      'prefer',
      ...args.map((word) => (word === 'answers.jsonl' ? empty : word)),
      ...(args.length === 0 ? ['--out', path.join(folder, 'none.jsonl')] : []),
    ]);
    expect(stderr).toMatch(message);
    expect(exit).toBe(2);
  });
});
