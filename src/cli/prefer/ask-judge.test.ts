import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { cli, temporaryFolder } from '../../../test/support/cli.ts';
import { writeRows } from '../../../test/support/golden-rows.ts';
import { type Loopback, openLoopback } from '../../../test/support/loopback.ts';
import { readRankings } from '../../align/ranking/log.ts';

const folder = temporaryFolder();
const at = (name: string) => path.join(folder, name);
const answers = writeRows(at('answers.jsonl'), [
  { prompt: 'One?', answers: ['bad', 'best', 'good'] },
  { prompt: 'Two?', answers: ['good', 'bad'] },
  { prompt: 'Three?', answers: ['good.', 'good!'] },
]);
const WORTH = ['bad', 'good', 'best'];

/** A judge that knows what is good, and prefers the first of equal ones. */
function open(broken: () => boolean): Promise<Loopback> {
  return openLoopback((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      const { messages } = JSON.parse(body) as { messages: { content: string }[] };
      const [, a = '', b = ''] =
        /\[Answer A\]\n(\w+)[\s\S]*\[Answer B\]\n(\w+)/.exec(messages.at(-1)?.content ?? '') ?? [];
      const better = WORTH.indexOf(a) >= WORTH.indexOf(b) ? 'A' : 'B';
      const content = broken() ? 'I would rather not say.' : `Better: ${better}`;
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ choices: [{ message: { content } }] }));
    });
  });
}

describe('prefer --judge', () => {
  const opened: Loopback[] = [];
  afterEach(async () => {
    for (const server of opened.splice(0)) await server.close();
  });
  const ask = async (out: string, broken = () => false) => {
    const server = await open(broken);
    opened.push(server);
    const called = await cli([
      'prefer',
      answers,
      '--out',
      at(out),
      '--judge',
      `${server.url}/v1`,
      '--judge-model',
      'm',
    ]);
    return { ...called, asked: server.requests.length };
  };

  test('asks in both orders, ranks, and marks what it said as a model’s', async () => {
    const { exit, stderr, asked } = await ask('judged.jsonl');
    expect(exit, stderr).toBe(0);
    expect(asked).toBe(2 * (3 + 1 + 1));
    const judged = readRankings(at('judged.jsonl')).rankings.judgements();
    expect(judged.map(({ opinion }) => opinion?.ranking?.groups)).toEqual([[[1], [2], [0]], [[0], [1]], [[0, 1]]]);
    expect(judged[0]?.rater).toEqual({ name: 'judge m', kind: 'model' });
    expect((await ask('judged.jsonl')).asked).toBe(0);
  });

  test('keeps what it has when the judge fails, and goes on later', async () => {
    let count = 0;
    const failed = await ask('partial.jsonl', () => ++count > 0);
    expect(failed.exit).toBe(2);
    expect(failed.stderr).toMatch(/EVAL_JUDGE .*no verdict on 3 prompts in a row; 0 judgements are kept/);
    expect((await ask('partial.jsonl')).exit).toBe(0);
    expect(readRankings(at('partial.jsonl')).rankings.judgements()).toHaveLength(3);
  });

  test.each([
    [
      ['--judge', 'https://judge.example/v1', '--judge-model', 'm'],
      /EVAL_JUDGE .*prompts and answers of .* are sent to judge\.example/,
    ],
    [['--judge', 'http://localhost:1/v1'], /EVAL_JUDGE .*wants the name/],
    [['--judge', 'x', '--web'], /CLI_OPTION_CONFLICT --web is for people/],
    [['--judge', 'x', '--rater', 'ada'], /CLI_OPTION_CONFLICT --rater is for people/],
    [['--yes'], /CLI_OPTION_CONFLICT --yes goes with --judge/],
  ])('refuses %j', async (args, message) => {
    writeFileSync(at('none.jsonl'), '');
    const { exit, stderr } = await cli(['prefer', answers, '--out', at('none.jsonl'), ...args]);
    expect(stderr).toMatch(message);
    expect(exit).toBe(2);
  });
});
