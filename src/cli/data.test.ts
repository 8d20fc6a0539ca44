import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cli, temporaryFolder } from '../../test/support/cli.ts';
import { writeTinyChatModel } from '../../test/support/tiny-chat-model.ts';

const folder = temporaryFolder();
const model = writeTinyChatModel(join(folder, 'model'));
const at = (name: string) => join(folder, name);

function write(name: string, rows: readonly unknown[]): string {
  writeFileSync(at(name), rows.map((row) => JSON.stringify(row)).join('\n'));
  return at(name);
}

const read = (name: string): Record<string, unknown>[] =>
  readFileSync(at(name), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

const WORDS = 'red green blue black white brown pink gold grey violet'.split(' ');
const rows = Array.from({ length: 200 }, (_, i) => ({
  prompt: `${WORDS[i % 10]} ${WORDS[Math.floor(i / 10) % 10]} item number ${i} of the ${i * 7919} list`,
  completion: `answer ${i * 104729} ${WORDS[(i * 3) % 10]}`,
  topic: i % 4 === 0 ? 'rare' : 'common',
  team: i % 20,
}));

describe('data convert', () => {
  it('writes another format, says what is left out, and leaves no file after an error', async () => {
    const file = write('pairs.jsonl', rows.slice(0, 3));
    const done = await cli(['data', 'convert', file, '--to', 'openai', '--out', at('chat.jsonl')]);
    expect(done).toMatchObject({ exit: 0, lines: [{ type: 'format' }, { type: 'converted', read: 3, written: 3 }] });
    expect(done.stderr).toContain('column topic (3 rows), column team (3 rows)');
    expect(read('chat.jsonl')[0]).toEqual({
      messages: [
        { role: 'user', content: rows[0]?.prompt },
        { role: 'assistant', content: rows[0]?.completion },
      ],
    });
    expect(await cli(['data', 'convert', file, '--out', at('chat.jsonl')])).toMatchObject({
      exit: 2,
      lines: [{ code: 'FILE_EXISTS' }],
    });
    const failed = await cli(['data', 'convert', file, '--to', 'preference', '--out', at('none.jsonl')]);
    expect(failed.exit).toBe(2);
    expect(failed.lines.at(-1)).toMatchObject({ code: 'DATA_NO_FORM' });
    expect(() => read('none.jsonl')).toThrow();
  });

  it('joins messages, and refuses options that would do nothing', async () => {
    writeFileSync(at('tickets.csv'), 'id,who,text\n1,agent,Hi\n1,customer,Help\n1,agent,Sure\n2,customer,Hello?\n');
    const map = 'agent=assistant,customer=user';
    const join = ['data', 'convert', at('tickets.csv'), '--out', at('tickets.jsonl'), '--map', map];
    const done = await cli([...join, '--group', 'id', '--role', 'who']);
    expect(done.lines[0]).toMatchObject({ type: 'joined', messages: 4, conversations: 2, withoutAnswer: 1 });
    expect(read('tickets.jsonl')).toHaveLength(1);
    expect((await cli([...join, '--force', '--strip', 'quotes'])).lines[0]).toMatchObject({
      code: 'CLI_OPTION_CONFLICT',
    });
    expect((await cli([...join, '--force', '--group', 'id'])).lines[0]).toMatchObject({ code: 'CLI_ARGUMENT' });
  });
});

describe('data split', () => {
  it('keeps groups together, gives each part its share of each stratum, and is a function of the seed', async () => {
    const file = write('split.jsonl', [...rows, ...rows.slice(0, 20)]);
    const run = async (out: string, ...more: string[]) => {
      const done = await cli(['data', 'split', file, '--valid', 0.2, '--test', 0.1, '--out', at(out), ...more]);
      expect(done.exit).toBe(0);
      return ['train', 'valid', 'test'].map((part) => read(`${out}/${part}.jsonl`));
    };
    const parts = await run('a', '--stratify', 'topic');
    expect(parts.flat()).toHaveLength(220);
    const prompts = parts.map((part) => new Set(part.map((row) => row.prompt)));
    expect(new Set(prompts.flatMap((set) => [...set])).size).toBe(prompts.reduce((n, set) => n + set.size, 0));
    for (const part of parts) {
      const share = part.filter((row) => row.topic === 'rare').length / part.length;
      expect(share).toBeGreaterThan(0.2);
      expect(share).toBeLessThan(0.3);
    }
    expect(await run('b', '--stratify', 'topic')).toEqual(parts);
    expect(await run('c', '--stratify', 'topic', '--seed', '1')).not.toEqual(parts);
    const teams = (await run('d', '--group', 'team')).map((part) => new Set(part.map((row) => row.team)));
    expect(teams.reduce((n, set) => n + set.size, 0)).toBe(20);
  });

  it('names a column that is not there', async () => {
    const file = write('few.jsonl', rows.slice(0, 30));
    const done = await cli(['data', 'split', file, '--stratify', 'label', '--out', at('e')]);
    expect(done.lines.at(-1)).toMatchObject({ code: 'DATA_COLUMN_MISSING', line: 1 });
  });
});

describe('data mix', () => {
  const files = () => [write('big.jsonl', rows.slice(0, 90)), write('small.jsonl', rows.slice(90, 100))];
  const counts = (name: string) => {
    const small = read(name).filter((row) => rows.findIndex((r) => r.prompt === row.prompt) >= 90).length;
    return [read(name).length - small, small];
  };
  it.each<[string, readonly string[], readonly number[]]>([
    ['everything once', [], [90, 10]],
    ['epochs', ['--epochs', '0.5,3'], [45, 30]],
    ['weights, until a file would repeat', ['--weights', '1,1'], [10, 10]],
    ['weights and rows', ['--weights', '3,1', '--rows', '40'], [30, 10]],
    ['temperature', ['--temperature', '2', '--rows', '40'], [30, 10]],
  ])('%s', async (_, flags, expected) => {
    const done = await cli(['data', 'mix', ...files(), ...flags, '--out', at('mix.jsonl'), '--force']);
    expect(done.exit).toBe(0);
    expect(counts('mix.jsonl')).toEqual(expected);
    if (flags[0] === '--weights')
      expect(new Set(read('mix.jsonl').map((row) => row.prompt)).size).toBe(expected[0]! + expected[1]!);
  });

  it('refuses contradictions and formats that differ', async () => {
    const mix = ['data', 'mix', ...files(), '--out', at('no.jsonl')];
    expect((await cli([...mix, '--weights', '1,1', '--epochs', '1,1'])).lines[0]).toMatchObject({
      code: 'CLI_OPTION_CONFLICT',
    });
    expect((await cli([...mix, '--weights', '1'])).lines[0]).toMatchObject({ code: 'CLI_OPTION_VALUE' });
    const text = write('text.jsonl', [{ text: 'once upon a time' }]);
    expect((await cli([...mix, text])).lines.at(-1)).toMatchObject({ code: 'DATA_SHAPE_MIXED' });
  });
});

describe('data stats', () => {
  it('counts turns, labels and tokens', async () => {
    const chat = {
      messages: [
        { role: 'user', content: 'Hi' },
        { role: 'assistant', content: 'Hello' },
      ],
    };
    const file = write('stats.jsonl', [
      chat,
      { messages: [{ role: 'system', content: 'S' }, ...chat.messages, ...chat.messages] },
    ]);
    const done = await cli(['data', 'stats', file, '--model', model, '--max-length', 40]);
    expect(done.lines.at(-1)).toMatchObject({
      ...{ type: 'stats', rows: 2, withSystem: 1, turns: { least: 2, most: 4 } },
      tokens: { examples: 2, long: 1, supervised: 18 },
    });
    expect((await cli(['data', 'stats', file, '--max-length', 9])).lines[0]).toMatchObject({
      code: 'CLI_OPTION_CONFLICT',
    });
    const labelled = write('labels.jsonl', [
      { text: 'a', label: 'x' },
      { text: 'b', label: 'x' },
      { text: 'c', label: 'y' },
    ]);
    expect((await cli(['data', 'stats', labelled])).lines.at(-1)).toMatchObject({
      labels: [
        ['x', 2],
        ['y', 1],
      ],
    });
  });
});

interface Token {
  readonly text: string;
  readonly kind: string;
  readonly weight: number;
}

describe('data xray', () => {
  const look = async (row: unknown, ...flags: (string | number)[]) => {
    const done = await cli(['data', 'xray', write('look.jsonl', [row]), '--model', model, ...flags]);
    const line = done.lines.find(({ type }) => type === 'xray');
    const tokens = (line?.tokens ?? []) as Token[];
    const of = (kind: string) =>
      tokens
        .filter((t) => t.kind === kind)
        .map((t) => t.text)
        .join('');
    return { done, tokens, of, text: tokens.map((t) => t.text).join('') };
  };
  const chat = (...texts: string[]) => ({
    messages: texts.map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content })),
  });

  it('tells what is trained from what is read, written by the template, or special', async () => {
    const { of, text, tokens } = await look(chat('Grüße 😀', 'Hallo 日本'));
    expect(text).toContain('<|im_start|>user\nGrüße 😀<|im_end|>\n<|im_start|>assistant\nHallo 日本<|im_end|>');
    expect(of('trained')).toBe('Hallo 日本<|im_end|>');
    expect(of('context')).toBe('Grüße 😀');
    expect(of('template').replaceAll('\n', ' ')).toContain('user');
    expect(tokens.every((t) => (t.weight === 1) === (t.kind === 'trained'))).toBe(true);
  });

  it('shows what does not fit, and the padding of rows that are not packed', async () => {
    const row = chat('first question', 'first answer', 'second', 'last');
    const { length } = (await look(row)).tokens;
    const { of } = await look(row, '--max-length', length - 8);
    expect(of('truncated')).toContain('first answer');
    expect(of('trained')).toBe('last<|im_end|>');
    const padded = await look(row, '--no-pack');
    expect(padded.tokens.length % 16).toBe(0);
    expect(padded.tokens.filter((t) => t.kind === 'padding')).toHaveLength(padded.tokens.length - length);
    expect((await look(row, '--max-length', length - 8, '--on-long', 'error')).done.lines.at(-1)).toMatchObject({
      code: 'DATA_TOO_LONG',
    });
    const dropped = await look(row, '--max-length', length - 8, '--on-long', 'drop');
    expect(dropped.of('truncated')).toBe(dropped.text);
  });

  it('writes a page that holds the text escaped and loads nothing', async () => {
    const file = write('page.jsonl', [chat('<b>&"', 'ok')]);
    expect((await cli(['data', 'xray', file, '--model', model, '--html', at('page.html')])).exit).toBe(0);
    const page = readFileSync(at('page.html'), 'utf8');
    expect(page).toContain('class="trained"');
    expect(page).not.toMatch(/<b>|<script|https?:/);
    expect(page).toContain('prefers-color-scheme:dark');
  });

  it('needs a model', async () => {
    expect((await cli(['data', 'xray', write('x.jsonl', [chat('a', 'b')])])).lines[0]).toMatchObject({
      code: 'CLI_ARGUMENT',
    });
  });
});
