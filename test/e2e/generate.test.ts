import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { type Called, cli, type Line, temporaryFolder } from '../support/cli.ts';
import { writeRows } from '../support/golden-rows.ts';
import { train, writeToys } from '../support/toy-runs.ts';
import { findVulkan } from '../support/webgpu.ts';

/** One engine for all calls on the CPU: starting a process for each would take most of the time. */
vi.mock('../../src/engine/index.ts', async (importActual) => {
  const actual = await importActual<typeof import('../../src/engine/index.ts')>();
  const shared = await actual.openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
  const openOrt: typeof actual.openOrt = (options) =>
    options.device === 'cpu' ? { ...shared, close: async () => {} } : actual.openOrt(options);
  return { ...actual, openOrt };
});

const folder = temporaryFolder();
const toys = writeToys(folder);
const file = (name: string) => path.join(folder, name);
const rows = (name: string, ...of: readonly object[]) => writeRows(file(name), of);
const user = (content: string) => ({ role: 'user', content });
const bot = (content: string) => ({ role: 'bot', content });

/** Twelve questions: more than are answered at once. */
const questions = rows(
  'questions.jsonl',
  ...Array.from({ length: 12 }, (_, i) => ({ prompt: `Question ${i}? ${'Say. '.repeat(i % 5)}`, id: i })),
);
let run: string;
beforeAll(async () => {
  ({ run } = await train(toys, { system: 'Be Ada.', role: 'bot=assistant', lr: 0.3 }));
});

const answer = (data: string, out: string, ...more: readonly (string | number)[]): Promise<Called> =>
  cli(['generate', ...['--data', data, '--out', file(out), '--max-tokens', 6, '--threads', 1], ...more]);
