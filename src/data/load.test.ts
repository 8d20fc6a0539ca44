import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ErrorCode } from '../errors/index.ts';
import { assertNoErrors, dataError, formatFindings } from './findings.ts';
import { type LoadedRows, type LoadOptions, loadRows } from './load.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-load-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const path = () => join(folder, 'train.jsonl');

function load(records: readonly unknown[], options: Partial<LoadOptions> = {}): Promise<LoadedRows> {
  writeFileSync(path(), records.map((r) => (typeof r === 'string' ? r : JSON.stringify(r))).join('\n'));
  return loadRows(path(), { format: 'chat', ...options });
}

/** The content of the only row. */
async function one(record: unknown, options: Partial<LoadOptions> = {}) {
  const { rows, findings } = await load([record], options);
  expect(findings.filter((g) => g.severity === 'error')).toEqual([]);
  const { source, ...content } = rows[0]!;
  expect(source).toEqual({ file: path(), line: 1 });
  return content;
}

const user = { role: 'user', content: 'Hi' } as const;
const assistant = { role: 'assistant', content: 'Hello' } as const;
const chat = (...messages: unknown[]) => ({ kind: 'messages', messages });
const call = { id: 'c1', type: 'function', function: { name: 'find', arguments: { city: 'Bonn' } } } as const;

describe('shapes', () => {
  test.each<[string, unknown, unknown]>([
    ['messages', { messages: [user, assistant] }, chat(user, assistant)],
    ['prompt and completion', { prompt: 'Hi', completion: 'Hello' }, chat(user, assistant)],
    ['prompt and response', { prompt: 'Hi', response: 'Hello', id: 7 }, chat(user, assistant)],
    ['question and answer', { question: 'Hi', answer: 'Hello' }, chat(user, assistant)],
    ['prompt of messages', { prompt: [user], completion: [assistant] }, chat(user, assistant)],
    ['Alpaca', { instruction: 'Hi', input: '', output: 'Hello' }, chat(user, assistant)],
    [
      'Alpaca with all columns',
      { instruction: 'Sum', input: '1 2', output: '3', system: 'S', history: [['Hi', 'Hello']] },
      chat(
        { role: 'system', content: 'S' },
        user,
        assistant,
        { role: 'user', content: 'Sum\n1 2' },
        { role: 'assistant', content: '3' },
      ),
    ],
    [
      'ShareGPT',
      {
        conversations: [
          { from: 'human', value: 'Hi' },
          { from: 'gpt', value: 'Hello' },
        ],
        system: 'S',
      },
      chat({ role: 'system', content: 'S' }, user, assistant),
    ],
    ['text', { text: 'once' }, { kind: 'text', text: 'once' }],
    ['ids', { input_ids: [5, 6, 7] }, { kind: 'ids', ids: [5, 6, 7], labels: [5, 6, 7] }],
    [
      'ids with padding on both sides',
      { input_ids: [0, 5, 6, 7, 0], labels: [-100, -100, 6, 7, -100], attention_mask: [0, 1, 1, 1, 0] },
      { kind: 'ids', ids: [5, 6, 7], labels: [-100, 6, 7] },
    ],
    ['columns that are null', { messages: null, text: null, prompt: 'Hi', response: 'Hello' }, chat(user, assistant)],
  ])('%s', async (_name, record, expected) => {
    expect(await one(record)).toEqual(expected);
  });

  test('columns of several shapes are an error that names them, unless one is asked for', async () => {
    const record = { messages: [user, assistant], prompt: 'a', completion: 'b' };
    const { rows, findings } = await load([record]);
    expect(rows).toEqual([]);
    expect(findings).toMatchObject([{ code: 'DATA_SHAPE_AMBIGUOUS' }]);
    expect(findings[0]?.fix).toContain('--shape messages or --shape prompt/completion');
    expect(await one(record, { shape: 'messages' })).toEqual(chat(user, assistant));
    expect(await one(record, { shape: 'prompt/completion' })).toMatchObject({ messages: [{ content: 'a' }, {}] });
    expect((await load([record], { shape: 'text' })).findings).toMatchObject([{ code: 'DATA_SHAPE_UNKNOWN' }]);
  });

  test('a text that is the rendered row is left alone; another is not', async () => {
    const record = { instruction: 'Hi', input: '', output: 'Hello' };
    expect(await one({ ...record, text: '### Hi\n### Hello' })).toEqual(chat(user, assistant));
    expect((await load([{ ...record, text: 'a story' }])).findings).toMatchObject([{ code: 'DATA_SHAPE_AMBIGUOUS' }]);
  });

  test('--map reads columns under other names', async () => {
    const map = { frage: 'question', antwort: 'answer' };
    expect(await one({ frage: 'Hi', antwort: 'Hello' }, { map })).toEqual(chat(user, assistant));
    expect(await one({ frage: 'Hi', antwort: 'Hello', question: 'no' }, { map })).toEqual(chat(user, assistant));
    const wrong = (map: Record<string, string>, fix: string) =>
      expect(load([{ input: 'Hi', reply: 'Hello' }], { map })).rejects.toMatchObject({
        code: 'CLI_OPTION_VALUE',
        details: { fix },
      });
    await wrong({ output: 'reply' }, '--map reply=output');
    await wrong({ reply: 'outptu' }, '--map reply=output');
    await wrong({ repli: 'output' }, '--map reply=output');
  });

  test('completions that follow messages are trained, and nothing before them', async () => {
    const content = await one({ prompt: [user, assistant, user], completion: [assistant] });
    expect(content).toEqual(chat(user, { ...assistant, weight: 0 }, user, assistant));
  });

  test('raw pairs stay text, with a line break only where the columns do not bring their own', async () => {
    const raw = { format: 'raw' } as const;
    expect(await one({ prompt: 'a ', completion: 'b' }, raw)).toEqual({
      kind: 'prompt',
      prompt: 'a ',
      completion: 'b',
    });
    expect(await one({ instruction: 'a', input: 'x', output: 'b' }, raw)).toEqual({
      kind: 'prompt',
      prompt: 'a\nx\n',
      completion: 'b',
    });
  });
});

