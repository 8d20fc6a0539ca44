import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { cli, linesOf, temporaryFolder } from '../../../test/support/cli.ts';
import { writeRows } from '../../../test/support/golden-rows.ts';
import { itemId, openRankingFile, readRankings } from '../../align/ranking/log.ts';
import type { Opinion, RankingItem } from '../../align/ranking/types.ts';

const folder = temporaryFolder();
const at = (name: string) => path.join(folder, name);
const asked = (content: string) => [{ role: 'user', content } as const];
const itemOf = (question: string, answers: readonly string[]): RankingItem => ({
  id: itemId(asked(question), answers),
  prompt: asked(question),
  answers: answers.map((text) => ({ text, by: 'm' })),
});
const item = itemOf('Which?', ['a', 'b', 'c']);

function rankings(name: string, judged: Readonly<Record<string, Opinion | undefined>>): string {
  const file = openRankingFile(at(name), 0);
  file.add({ type: 'item', item });
  for (const [rater, opinion] of Object.entries(judged)) {
    const kind = rater.startsWith('judge') ? 'model' : 'person';
    file.add({
      type: 'judgement',
      judgement: { item: item.id, axis: 'overall', rater: { name: rater, kind }, at: 't', shown: [0, 1, 2], opinion },
    });
  }
  file.close();
  return at(name);
}

const full: Opinion = { ranking: { groups: [[1], [0], [2]] }, edits: [{ of: 2, text: 'c!' }] };
const rowsIn = (name: string) => linesOf(readFileSync(at(name), 'utf8')) as unknown as Record<string, unknown>[];

