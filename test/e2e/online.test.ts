import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type Called, cli, type Line, temporaryFolder } from '../support/cli.ts';
import { lossesOf } from '../support/close.ts';
import { writeRows } from '../support/golden-rows.ts';
import { type Loopback, openLoopback } from '../support/loopback.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';

const folder = temporaryFolder();
const model = writeTinyChatModel(path.join(folder, 'model'));
const data = (name: string, rows: readonly unknown[]) => writeRows(path.join(folder, `${name}.jsonl`), rows);
const file = (name: string, text: string) => {
  writeFileSync(path.join(folder, name), text);
  return path.join(folder, name);
};
const prompts = data(
  'prompts',
  Array.from({ length: 40 }, (_, i) => ({ prompt: `Word ${i}`, answer: 'aaaaaaaa' })),
);
/** The share of letters from a to m: what a random model can begin with. */
const letters = file(
  'letters.ts',
  `export default ({ answer }: { answer: string }): number => [...answer].filter((c) => c >= 'a' && c <= 'm').length / 8;\n`,
);
const common = ['--out', folder, '--threads', 1, '--warmup', 0, '--no-eval', '--batch', 4, '--max-tokens', 8] as const;

function train(name: string, ...args: (string | number)[]): Promise<Called> {
  const how = args.includes('--method') ? [] : ['--method', 'grpo'];
  return cli(['train', '--model', model, '--data', prompts, '--name', name, ...how, ...common, ...args]);
}

async function ran(called: Promise<Called>): Promise<Called> {
  const { exit, stderr } = await called;
  expect(exit, stderr).toBe(0);
  return called;
}

type Step = Line & { readonly loss: number; readonly metrics: Record<string, number> };
const stepsOf = ({ lines }: Called) => lines.filter(({ type }) => type === 'step') as Step[];
const few = ['--valid', 'none', '--steps', 2, '--reward', letters] as const;

describe('training on drawn answers', () => {
  test.each(['grpo', 'rloo'])(
    '%s raises the reward, and says by how much on prompts that were held out',
    async (method) => {
      const called = await ran(
        train(
          method,
          '--method',
          method,
          '--reward',
          letters,
          '--valid',
          0.3,
          '--steps',
          10,
          '--lr',
          1e-2,
          '--eval-every',
          5,
        ),
      );
      const steps = stepsOf(called);
      const mean = (part: readonly Step[]) => part.reduce((sum, { metrics }) => sum + metrics.reward!, 0) / part.length;
      expect(mean(steps.slice(-3))).toBeGreaterThan(mean(steps.slice(0, 3)));
      expect(steps[0]!.metrics).toMatchObject({
        'rewards/function/mean': steps[0]!.metrics.reward,
        'completions/max_length': 8,
        'clip_ratio/region_mean': 0,
      });
      const win = called.lines.find(({ type }) => type === 'win-rate') as Line & {
        before: number;
        after: number;
        winRate: number;
      };
      expect(win.after).toBeGreaterThanOrEqual(win.before);
      const evals = called.lines.filter(({ type }) => type === 'eval') as Step[];
      expect(evals[0]!.metrics).toMatchObject({ win_rate: 0.5 });
      const samples = called.lines.filter(({ type }) => type === 'sample') as (Line & { text: string })[];
      expect(samples.length).toBeGreaterThan(0);
      expect(Math.max(...samples.map(({ text }) => text.length))).toBeLessThanOrEqual(8);
    },
  );

  test('goes on where it was cut, bit for bit', async () => {
    const flags = [
      '--valid',
      0.3,
      '--reward',
      letters,
      '--steps',
      4,
      '--save-every',
      2,
      '--iterations',
      2,
      '--lr',
      1e-2,
    ];
    const whole = lossesOf((await ran(train('whole', ...flags))).lines);
    const stop = new AbortController();
    const run = path.join(folder, 'cut');
    const watching = setInterval(() => {
      if (existsSync(path.join(run, 'checkpoints', 'step-000002'))) stop.abort();
    }, 5);
    const args = [
      'train',
      '--model',
      model,
      '--data',
      prompts,
      '--name',
      'cut',
      '--method',
      'grpo',
      ...common,
      ...flags,
    ];
    const { exit } = await cli(args, stop.signal);
    clearInterval(watching);
    if (exit !== 0) await ran(cli(['train', '--resume', run]));
    const lines = readFileSync(path.join(run, 'events.jsonl'), 'utf8').trim().split('\n');
    expect(lossesOf(lines.map((line) => JSON.parse(line) as Line))).toEqual(whole);
  });

  test('each option changes the outcome', async () => {
    const outcome = async (name: string, ...args: (string | number)[]) =>
      JSON.stringify(
        stepsOf(await ran(train(name, ...few, '--lr', 2e-2, ...args))).map(({ loss, metrics }) => [loss, metrics]),
      );
    const seen = new Set<string>();
    const variants: (string | number)[][] = [
      [],
      ['--loss', 'grpo'],
      ['--loss', 'dr_grpo'],
      ['--loss', 'cispo'],
      ['--beta', 0.5],
      ['--scale-rewards', 'batch'],
      ['--scale-rewards', 'none'],
      ['--iterations', 2],
      ['--iterations', 2, '--epsilon', 0.001],
      ['--iterations', 2, '--epsilon-high', 0.001],
      ['--iterations', 2, '--importance', 'sequence'],
      ['--temperature', 0.7],
      ['--group', 4],
      ['--mask-truncated'],
      ['--rollout-precision', 'fast'],
      ['--method', 'rloo'],
      ['--method', 'rloo', '--beta', 0],
      ['--method', 'rloo', '--scale-rewards', 'batch'],
      ['--weights', 'full', '--beta', 0.1],
      ['--reward', '0.5*regex:[aeiou]'],
    ];
    for (const [i, variant] of variants.entries()) {
      const result = await outcome(`variant-${i}`, ...variant);
      expect(seen.has(result), variant.join(' ')).toBe(false);
      seen.add(result);
    }
  }, 300_000);

  test('a reward model rewards, by the name of its run', async () => {
    const pairs = data(
      'pairs',
      Array.from({ length: 24 }, (_, i) => ({ prompt: `Word ${i}`, chosen: 'aaaaaaaa', rejected: `zz ${i}` })),
    );
    const judge = [
      '--method',
      'reward',
      '--data',
      pairs,
      '--name',
      'judge',
      '--out',
      folder,
      '--threads',
      1,
      '--valid',
      'none',
    ];
    await ran(cli(['train', '--model', model, ...judge, '--steps', 8, '--batch', 8, '--lr', 1e-2]));
    const called = await ran(train('judged', '--valid', 'none', '--steps', 2, '--reward', path.join(folder, 'judge')));
    expect(stepsOf(called)[0]!.metrics['rewards/model/std']).toBeGreaterThan(0);
  });
});