describe('questions', () => {
  const optional = { answers: 'optional' } as const;
  test.each<[string, unknown, unknown]>([
    ['a conversation that ends with a question', { messages: [user, assistant, user] }, chat(user, assistant, user)],
    ['a conversation with its answer', { messages: [user, assistant] }, chat(user, assistant)],
    ['an answer that is still empty', { messages: [user, { ...assistant, content: '' }] }, chat(user)],
    ['a prompt alone', { prompt: 'Hi', id: 3 }, chat(user)],
    ['a prompt with a system prompt', { prompt: 'Hi', system: 'S' }, chat({ role: 'system', content: 'S' }, user)],
    ['a prompt and an empty cell', { prompt: 'Hi', response: null }, chat(user)],
    ['a prompt of messages', { prompt: [user] }, chat(user)],
    ['a question alone', { question: 'Hi' }, chat(user)],
    ['an instruction alone', { instruction: 'Sum', input: '1 2' }, chat({ role: 'user', content: 'Sum\n1 2' })],
    ['ShareGPT', { conversations: [{ from: 'human', value: 'Hi' }] }, chat(user)],
    ['preference rows', { prompt: [user], chosen: [assistant], rejected: [assistant] }, chat(user)],
    ['feedback of a chat', { prompt: [user], completion: [assistant], label: false }, chat(user, assistant)],
  ])('%s', async (_, record, expected) => {
    expect(await one(record, optional)).toEqual(expected);
  });

  test('as raw text', async () => {
    const raw = { ...optional, format: 'raw' } as const;
    expect(await one({ prompt: 'Hi' }, raw)).toEqual({ kind: 'prompt', prompt: 'Hi', completion: '' });
    expect(await one({ question: 'Hi' }, raw)).toEqual({ kind: 'prompt', prompt: 'Hi\n', completion: '' });
  });

  test.each<[string, ErrorCode, unknown]>([
    ['a text', 'DATA_NO_QUESTION', { text: 'x' }],
    ['token ids', 'DATA_NO_QUESTION', { input_ids: [1, 2] }],
    ['an answer to nothing', 'DATA_NO_QUESTION', { messages: [assistant] }],
    ['a system prompt alone', 'DATA_NO_QUESTION', { messages: [{ role: 'system', content: 'S' }] }],
    ['an empty question', 'DATA_EMPTY_TEXT', { prompt: ' ' }],
    ['two answers in a row', 'DATA_ORDER', { messages: [user, assistant, assistant] }],
    ['an unknown role', 'DATA_ROLE_UNKNOWN', { messages: [{ role: 'bot', content: 'Hi' }] }],
  ])('%s is refused', async (_, code, record) => {
    const { findings, rows } = await load([record], optional);
    expect(findings.map((group) => [group.severity, group.code])).toContainEqual(['error', code]);
    expect(rows).toEqual([]);
  });

  test('are refused where answers are trained', async () => {
    const { findings } = await load([{ messages: [user] }, { prompt: 'Hi' }]);
    expect(findings.map((group) => group.code)).toEqual(['DATA_NO_ASSISTANT', 'DATA_SHAPE_UNKNOWN']);
  });
});

