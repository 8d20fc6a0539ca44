import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { cli, type Line, temporaryFolder } from '../../test/support/cli.ts';
import { type Toys, train, writeToys } from '../../test/support/toy-runs.ts';

const folder = temporaryFolder();
const home = path.join(folder, 'home');
let toys: Toys;
let run: string;

beforeAll(async () => {
  vi.stubEnv('TUNESMITH_HOME', home);
  toys = writeToys(path.join(folder, 'toys'));
  run = (await train(toys, { valid: 'none', steps: 12, lr: 3e-2 })).run;
});
afterAll(() => vi.unstubAllEnvs());

function write(name: string, rows: readonly unknown[] | string): string {
  const file = path.join(folder, name);
  writeFileSync(file, typeof rows === 'string' ? rows : rows.map((row) => JSON.stringify(row)).join('\n'));
  return file;
}
const asks = (metric: string, more: object = {}) =>
  [1, 2, 3, 4].map((i) => ({ prompt: `Question ${i}`, metric, maxTokens: 8, ...more }));
const evaluate = (...args: string[]) => cli(['eval', run, '--suite', 'none', '--threads', '1', ...args]);
const of = (lines: readonly Line[], type: string) => lines.filter((line) => line.type === type);

describe('tasks of the user', () => {
  it.each([
    ['f1', { references: ['on on', 'Answer 1'] }, 'score'],
    ['rouge-l', { references: 'on on' }, 'score'],
    ['bleu', { references: 'on on' }, 'score'],
    ['chrf', { references: 'on on' }, 'score'],
    ['slots', { references: { a: 1 } }, 'score'],
    ['json', { schema: { type: 'object' } }, 'accuracy'],
    ['label', { references: 'on' }, 'accuracy'],
    ['code', { tests: 'if (x !== 1) throw 1;' }, 'accuracy'],
  ])('%s marks answers of both models', async (metric, more, unit) => {
    const { exit, lines, stderr } = await evaluate('--task', write(`${metric}.jsonl`, asks(metric, more)));
    expect(exit, stderr).toBe(0);
    expect(of(lines, 'comparison')).toMatchObject([{ task: metric, unit, items: 4 }]);
    if (metric === 'label') expect(of(lines, 'labels')[0]).toMatchObject({ tuned: { labels: [{ label: 'on' }] } });
  });

  it('answers once, whatever marks it', async () => {
    const kept = () => readdirSync(path.join(home, 'evaluations')).length;
    await evaluate('--task', write('one.jsonl', asks('exact', { references: 'a' })));
    const before = kept();
    await evaluate('--task', write('other.jsonl', asks('chrf', { references: 'a' })));
    expect(kept()).toBe(before);
  });

  it('a function of the user marks them; what it throws is counted and named, and the rest survives', async () => {
    const scorer = write(
      'score.ts',
      `export default ({ prompt, answer }: { prompt: string; answer: string }) => {
        if (prompt.endsWith('2')) throw new Error('cannot count to two');
        return Math.min(1, answer.length / 100);
      };`,
    );
    const rows = asks('', {}).map(({ metric: _, ...row }) => ({ ...row, mine: 1 }));
    const { exit, lines, stderr } = await evaluate('--task', write('own.jsonl', rows), '--scorer', scorer);
    expect(exit, stderr).toBe(0);
    expect(of(lines, 'comparison')).toMatchObject([{ task: 'own', unit: 'score', items: 3 }]);
    expect(of(lines, 'note').map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/own: 1 of 4 items .* item 2: cannot count to two/),
    );
  });

  it.each([
    ['no function', 'export const score = 1;', 'EVAL_SCORER'],
    ['a fault', 'export default (', 'EVAL_SCORER'],
  ])('a scorer file with %s is refused', async (_, text, code) => {
    const task = write('any.jsonl', [{ prompt: 'a' }]);
    const { exit, lines } = await evaluate('--task', task, '--scorer', write('bad.ts', text));
    expect([exit, lines[0]?.code]).toEqual([2, code]);
  });

  it.each([
    ['tests for another metric', { prompt: 'a', references: 'a', tests: 'x' }, 'tests'],
    ['code without tests', { prompt: 'a', metric: 'code' }, 'no tests'],
    ['a misspelt column', { prompt: 'a', references: 'a', metrc: 'f1' }, 'a column metrc'],
    ['neither prompt nor messages', { references: 'a' }, 'a row has a prompt'],
    ['a schema for another metric', { prompt: 'a', references: 'a', schema: {} }, 'has a schema'],
  ])('refuses %s', async (_, row, message) => {
    const { exit, lines } = await evaluate('--task', write('wrong.jsonl', [row]));
    expect(exit).toBe(2);
    expect(lines[0]).toMatchObject({ code: 'EVAL_TASK', line: 1 });
    expect(lines[0]!.message).toContain(message);
  });
});