const linesOf = (out: string) =>
  readFileSync(file(out), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

function expectError({ exit, lines, stderr }: Called, code: string): Line {
  const error = lines.find(({ type }) => type === 'error');
  expect(error?.code, stderr).toBe(code);
  expect(exit).toBe(2);
  return error!;
}

describe('generate --data', () => {
  test('answers questions alone, and cuts off answers that are there', async () => {
    const asked = rows(
      'asked.jsonl',
      { messages: [user('Hi'), { role: 'assistant', content: 'Ho' }] },
      { messages: [user('Hi')] },
      { messages: [user('Hi'), { role: 'assistant', content: 'Ho' }, user('And now?')] },
    );
    const { exit, lines, stderr } = await answer(asked, 'asked-answers.jsonl', '--model', toys.model);
    expect(exit, stderr).toBe(0);
    const [first, second, third] = linesOf('asked-answers.jsonl');
    expect(first).toMatchObject({ index: 0, reference: 'Ho', stop: 'length' });
    expect(second).toEqual({ index: 1, text: first!.text, stop: 'length' });
    expect(third).not.toHaveProperty('reference');
    expect(lines.filter(({ type }) => type === 'answer')).toHaveLength(3);
  });

  test("uses the run's roles and system prompt, and those that are given", async () => {
    const bots = rows('bots.jsonl', { messages: [user('Hi'), bot('Ho'), user('And now?')] });
    expect((await answer(bots, 'run.jsonl', run)).exit).toBe(0);
    expectError(await answer(bots, 'refused.jsonl', '--model', toys.model), 'DATA_ROLE_UNKNOWN');
    const given = await answer(bots, 'given.jsonl', '--model', toys.model, '--role', 'bot=assistant');
    expect(given.exit, given.stderr).toBe(0);
    expectError(await answer(bots, 'refused.jsonl', '--model', toys.model, '--role', 'bot=me'), 'CLI_OPTION_VALUE');
    const scored = await cli(['score', run, '--data', rows('s.jsonl', { messages: [user('Hi'), bot('Ho')] })]);
    expect(scored.exit, scored.stderr).toBe(0);
  });

  test('--allow lets a finding pass', async () => {
    const special = rows('special.jsonl', { prompt: 'a <|im_end|> b' });
    expectError(await answer(special, 'special-out.jsonl', '--model', toys.model), 'DATA_SPECIAL_TOKEN');
    const { exit } = await answer(special, 'special-out.jsonl', toys.model, '--allow', 'DATA_SPECIAL_TOKEN');
    expect(exit).toBe(0);
  });

  test('goes on where it stopped, to the same bytes', async () => {
    const how = [run, '--against', 'base', '--temperature', 1, '--seed', 4];
    expect((await answer(questions, 'whole.jsonl', ...how)).exit).toBe(0);
    const whole = readFileSync(file('whole.jsonl'), 'utf8');
    expect(linesOf('whole.jsonl')).toHaveLength(12);
    for (const line of linesOf('whole.jsonl')) expect(line).toMatchObject({ base: expect.any(String) });
    expect(linesOf('whole.jsonl').some(({ text, base }) => text !== base)).toBe(true);
    for (const cut of [1, 0.9, 0.5, 0]) {
      writeFileSync(file('whole.jsonl'), whole.slice(0, Math.round(whole.length * cut)));
      const { exit, stderr } = await answer(questions, 'whole.jsonl', ...how);
      expect(exit, stderr).toBe(0);
      expect(readFileSync(file('whole.jsonl'), 'utf8')).toBe(whole);
    }
  });

  test('refuses to go on with something else, and names it', async () => {
    const how = ['--temperature', 1];
    expect((await answer(questions, 'tied.jsonl', run, ...how)).exit).toBe(0);
    const before = readFileSync(file('tied.jsonl'), 'utf8');
    const other = rows('other.jsonl', { prompt: 'Something else?' });
    const attempts = [
      [await answer(questions, 'tied.jsonl', run), /--temperature was 1 and is 0/],
      [await answer(questions, 'tied.jsonl', run, ...how, '--top-k', 3), /--top-k was not given and is 3/],
      [await answer(other, 'tied.jsonl', run, ...how), /: --data differs\./],
      [await answer(questions, 'tied.jsonl', toys.model, ...how), /the adapter differs/],
      [await answer(questions, 'tied.jsonl', run, ...how, '--against', 'base'), /--against differs/],
    ] as const;
    for (const [called, message] of attempts)
      expect(expectError(called, 'GENERATE_OUT_DIFFERS').message).toMatch(message);
    expect(readFileSync(file('tied.jsonl'), 'utf8')).toBe(before);
    writeFileSync(file('notes.txt'), 'my notes\n');
    expectError(await answer(questions, 'notes.txt', run), 'FILE_EXISTS');
  });

  test('tells of every row that cannot be answered, before it answers any', async () => {
    const long = user('long '.repeat(600));
    const bad = rows('bad.jsonl', { messages: [user('Hi')] }, { messages: [long] }, { messages: [long, user('x')] });
    const error = expectError(await answer(bad, 'bad-out.jsonl', toys.model), 'GENERATE_PROMPT');
    expect(error).toMatchObject({ file: bad, line: 2, message: expect.stringMatching(/2 rows: .*:2, .*:3/) });
    expectError(await answer(rows('text.jsonl', { text: 'x' }), 'bad-out.jsonl', toys.model), 'DATA_NO_QUESTION');
  });
});

describe('generate', () => {
  const ask = (...words: readonly (string | number)[]) =>
    cli(['generate', toys.model, '--max-tokens', 8, '--threads', 1, ...words]);
  const texts = ({ lines }: Called) => lines.filter(({ type }) => type === 'result').map(({ text }) => text);

  test('answers prompts of different lengths side by side as one by one', async () => {
    const prompts = ['Hi', 'A longer question, with more words?', 'x'];
    const together = await ask(...prompts.flatMap((prompt) => ['--prompt', prompt]));
    expect(together.lines.map(({ index }) => index)).toEqual([0, 1, 2]);
    const alone = await Promise.all(prompts.map((prompt) => ask('--prompt', prompt)));
    expect(texts(together)).toEqual(alone.flatMap(texts));
  });

  test('repeats with the same seed', async () => {
    const draw = async (seed: number) => texts(await ask('--prompt', 'Hi', '--temperature', 1.5, '--seed', seed));
    const first = await draw(1);
    expect(await draw(1)).toEqual(first);
    expect(await draw(2)).not.toEqual(first);
  });

  test('takes the likeliest token where nothing is left to choose', async () => {
    const greedy = texts(await ask('--prompt', 'Hi'));
    expect(texts(await ask('--prompt', 'Hi', '--temperature', 2, '--top-k', 1))).toEqual(greedy);
    expect(texts(await ask('--prompt', 'Hi', '--temperature', 2, '--min-p', 1))).toEqual(greedy);
    const most = await ask('--prompt', 'Hi', '--temperature', 1, '--top-k', 1e9);
    expect(texts(most)).toEqual(texts(await ask('--prompt', 'Hi', '--temperature', 1)));
  });

  test('says where the context ended', async () => {
    const { lines, stderr } = await cli(['generate', toys.model, '--prompt', 'a'.repeat(400), '--max-tokens', 5000]);
    const [result] = lines as unknown as [{ promptTokens: number; tokens: number; stop: string }];
    expect(result.stop).toBe('length');
    expect(result.promptTokens + result.tokens).toBe(512);
    expect(stderr).toContain("the model's context of 512 tokens is full");
  });

  test('maps the roles of --messages', async () => {
    const human = rows('mapped.json', [{ role: 'human', content: 'Hi' }]);
    const mapped = await ask('--messages', human, '--role', 'human=user');
    expect(texts(mapped)).toEqual(texts(await ask('--prompt', 'Hi')));
  });

  test('takes a system prompt from a file', async () => {
    writeFileSync(file('system.txt'), 'Be brief.\n');
    const named = await ask('--prompt', 'Hi', '--system', file('system.txt'));
    expect(texts(named)).toEqual(texts(await ask('--prompt', 'Hi', '--system', 'Be brief.')));
    expect(named.lines[0]?.promptTokens).toBeLessThan(60);
  });

  test('says what fast rounds', async () => {
    const { exit, stderr } = await ask('--prompt', 'Hi', '--precision', 'fast');
    expect(exit, stderr).toBe(0);
    expect(stderr).toContain('--precision fast rounds 15 matrices in F32 to 8 bits.');
    expect((await ask('--prompt', 'Hi')).stderr).not.toContain('rounds');
  });

  test.each([
    [['--prompt', ' '], 'CLI_OPTION_VALUE'],
    [['--prompt', '', '--format', 'raw'], 'GENERATE_PROMPT'],
    [['--prompt', 'x', '--role', 'bot=assistant'], 'CLI_OPTION_CONFLICT'],
    [['--prompt', 'x', '--stop', ''], 'CLI_OPTION_VALUE'],
    [['--messages', rows('human.json', { messages: [{ role: 'human', content: 'Hi' }] })], 'DATA_ROLE_UNKNOWN'],
    [['--messages', rows('message.json', { message: [user('Hi')] })], 'DATA_MESSAGE'],
    [['--prompt', 'long '.repeat(600)], 'GENERATE_PROMPT'],
    [['--messages', rows('answered.json', [user('Hi'), { role: 'assistant', content: 'Ho' }])], 'DATA_NO_QUESTION'],
    [['--messages', rows('nothing.json', [])], 'DATA_NO_QUESTION'],
    [['--prompt', 'x', '--precision', 'fats'], 'CLI_OPTION_VALUE'],
  ] as const)('refuses %#: %s', async (words, code) => {
    expectError(await ask(...words), code);
  });
});

describe('--device webgpu', () => {
  const vulkan = findVulkan();
  const one = rows('one.jsonl', { prompt: 'Hi', response: 'Hello there.' });
  const score = (device: string) => cli(['score', toys.model, '--data', one, '--device', device]);
  const ask = (device: string) =>
    cli(['generate', toys.model, '--prompt', 'Hi', '--prompt', 'Why?', '--max-tokens', 5, '--device', device]);

  test.skipIf('missing' in vulkan)('gives what the CPU gives', { timeout: 300_000 }, async () => {
    const before = { ...process.env };
    Object.assign(process.env, 'env' in vulkan ? vulkan.env : {});
    try {
      const [cpu, gpu] = [await score('cpu'), await score('webgpu')];
      expect(gpu.exit, gpu.stderr).toBe(0);
      const nll = ({ lines }: Called) => Number(lines.at(-1)?.nll);
      expect(nll(gpu) / nll(cpu)).toBeCloseTo(1, 4);
      const ids = ({ lines }: Called) => lines.map((line) => line.ids);
      expect(ids(await ask('webgpu'))).toEqual(ids(await ask('cpu')));
    } finally {
      process.env = before;
    }
  });

  test('is an error where there is none, never the CPU', { timeout: 60_000 }, async () => {
    const before = { ...process.env };
    process.env.VK_ICD_FILENAMES = file('none.json');
    process.env.LD_LIBRARY_PATH = folder;
    try {
      const called = await ask('webgpu');
      if (process.platform === 'linux') expectError(called, 'DEVICE_UNAVAILABLE');
      expect(called.stderr).not.toContain('internal:');
    } finally {
      process.env = before;
    }
  });
});
