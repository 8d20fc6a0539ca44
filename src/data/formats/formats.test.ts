import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TunesmithError } from '../../errors/index.ts';
import type { Message } from '../../text/messages.ts';
import { type ReadOptions, readRows } from '../convert.ts';
import { createFindingLog } from '../findings.ts';
import { openRecordWriter } from '../write.ts';
import type { Content, Format } from './content.ts';
import { datasetInfo, writeContent } from './write-content.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-formats-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function read(file: string, options: ReadOptions = {}) {
  const log = createFindingLog();
  const content: Content[] = [];
  const formats: Format[] = [];
  for await (const row of readRows(file, options, { log, onFormat: ({ format }) => formats.push(format) })) {
    content.push(row.content);
  }
  return { content, formats, findings: log.groups() };
}

/** Text without the surrogates that no file can hold. */
const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((t) => t.trim() !== '');
const user = text.map((content): Message => ({ role: 'user', content }));
const answer = text.map((content): Message => ({ role: 'assistant', content }));
const turns = fc.array(fc.tuple(user, answer), { minLength: 1, maxLength: 3 }).map((pairs) => pairs.flat());
const plain = fc
  .tuple(fc.option(text), turns)
  .map(([system, messages]): Message[] =>
    system === null ? messages : [{ role: 'system', content: system }, ...messages],
  );
const single = fc.tuple(user, answer);
const call = fc.record({ name: text, arguments: fc.dictionary(text, fc.oneof(text, fc.integer(), fc.boolean())) });
const tools = [{ type: 'function', function: { name: 'find', parameters: { type: 'object', properties: {} } } }];
const called = fc
  .tuple(user, fc.array(call, { minLength: 1, maxLength: 2 }), text, answer)
  .map(([asked, calls, found, last]) => ({
    messages: [
      asked,
      { role: 'assistant', content: '', tool_calls: calls.map((c) => ({ type: 'function', function: c })) },
      { role: 'tool', content: found },
      last,
    ] as Message[],
    tools,
  }));
const chat = (messages: fc.Arbitrary<readonly Message[]>) =>
  messages.map((m): Content => ({ kind: 'chat', messages: m }));
const withCalls = called.map((c): Content => ({ kind: 'chat', ...c }));
const weighted = fc.tuple(single, single).map(
  ([[a, b], [c, d]]): Content => ({
    kind: 'chat',
    messages: [a, { ...b, weight: 0 }, c, d],
  }),
);
const preference = fc
  .tuple(plain, text, text)
  .filter(([, a, b]) => a !== b)
  .map(
    ([messages, a, b]): Content => ({
      kind: 'preference',
      prompt: messages.slice(0, -1),
      chosen: [{ role: 'assistant', content: a }],
      rejected: [{ role: 'assistant', content: b }],
    }),
  );
const unpaired = fc.tuple(plain, fc.boolean()).map(
  ([messages, good]): Content => ({
    kind: 'unpaired',
    prompt: messages.slice(0, -1),
    completion: messages.slice(-1),
    good,
  }),
);
const name = text.map((t) => t.trim());
const labels = fc.oneof(
  name.map((n) => ({ kind: 'single' as const, names: [n] })),
  fc.uniqueArray(name, { maxLength: 3 }).map((names) => ({ kind: 'multi' as const, names })),
);
const id = fc.integer({ min: 0, max: 1000 });

const FORMS: readonly [Format, fc.Arbitrary<Content>][] = [
  ['openai', fc.oneof(chat(plain), withCalls, weighted)],
  ['openai-preference', preference],
  ['prompt-completion', chat(single)],
  ['alpaca', chat(plain)],
  ['sharegpt', fc.oneof(chat(plain), withCalls, weighted)],
  ['text', text.map((t): Content => ({ kind: 'text', text: t }))],
  ['labelled', fc.tuple(text, labels).map(([t, l]): Content => ({ kind: 'text', text: t, labels: l }))],
  ['preference', preference],
  ['unpaired', unpaired],
  ['llamafactory', fc.oneof(chat(plain), withCalls)],
  ['llamafactory', preference],
  ['llamafactory', unpaired],
  [
    'tokens',
    fc.array(fc.tuple(id, fc.boolean()), { minLength: 2 }).map(
      (pairs): Content => ({
        kind: 'tokens',
        ids: pairs.map(([i]) => i),
        labels: pairs.map(([i, trained], at) => (trained || at === 1 ? i : -100)),
      }),
    ),
  ],
];

describe('what is written is read as it was', () => {
  for (const extension of ['jsonl', 'json', 'csv', 'tsv.gz', 'parquet']) {
    test.each(FORMS.map(([format, form], i) => [format, form, i] as const))(
      `${extension}: %s`,
      async (format, form, i) => {
        await fc.assert(
          fc.asyncProperty(fc.array(form, { minLength: 1, maxLength: 4 }), async (rows) => {
            const file = join(folder, `${format}${i}.${extension}`);
            const written = rows.map((row) => writeContent(row, format));
            const records = written.flatMap((w) => w.records ?? expect.fail(w.refused));
            const writer = openRecordWriter(file, [...new Set(records.flatMap((record) => Object.keys(record)))]);
            for (const record of records) writer.write(record);
            writer.commit();
            const { content, formats, findings } = await read(file);
            expect(findings.filter((g) => g.severity === 'error')).toEqual([]);
            expect(content).toEqual(rows);
            expect(formats).toEqual([format === 'llamafactory' && rows[0]?.kind === 'chat' ? 'sharegpt' : format]);
          }),
          { numRuns: 15 },
        );
      },
    );
  }
});