describe('benchmarks', () => {
  const ROWS: Readonly<Record<string, object>> = {
    lambada: { context: 'The sky is', continuation: 'blue' },
    hellaswag: { activity_label: 'A', ctx_a: 'He goes', ctx_b: 'and', endings: ['a [x] b', 'c', 'd'], label: '1' },
    arc: { question: 'Q?', choices: { text: ['a', 'b'], label: ['A', 'B'] }, answerKey: 'B' },
    piqa: { goal: 'G', sol1: 'a', sol2: 'b', label: 0 },
    blimp: { sentence_good: 'He goes.', sentence_bad: 'He go.' },
    winogrande: { sentence: 'Ann met Sue as _ left.', option1: 'Ann', option2: 'Sue', answer: '2' },
    boolq: { passage: 'P.', question: 'is it', answer: true },
    mmlu: { question: 'Q?', subject: 'high_school_maths', choices: ['a', 'b', 'c', 'd'], answer: 2 },
    'truthfulqa-mc2': {
      question: 'Q?',
      mc1_targets: { choices: ['a', 'b'], labels: [1, 0] },
      mc2_targets: { choices: ['a', 'b', 'c'], labels: [1, 1, 0] },
    },
    ifeval: { prompt: 'P', instruction_id_list: ['punctuation:no_comma'], kwargs: [{}] },
    gsm8k: { question: 'Q?', answer: '1 + 1 = 2\n#### 1,002' },
    wikitext: { page: ' = Head = \n Some text , and more . \n' },
  };

  it('are recognised by their columns', async () => {
    const files = Object.entries(ROWS).map(([name, row]) => write(`${name}.jsonl`, [row]));
    const { exit, lines, stderr } = await cli([
      ...['eval', toys.model, '--suite', 'none', '--threads', 1],
      ...files.flatMap((file) => ['--task', file]),
    ]);
    expect(exit, stderr).toBe(0);
    expect(of(lines, 'score').map(({ task, unit }) => `${task} ${unit}`)).toEqual([
      'lambada accuracy',
      'hellaswag accuracy',
      'arc accuracy',
      'piqa accuracy',
      'blimp accuracy',
      'winogrande accuracy',
      'boolq accuracy',
      'mmlu accuracy',
      'truthfulqa-mc2 score',
      'ifeval accuracy',
      'gsm8k accuracy',
      'wikitext bits',
    ]);
  }, 120_000);

  it('are named where their columns do not say it', async () => {
    const text = write('words.jsonl', [{ text: 'The sky is blue' }]);
    const { lines } = await evaluate('--task', `lambada:${text}`);
    expect(of(lines, 'comparison')).toMatchObject([{ unit: 'accuracy' }]);
    const wrong = await evaluate('--task', `helaswag:${text}`);
    expect([wrong.exit, wrong.lines[0]?.fix]).toEqual([2, 'did you mean hellaswag?']);
  });

  it.each([
    ['a label without its choice', { ...ROWS.hellaswag, label: 7 }, 'gold 7'],
    ['a key that no choice has', { ...ROWS.arc, answerKey: 'Z' }, 'gold -1'],
    ['an instruction that is not known', { ...ROWS.ifeval, instruction_id_list: ['be:kind'] }, 'be:kind'],
    ['a sentence without a gap', { ...ROWS.winogrande, sentence: 'No gap.' }, 'sentence'],
  ])('refuse %s', async (_, row, message) => {
    const { exit, lines } = await evaluate('--task', write('bad-benchmark.jsonl', [row]));
    expect([exit, lines[0]?.code]).toEqual([2, 'EVAL_TASK']);
    expect(lines[0]!.message).toContain(message);
  });
});