describe('messages', () => {
  test('parts of text are joined, null content beside a tool call is empty, arguments become objects', async () => {
    const record = {
      tools: [{ type: 'function', function: { name: 'find' } }],
      messages: [
        { role: 'developer', content: 'S' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'a' },
            { type: 'text', text: 'b' },
          ],
        },
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ ...call, function: { name: 'find', arguments: '{"city":"Bonn"}' } }],
        },
        { role: 'tool', tool_call_id: 'c1', content: { temperature: 3 } },
        { role: 'assistant', content: 'c', reasoning_content: 'r', weight: 0 },
        { role: 'user', content: 'd', weight: 0 },
        { role: 'assistant', content: 'e', weight: 1 },
      ],
    };
    expect(await one(record)).toEqual({
      kind: 'messages',
      tools: record.tools,
      messages: [
        { role: 'system', content: 'S' },
        { role: 'user', content: 'ab' },
        { role: 'assistant', content: '', tool_calls: [call] },
        { role: 'tool', tool_call_id: 'c1', content: '{"temperature":3}' },
        { role: 'assistant', content: 'c', reasoning_content: 'r', weight: 0 },
        { role: 'user', content: 'd' },
        { role: 'assistant', content: 'e', weight: 1 },
      ],
    });
  });

  test('the calls of ShareGPT and of the older API are tool calls', async () => {
    const { id: _, ...anonymous } = call;
    const value = JSON.stringify({ name: 'find', arguments: { city: 'Bonn' } });
    const tail = [{ role: 'tool', content: '3' }, assistant];
    const expected = [user, { role: 'assistant', content: '', tool_calls: [anonymous] }, ...tail];
    const shareGpt = [
      { from: 'human', value: 'Hi' },
      { from: 'function_call', value },
      { from: 'observation', value: '3' },
      { from: 'gpt', value: 'Hello' },
    ];
    expect(await one({ conversations: shareGpt })).toEqual(chat(...expected));
    const older = { role: 'assistant', content: null, function_call: { name: 'find', arguments: '{"city":"Bonn"}' } };
    expect(await one({ messages: [user, older, ...tail] })).toEqual(chat(...expected));
  });

  test('--system goes to rows without one', async () => {
    const own = { role: 'system', content: 'own' };
    const options = { system: 'S' };
    expect(await one({ prompt: 'Hi', response: 'Hello' }, options)).toEqual(
      chat({ role: 'system', content: 'S' }, user, assistant),
    );
    expect(await one({ messages: [own, user, assistant] }, options)).toEqual(chat(own, user, assistant));
  });

  test('--role maps a role of the file', async () => {
    const record = { messages: [user, { role: 'bot', content: 'Hello' }] };
    expect(await one(record, { roles: { bot: 'assistant' } })).toEqual(chat(user, assistant));
  });
});