test('the sums that ship with the package are met by their own answers, and not by junk', async () => {
  const sums = path.join(import.meta.dirname, '../../examples/sums/train.jsonl');
  const rows = readFileSync(sums, 'utf8').trim().split('\n');
  for (const line of rows) {
    const { prompt, answer } = JSON.parse(line) as { prompt: string; answer: string };
    const [, a, sign, b] = /^What is (\d+) ([+-]) (\d+)\?$/.exec(prompt) ?? [];
    expect(answer).toBe(`${a} ${sign} ${b} = ${Number(a) + (sign === '+' ? 1 : -1) * Number(b)}`);
  }
  const rewards = ['--reward', '0.5*numeric', '--reward', '0.5*regex:^\\d+ [+-] \\d+ = \\d+$'];
  const plan = ['train', '--model', model, '--data', sums, '--method', 'grpo', '--name', 'sums', ...common, ...rewards];
  const { lines } = await ran(cli([...plan, '--plan', '--steps', 1_000_000]));
  const { cheaper } = lines.find(({ type }) => type === 'plan') as Line & { readonly cheaper: string };
  expect(cheaper).toContain('--max-tokens');
});

describe('what is wrong with a reward is said before any step', () => {
  const answer = (code: string) => `export default ({ answer }: { answer: string }): number => ${code};\n`;
  test.each([
    ['none is named', [], /nothing says what answers are worth/],
    ['an unknown one', ['--reward', 'niceness'], /REWARD_UNKNOWN .*"niceness" is none that is known/],
    [
      'a function that throws',
      ['--reward', file('throws.ts', answer('{ throw new Error("no luck"); }').replace('=> {', '=> {'))],
      /REWARD_FAILED .*function threw: no luck/,
    ],
    [
      'one that gives NaN',
      ['--reward', file('nan.ts', answer('Number(`x` + answer)'))],
      /REWARD_FAILED .*function gave NaN for the answer "aaaaaaaa"/,
    ],
    [
      'a constant',
      ['--reward', file('constant.ts', answer('answer === "" ? 1 : 1'))],
      /REWARD_CONSTANT .*gave 1 to right answers and to junk alike/,
    ],
    [
      'one that accepts junk',
      ['--reward', 'length:1-100'],
      /REWARD_JUNK .*gave right answers 1\.000 and nonsense 1\.000/,
    ],
    [
      'one without an export',
      ['--reward', file('empty.ts', 'export const x = 1;\n')],
      /REWARD_FAILED .*no default export that is a function/,
    ],
    ['one that compares with no number', ['--reward', 'numeric'], /REWARD_REFERENCE .*holds no number/],
    ['a broken pattern', ['--reward', 'regex:('], /CLI_OPTION_VALUE .*no regular expression/],
    ['a broken range', ['--reward', 'length:9'], /CLI_OPTION_VALUE .*no range such as length:10-200/],
    ['--max-length', ['--reward', letters, '--max-length', 50], /--max-length has no effect on --method grpo/],
    [
      'epsilon for cispo',
      ['--reward', letters, '--loss', 'cispo', '--epsilon', 0.1],
      /--epsilon has no effect on --loss cispo/,
    ],
  ])('%s', async (name, args, message) => {
    const called = await train(`bad ${name}`, '--valid', 'none', '--steps', 2, ...args);
    expect(called.exit).toBe(2);
    expect(called.stderr).toMatch(message);
    expect(stepsOf(called)).toEqual([]);
  });

  test('rows without the right answer, without a prompt, and too long for the answers', async () => {
    const run = (rows: readonly unknown[], ...args: (string | number)[]) =>
      cli([
        'train',
        '--model',
        model,
        '--method',
        'grpo',
        '--data',
        data('bad', rows),
        ...common,
        '--valid',
        'none',
        ...args,
      ]);
    expect((await run([{ prompt: 'a' }], '--reward', 'exact')).stderr).toMatch(
      /REWARD_REFERENCE .*brings no right answer/,
    );
    expect((await run([{ words: 'a' }], '--reward', letters)).stderr).toMatch(
      /DATA_PROMPT .*holds words, and no prompt/,
    );
    expect((await run([{ prompt: 'z'.repeat(490), answer: 'aaaaaaaa' }], '--reward', letters)).stderr).toMatch(
      /DATA_TOO_LONG .*which with answers of 8 are more than/,
    );
  });

  describe('a judge as reward', () => {
    const opened: Loopback[] = [];
    afterEach(async () => {
      for (const server of opened.splice(0)) await server.close();
    });
    /** A judge that likes the letters from a to m. */
    const openJudge = async (say: (mark: number) => string): Promise<string> => {
      const server = await openLoopback((request, response) => {
        let body = '';
        request.on('data', (chunk: Buffer) => {
          body += chunk.toString();
        });
        request.on('end', () => {
          const { messages, model } = JSON.parse(body) as { messages: { content: string }[]; model: string };
          const [, answer = ''] = /\[Answer\]\n([\s\S]*)$/.exec(messages.at(-1)!.content) ?? [];
          const mark = Math.min(10, [...answer].filter((c) => c >= 'a' && c <= 'm').length);
          response.setHeader('content-type', 'application/json');
          response.end(JSON.stringify({ choices: [{ message: { content: say(model === 'fair' ? mark : 0) } }] }));
        });
      });
      opened.push(server);
      return server.url;
    };

    test('marks answers from 0 to 1', async () => {
      const url = await openJudge((mark) => `I thought of 3 things. Mark: ${mark}`);
      const called = await ran(
        train('marked', '--valid', 'none', '--steps', 2, '--reward', `0.5*judge:${url}/v1#fair`),
      );
      const { metrics } = stepsOf(called)[0]!;
      expect(metrics['rewards/judge/mean']).toBeGreaterThan(0);
      expect(metrics['rewards/judge/mean']).toBeLessThan(1);
      expect(metrics.reward).toBeCloseTo(metrics['rewards/judge/mean']! / 2, 6);
    });

    test.each([
      [
        'gives no marks',
        'REWARD_FAILED',
        async (): Promise<string> => `judge:${await openJudge(() => 'Fine.')}/v1#fair`,
      ],
      [
        'gives all the same',
        'REWARD_CONSTANT',
        async () => `judge:${await openJudge((mark) => `Mark: ${mark}`)}/v1#dull`,
      ],
      ['is down', 'EVAL_JUDGE', async (): Promise<string> => 'judge:http://127.0.0.1:9/v1#fair'],
      ['has no name', 'CLI_OPTION_VALUE', async (): Promise<string> => 'judge:http://127.0.0.1:9/v1'],
      [
        'is elsewhere, and nobody agreed',
        'EVAL_JUDGE',
        async (): Promise<string> => 'judge:http://judge.example/v1#fair',
      ],
    ] as const)('that %s is found before any step', async (name, code, spec) => {
      const { exit, stderr, lines } = await train(
        name.replaceAll(' ', '-'),
        ...few.slice(0, 4),
        '--reward',
        await spec(),
      );
      expect(exit, stderr).not.toBe(0);
      expect(stderr).toContain(code);
      expect(lines.some(({ type }) => type === 'step')).toBe(false);
    });

    test('--yes without a judge is refused', async () => {
      const { exit, stderr } = await train('agreed', ...few, '--yes');
      expect(exit).toBe(2);
      expect(stderr).toContain('CLI_OPTION_CONFLICT');
    });
  });
});