test('a pair becomes two answers with a mark, and what a format cannot say is refused', () => {
  const prompt: Message[] = [{ role: 'user', content: 'Hi' }];
  const one = (content: string): Message[] => [{ role: 'assistant', content }];
  const pair: Content = { kind: 'preference', prompt, chosen: one('a'), rejected: one('b') };
  expect(writeContent(pair, 'unpaired')).toMatchObject({
    records: [
      { prompt, completion: one('a'), label: true },
      { prompt, completion: one('b'), label: false },
    ],
  });
  expect(writeContent(pair, 'openai')).toMatchObject({ refused: expect.stringContaining('openai') });
  const long: Content = { kind: 'chat', messages: [...prompt, ...one('a'), ...prompt, ...one('b')] };
  expect(writeContent(long, 'prompt-completion')).toMatchObject({
    refused: expect.stringContaining('before the last'),
  });
  const last = { ...long, messages: long.messages.map((m, i): Message => (i === 1 ? { ...m, weight: 0 } : m)) };
  expect(writeContent(last, 'prompt-completion')).toMatchObject({ records: [{ completion: one('b') }] });
  expect(writeContent(last, 'alpaca')).toMatchObject({ refused: expect.any(String) });
  expect(writeContent(last, 'llamafactory')).toMatchObject({ refused: expect.any(String) });
});

describe('preference rows as they are found', () => {
  const [asked, good, bad] = [
    { role: 'user', content: 'Q' },
    { role: 'assistant', content: 'a' },
    { role: 'assistant', content: 'b' },
  ];
  const gpt = (value: string) => ({ from: 'gpt', value });
  const human = { from: 'human', value: 'Q' };
  const expected = { kind: 'preference', prompt: [asked], chosen: [good], rejected: [bad] };
  test.each<[string, unknown]>([
    ['texts', { prompt: 'Q', chosen: 'a', rejected: 'b' }],
    ['whole conversations', { chosen: [asked, good], rejected: [asked, bad] }],
    ['whole conversations beside the prompt', { prompt: 'Q', chosen: [asked, good], rejected: [asked, bad] }],
    ['LLaMA-Factory, ShareGPT', { conversations: [human], chosen: gpt('a'), rejected: gpt('b') }],
    ['LLaMA-Factory, Alpaca', { instruction: 'Q', input: '', chosen: 'a', rejected: 'b' }],
    ['OpenAI', { input: { messages: [asked] }, preferred_output: [good], non_preferred_output: [bad] }],
  ])('%s', async (_, row) => {
    const file = join(folder, 'found.jsonl');
    writeFileSync(file, JSON.stringify(row));
    expect(await read(file)).toMatchObject({ content: [expected], findings: [] });
  });

  test.each<[string, string, unknown]>([
    ['the same answer twice', 'DATA_PREFERENCE', { prompt: 'Q', chosen: 'a', rejected: 'a' }],
    ['no prompt', 'DATA_NO_QUESTION', { chosen: 'a', rejected: 'b' }],
    ['a mark that is none', 'DATA_PREFERENCE', { messages: [asked, good], kto_tag: 'yes' }],
    [
      'two kinds at once',
      'DATA_SHAPE_AMBIGUOUS',
      { prompt: 'Q', chosen: 'a', rejected: 'b', completion: 'a', label: true },
    ],
  ])('%s', async (_, code, row) => {
    const file = join(folder, 'found.jsonl');
    writeFileSync(file, JSON.stringify(row));
    expect(await read(file)).toMatchObject({ content: [], findings: [{ code }] });
  });
});

test("LLaMA-Factory's description of what is written reads it back", () => {
  expect(datasetInfo('pairs', 'pairs.json', 'preference')).toMatchObject({
    pairs: { file_name: 'pairs.json', ranking: true, columns: { chosen: 'chosen' } },
  });
});

test('any broken file ends in rows, findings or one error', async () => {
  const names = ['a.jsonl', 'a.json', 'a.csv', 'a.tsv', 'a.parquet', 'a.txt', 'a.jsonl.gz', 'a.parquet.gz', 'a.csv.gz'];
  const piece = fc.constantFrom(
    '[',
    '{',
    '}',
    ']',
    '"',
    '\\',
    ',',
    ':',
    '\n',
    '\t',
    'PAR1',
    'null',
    'prompt,response',
    '"chosen":1',
  );
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.array(piece, { maxLength: 40 }).map((parts) => Buffer.from(parts.join(''))),
    fc.jsonValue().map((v) => Buffer.from(JSON.stringify({ chosen: v, rejected: 1, messages: v, label: v, input: v }))),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...names), bytes, async (name, content) => {
      const file = join(folder, name);
      writeFileSync(file, content);
      try {
        await read(file);
      } catch (error) {
        expect(error).toBeInstanceOf(TunesmithError);
      }
    }),
    { numRuns: 400 },
  );
});