describe('bad rows', () => {
  const cases: [string, ErrorCode, unknown, string?][] = [
    ['not JSON', 'DATA_JSON', '{"messages": ['],
    ['not an object', 'DATA_SHAPE_UNKNOWN', '[1]'],
    [
      'a misspelt column',
      'DATA_SHAPE_UNKNOWN',
      { mesages: [user, assistant] },
      'rename "mesages" to "messages", or --map mesages=messages.',
    ],
    [
      'a misspelt column of a pair',
      'DATA_SHAPE_UNKNOWN',
      { promt: 'a', response: 'b' },
      'rename "promt" to "prompt", or --map promt=prompt.',
    ],
    ['preference rows', 'DATA_SHAPE_UNKNOWN', { prompt: 'a', chosen: 'b', rejected: 'c' }],
    ['unpaired preference rows', 'DATA_SHAPE_UNKNOWN', { prompt: 'a', completion: 'b', label: false }],
    [
      'an unknown role',
      'DATA_ROLE_UNKNOWN',
      { messages: [user, { role: 'bot', content: 'x' }] },
      '--role bot=assistant',
    ],
    [
      'a role of ShareGPT in messages',
      'DATA_ROLE_UNKNOWN',
      { messages: [{ role: 'human', content: 'x' }, assistant] },
      '--role human=user',
    ],
    [
      'a role from the prototype',
      'DATA_ROLE_UNKNOWN',
      { messages: [{ role: 'constructor', content: 'x' }, assistant] },
    ],
    ['no role', 'DATA_ROLE_UNKNOWN', { messages: [{ content: 'x' }, assistant] }],
    ['no answer', 'DATA_NO_ASSISTANT', { messages: [user] }],
    ['no messages', 'DATA_NO_ASSISTANT', { messages: [] }],
    ['an empty answer', 'DATA_EMPTY_ANSWER', { messages: [user, { role: 'assistant', content: ' \n' }] }],
    ['an empty answer of a pair', 'DATA_EMPTY_ANSWER', { prompt: 'a', response: '' }],
    ['a null answer of a pair', 'DATA_EMPTY_ANSWER', { prompt: 'a', response: null }],
    ['an empty prompt', 'DATA_EMPTY_TEXT', { prompt: '', response: 'b' }],
    ['an empty text', 'DATA_EMPTY_TEXT', { text: ' ' }],
    ['a text that is a number', 'DATA_MESSAGE', { text: 3 }],
    ['system not first', 'DATA_ORDER', { messages: [user, { role: 'system', content: 'S' }, assistant] }],
    ['two answers in a row', 'DATA_ORDER', { messages: [user, assistant, assistant] }],
    ['a tool message without a call', 'DATA_ORDER', { messages: [user, { role: 'tool', content: '3' }, assistant] }],
    ['a weight of two', 'DATA_WEIGHT', { messages: [user, { ...assistant, weight: 2 }] }],
    ['a weight on a user message', 'DATA_WEIGHT', { messages: [{ ...user, weight: 1 }, assistant] }],
    ['all weights zero', 'DATA_NOTHING_SUPERVISED', { messages: [user, { ...assistant, weight: 0 }] }],
    ['messages that are no array', 'DATA_MESSAGE', { messages: 'Hi' }],
    ['a message that is no object', 'DATA_MESSAGE', { messages: ['Hi', assistant] }],
    ['content that is a number', 'DATA_MESSAGE', { messages: [{ role: 'user', content: 3 }, assistant] }],
    ['no content', 'DATA_MESSAGE', { messages: [user, { role: 'assistant' }] }],
    [
      'an image part',
      'IMAGE_NOT_SUPPORTED',
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }, assistant] },
    ],
    ['an image column', 'IMAGE_NOT_SUPPORTED', { messages: [user, assistant], images: ['a.png'] }],
    [
      'arguments that are no object',
      'DATA_TOOL_CALL',
      { messages: [user, { role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: '[1' } }] }] },
    ],
    [
      'a call without a name',
      'DATA_TOOL_CALL',
      { messages: [user, { role: 'assistant', tool_calls: [{ function: {} }] }] },
    ],
    ['tools that are no objects', 'DATA_TOOL_CALL', { messages: [user, assistant], tools: ['f'] }],
    ['labels of another length', 'DATA_IDS', { input_ids: [1, 2], labels: [1] }],
    ['an id that is no integer', 'DATA_IDS', { input_ids: [1, 2.5] }],
    ['an id outside the vocabulary', 'DATA_IDS', { input_ids: [1, 100] }],
    ['a hole in the mask', 'DATA_IDS', { input_ids: [1, 2, 3], attention_mask: [1, 0, 1] }],
    ['ids without a label', 'DATA_NOTHING_SUPERVISED', { input_ids: [1, 2], labels: [1, -100] }],
    ['a mask of nothing', 'DATA_NOTHING_SUPERVISED', { input_ids: [1, 2], attention_mask: [0, 0] }],
    ['a token of the template', 'DATA_SPECIAL_TOKEN', { prompt: 'Hi<|im_end|>', response: 'Hello' }],
  ];
  test.each(cases)('%s', async (_name, code, record, fix) => {
    const good = code === 'DATA_SHAPE_UNKNOWN' || code === 'DATA_JSON' ? [] : [record];
    const { rows, findings } = await load([record, ...good], { vocabSize: 100, specialTokens: ['<|im_end|>'] });
    expect(rows).toEqual([]);
    expect(findings[0]).toMatchObject({ code, severity: 'error' });
    expect(findings[0]!.examples[0]).toMatchObject({ file: path(), line: 1 });
    if (fix !== undefined) expect(findings[0]!.examples[0]!.fix).toBe(fix);
    expect(() => assertNoErrors(findings)).toThrow(expect.objectContaining({ code, exitCode: 2 }));
  });

  test('all faults come in one pass, grouped, five examples each', async () => {
    const records = Array.from({ length: 12 }, (_, i) => ({ prompt: `a${i}`, response: i % 2 === 0 ? '' : 'b' }));
    const { rows, findings } = await load([...records, '{', { prompt: 'x', response: 'y' }]);
    expect(rows).toHaveLength(7);
    expect(findings.map((g) => [g.code, g.count, g.examples.length])).toEqual([
      ['DATA_EMPTY_ANSWER', 6, 5],
      ['DATA_JSON', 1, 1],
    ]);
    expect(findings[0]!.examples.map((e) => e.line)).toEqual([1, 3, 5, 7, 9]);
    const error = dataError(findings)!;
    expect(error.message).toMatch(
      /^DATA_EMPTY_ANSWER .*train\.jsonl:1 .*\(6 rows: .*, \.\.\.\) Also: DATA_JSON .* Fix: write the answer/,
    );
    expect(formatFindings(findings)).toContain('and 1 more');
  });

  test('two shapes in one file name both lines', async () => {
    const { findings } = await load([{ text: 'a' }, { prompt: 'a', response: 'b' }]);
    expect(findings[0]!.examples[0]).toMatchObject({ code: 'DATA_SHAPE_MIXED', line: 2 });
    expect(findings[0]!.examples[0]!.message).toContain('line 1 has text');
  });

  test('--allow lets a code pass, and keeps the row where there is one', async () => {
    const records = [
      { prompt: 'a', response: '' },
      { prompt: 'a', response: 'b' },
    ];
    const { rows, findings } = await load(records, { allow: ['DATA_EMPTY_ANSWER'] });
    expect(rows).toHaveLength(2);
    expect(findings).toMatchObject([{ code: 'DATA_EMPTY_ANSWER', severity: 'warning' }]);
    expect(dataError(findings)).toBeUndefined();
    await expect(load(records, { allow: ['DATA_EMPTY_ANSWERS'] })).rejects.toMatchObject({
      code: 'CLI_OPTION_VALUE',
      details: { fix: '--allow DATA_EMPTY_ANSWER' },
    });
  });

  test('copies and unused columns are warnings, each once', async () => {
    const { rows, findings, ignoredColumns } = await load([
      { prompt: 'a', response: 'b', id: 1 },
      { prompt: 'a', response: 'b', id: 2, source: 'x' },
    ]);
    expect(rows).toHaveLength(2);
    expect(ignoredColumns).toEqual(['id', 'source']);
    expect(findings.map((g) => [g.code, g.severity, g.count])).toEqual([
      ['DATA_DUPLICATE', 'warning', 1],
      ['DATA_COLUMN_IGNORED', 'warning', 1],
    ]);
  });

  test('keys of messages that are not used are named', async () => {
    const { ignoredColumns } = await load([{ messages: [user, { ...assistant, audio: null, mood: 'glad' }] }]);
    expect(ignoredColumns).toEqual(['messages[].mood']);
  });

  test('an empty file', async () => {
    const { findings } = await load([]);
    expect(findings).toMatchObject([{ code: 'DATA_EMPTY_FILE', severity: 'error' }]);
  });

  test('a file that is not there, and --system with raw text', async () => {
    await expect(loadRows(join(folder, 'no.jsonl'), { format: 'chat' })).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      exitCode: 2,
    });
    await expect(load([{ text: 'a' }], { format: 'raw', system: 'S' })).rejects.toMatchObject({
      code: 'DATA_SYSTEM_RAW',
    });
  });

  test('any JSON ends in rows and findings', async () => {
    const key = fc.constantFrom(
      'messages',
      'role',
      'content',
      'prompt',
      'response',
      'text',
      'input_ids',
      'labels',
      'conversations',
      'tools',
      'tool_calls',
      'function',
      'name',
      'arguments',
      'weight',
      'instruction',
      'output',
      'history',
      'attention_mask',
      'type',
    );
    const leaf = fc.oneof(
      fc.constantFrom('user', 'assistant', 'tool', 'text', '', null, 0, 1, -1, true),
      fc.string(),
      fc.double(),
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        leaf,
        fc.array(tie('tree'), { maxLength: 4 }),
        fc.dictionary(key, tie('tree'), { maxKeys: 5 }),
      ),
    }));
    await fc.assert(
      fc.asyncProperty(fc.array(tree, { minLength: 1, maxLength: 4 }), async (records) => {
        const { rows, findings } = await load(
          records.map((r) => JSON.stringify(r)),
          { specialTokens: ['<s>'], vocabSize: 9 },
        );
        expect(rows.length + findings.length).toBeGreaterThan(0);
      }),
      { numRuns: 500 },
    );
  });

  test('nesting beyond measure is refused', async () => {
    const deep = `${'{"a":'.repeat(20000)}1${'}'.repeat(20000)}`;
    const row = `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"tools":[${deep}]}`;
    const { findings } = await load([row]);
    expect(findings[0]!.code).toBe('DATA_JSON');
  });
});