describe('prefer export and import', () => {
  const prefs = rankings('prefs.jsonl', { ada: full });

  test.each([
    ['preference', 4],
    ['openai-preference', 4],
    ['unpaired', 3],
    ['lists', 2],
    ['argilla', 1],
  ])('write %s, which comes back as what it was', async (to, count) => {
    const out = at(`${to}.jsonl`);
    const { exit, stderr } = await cli(['prefer', 'export', prefs, '--to', to, '--out', out]);
    expect(exit, stderr).toBe(0);
    expect(rowsIn(`${to}.jsonl`)).toHaveLength(count);
    const again = at(`${to}-again.jsonl`);
    for (const known of [0, 1]) {
      const imported = await cli(['prefer', 'import', out, '--out', again, '--rater', 'ada']);
      expect(imported.exit, imported.stderr).toBe(0);
      expect(imported.lines.find(({ type }) => type === 'imported')).toMatchObject({
        judgements: known === 0 ? count : 0,
      });
    }
    const back = at(`${to}-back.jsonl`);
    expect((await cli(['prefer', 'export', again, '--to', to, '--out', back])).exit).toBe(0);
    const sorted = (name: string) =>
      rowsIn(name)
        .map((row) => JSON.stringify({ ...row, responses: undefined, id: undefined }))
        .sort();
    expect(sorted(`${to}-back.jsonl`)).toEqual(sorted(`${to}.jsonl`));
  });

  test('reads what chat wrote, two kinds in one file', async () => {
    const answer = (content: string) => [{ role: 'assistant', content }];
    const feedback = writeRows(at('feedback.jsonl'), [
      { prompt: asked('1'), completion: answer('good'), label: true },
      { prompt: asked('1'), completion: answer('bad'), label: false },
      { prompt: asked('2'), chosen: answer('better'), rejected: answer('worse') },
    ]);
    expect((await cli(['prefer', 'import', feedback, '--out', at('chat.jsonl')])).exit).toBe(0);
    const judged = readRankings(at('chat.jsonl')).rankings.judgements();
    expect(judged.map(({ opinion, rater }) => [rater.name, rater.kind, Object.keys(opinion!)])).toEqual([
      ['feedback.jsonl', 'import', ['good', 'bad']],
      ['feedback.jsonl', 'import', ['good', 'bad']],
      ['feedback.jsonl', 'import', ['ranking']],
    ]);
  });

  test('reads records of Argilla, flat and nested, and of distilabel, with ties', async () => {
    const rows = [
      {
        fields: { instruction: 'q', 'response-1': 'x', 'response-2': 'y' },
        responses: { r: [{ value: ['response-2', 'response-1'], user_id: 'u1' }] },
      },
      {
        prompt: 'p',
        response_1: 'x',
        response_2: 'y',
        'r.responses': [
          [
            { value: 'response_1', rank: 1 },
            { value: 'response_2', rank: 1 },
          ],
        ],
        'r.responses.users': ['u2'],
      },
      { instruction: 'd', generations: ['x', 'y', 'z'], ratings: [3, 5, 3] },
    ];
    writeFileSync(at('argilla.json'), JSON.stringify(rows));
    const { exit, stderr } = await cli([
      'prefer',
      'import',
      at('argilla.json'),
      '--out',
      at('fromargilla.jsonl'),
      '--rater',
      'd',
    ]);
    expect(exit, stderr).toBe(0);
    const judged = readRankings(at('fromargilla.jsonl')).rankings.judgements();
    expect(judged.map(({ rater, opinion }) => [rater.name, opinion?.ranking?.groups])).toEqual([
      ['u1', [[1], [0]]],
      ['u2', [[0, 1]]],
      ['d', [[1], [0, 2]]],
    ]);
  });

  test('choose by rater, by kind and by rule', async () => {
    const file = rankings('two.jsonl', {
      ada: { ranking: { groups: [[0], [1], [2]] } },
      'judge x': { ranking: { groups: [[2], [1], [0]] } },
    });
    const count = async (...args: string[]) => {
      const { lines } = await cli(['prefer', 'export', file, '--out', at('chosen.jsonl'), '--force', ...args]);
      return lines.find(({ type }) => type === 'exported') ?? lines.find(({ type }) => type === 'error');
    };
    expect(await count('--by', 'person')).toMatchObject({ rows: 3, undecided: 0 });
    expect(await count('--rater', 'judge x', '--pairs', 'best-worst')).toMatchObject({ rows: 1 });
    expect(await count()).toMatchObject({ code: 'PREFER_NOTHING' });
    expect(await count('--axis', 'honest')).toMatchObject({ code: 'PREFER_NOTHING' });
    expect(await count('--to', 'lists', '--pairs', 'all')).toMatchObject({ code: 'CLI_OPTION_CONFLICT' });
  });

  test.each([
    [
      '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}',
      /DATA_PREFERENCE .*:1 judges no answer/,
    ],
    ['{"x":1}', /DATA_SHAPE_UNKNOWN|DATA_PREFERENCE/],
    ['{"prompt":"a","ranked":[1,2]}', /DATA_EMPTY_ANSWER .*:1/],
    ['{"prompt":"a"', /DATA_\w+ .*:1/],
    ['', /DATA_EMPTY_FILE/],
  ])('refuse %s', async (text, message) => {
    writeFileSync(at('bad.jsonl'), `${text}\n`);
    const { exit, stderr } = await cli(['prefer', 'import', at('bad.jsonl'), '--out', at('never.jsonl')]);
    expect(stderr).toMatch(message);
    expect(exit).toBe(2);
    expect(() => readFileSync(at('never.jsonl'))).toThrow();
  });
});

describe('prefer agreement', () => {
  test('tells alpha, who agrees with whom, and where they do not', async () => {
    const one = rankings('one.jsonl', { ada: full });
    const other = rankings('other.jsonl', { ada: { ranking: { groups: [[0], [1], [2]] } } });
    const { exit, lines } = await cli(['prefer', 'agreement', one, other]);
    expect(exit).toBe(0);
    expect(lines[0]).toMatchObject({
      type: 'agreement',
      pairs: { units: 3 },
      between: [{ one: 'ada', other: `ada (${other})`, same: 2, of: 3 }],
    });
    expect(lines[1]).toMatchObject({ type: 'disagreement', forSecond: ['ada'], answers: ['a', 'b'] });
    const alone = await cli(['prefer', 'agreement', one]);
    expect(alone.stderr).toMatch(/PREFER_NOTHING .*one rater, ada/);
  });
});