describe('a judge', () => {
  let server: Server;
  let url: string;
  let asked: { readonly messages: readonly { readonly content: string }[] }[] = [];
  let reply: (prompt: string) => { readonly status?: number; readonly text?: string };
  const task = () => write('judged.jsonl', asks('judge', { maxTokens: 6 }));
  const judge = (...more: string[]) => evaluate('--task', task(), '--judge', url, '--judge-model', 'oracle', ...more);

  beforeAll(async () => {
    server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const body = JSON.parse(Buffer.concat(parts).toString());
        asked.push(body);
        const { status = 200, text = '' } = reply(body.messages.at(-1).content);
        response.writeHead(status, { 'content-type': 'application/json', 'retry-after': '0' });
        response.end(JSON.stringify({ choices: [{ message: { role: 'assistant', content: text } }] }));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  });
  afterAll(() => server.close());

  it('that favours a place finds a tie, and one that can tell finds the better', async () => {
    reply = () => ({ text: 'Better: A' });
    const biased = await judge();
    expect(biased.exit, biased.stderr).toBe(0);
    expect(of(biased.lines, 'comparison')).toMatchObject([
      { unit: 'preference', tuned: 0, base: 0, verdict: 'unsure' },
    ]);
    expect(asked[0]?.messages).toHaveLength(2);
    asked = [];
    expect(of((await judge()).lines, 'comparison')).toEqual(of(biased.lines, 'comparison'));
    expect(asked).toEqual([]);
    const later = (prompt: string) => {
      const [, a = '', b = ''] = /\[Answer A\]\n([\s\S]*)\n\n\[Answer B\]\n([\s\S]*)/.exec(prompt) ?? [];
      return { text: `Both try.\nBetter: ${a > b ? 'A' : 'B'}` };
    };
    reply = later;
    const fair = await evaluate('--task', task(), '--judge', url, '--judge-model', 'fair');
    const [found] = of(fair.lines, 'comparison');
    expect((found!.tuned as number) + (found!.base as number)).toBeGreaterThan(0);
  });

  it('that cannot be reached leaves a partial result that says so', async () => {
    let answers = 0;
    reply = () => (answers++ < 2 ? { text: 'Better: tie' } : { status: 400 });
    const { exit, lines } = await evaluate('--task', task(), '--judge', url, '--judge-model', 'weary');
    expect(exit).toBe(0);
    expect(of(lines, 'comparison')).toMatchObject([{ items: 1 }]);
    expect(of(lines, 'note').map(({ message }) => message)).toContainEqual(expect.stringMatching(/3 of 4 items .*400/));
  });

  it('that is down is asked again, then no more, and is named', async () => {
    const down = ['--judge', 'http://127.0.0.1:59997/v1', '--judge-model', 'm'];
    const { exit, lines } = await evaluate('--task', task(), ...down);
    expect(exit).toBe(0);
    expect(of(lines, 'comparison')).toEqual([]);
    expect(of(lines, 'note').map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/4 of 4 items .*EVAL_JUDGE 127\.0\.0\.1:59997 cannot be reached/),
    );
  });

  it('is named and agreed on before anything leaves the machine', async () => {
    const args = ['--task', task(), '--judge', 'https://judge.example/v1', '--judge-model', 'm'];
    const { exit, lines, stderr } = await evaluate(...args);
    expect([exit, lines[0]?.code]).toEqual([2, 'EVAL_JUDGE']);
    expect(stderr).toContain('are sent to judge.example');
  });

  it('may be a model of this machine, and is wanted where a task has its metric', async () => {
    const local = await evaluate('--task', task(), '--judge', toys.model);
    expect(local.exit, local.stderr).toBe(0);
    const none = await evaluate('--task', task());
    expect([none.exit, none.lines[0]?.code]).toEqual([2, 'EVAL_JUDGE']);
    const idle = await evaluate('--task', write('no-judge.jsonl', asks('exact', { references: 'a' })), '--judge', url);
    expect([idle.exit, idle.lines[0]?.code]).toEqual([2, 'CLI_OPTION_CONFLICT']);
  });
});

describe('the report of tasks', () => {
  it('shows figures of every unit', async () => {
    const html = path.join(folder, 'units.html');
    const page = write('page.jsonl', [{ page: 'Some text.' }, { page: 'More of it.' }]);
    const marks = write('marks.jsonl', asks('chrf', { references: 'on' }));
    expect((await evaluate('--task', page, '--task', marks, '--html', html)).exit).toBe(0);
    const text = readFileSync(html, 'utf8');
    for (const part of ['bits per byte', 'points of 100', 'What to do next', 'In figures'])
      expect(text).toContain(part);
    expect(text).not.toMatch(/NaN|Infinity|undefined/);
  });
});