test('files are recorded with their digest and shape', async () => {
  const { files } = await load([{ prompt: 'a', response: 'b' }]);
  expect(files).toEqual([
    { path: path(), sha256: expect.stringMatching(/^[0-9a-f]{64}$/), bytes: 29, shape: 'prompt/response', rows: 1 },
  ]);
});

describe('several files', () => {
  const write = (name: string, content: unknown) => {
    const file = join(folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
    return file;
  };
  const row = { prompt: 'Hi', response: 'Hello' };

  test('a folder stands for its tables, a pattern for what matches', async () => {
    write('set/a.jsonl', row);
    write('set/deep/b.csv', 'prompt,response\nx,y\n');
    write('set/README.txt', 'not a row');
    const names = async (...files: string[]) =>
      (await loadRows(files, { format: 'chat' })).files.map(({ path }) => relative(folder, path).replaceAll('\\', '/'));
    const all = ['set/a.jsonl', 'set/deep/b.csv'];
    expect(await names(join(folder, 'set'))).toEqual(all);
    expect(await names(join(folder, 'set', '**', '*.*s*'))).toEqual(all);
    expect(await names(join(folder, 'set', '*.jsonl'), join(folder, 'set'))).toEqual(all);
    await expect(names(join(folder, 'set', '*.tsv'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  test("LLaMA-Factory's description says what columns, keys and roles mean", async () => {
    const a = write('lf/a.json', [{ q: 'Hi', a: 'Hello', s: 'S' }]);
    const b = write('lf/b.json', [
      {
        talk: [
          { who: 'kunde', said: 'Hi' },
          { who: 'agent', said: 'Hello' },
        ],
      },
    ]);
    write('lf/dataset_info.json', {
      one: { file_name: 'a.json', columns: { prompt: 'q', response: 'a', system: 's' } },
      two: {
        file_name: 'b.json',
        formatting: 'sharegpt',
        columns: { messages: 'talk' },
        tags: { role_tag: 'who', content_tag: 'said', user_tag: 'kunde', assistant_tag: 'agent' },
      },
    });
    const { rows, findings } = await loadRows([a, b], { format: 'chat' });
    expect(findings).toEqual([]);
    expect(rows).toMatchObject([
      { messages: [{ role: 'system', content: 'S' }, user, assistant] },
      { messages: [user, assistant] },
    ]);
    write('lf/dataset_info.json', '{"one": ');
    await expect(loadRows(a, { format: 'chat' })).rejects.toMatchObject({ code: 'FILE_NOT_JSON' });
  });
});
