import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TunesmithError } from '../errors/index.ts';
import { openRecords } from './read.ts';
import { jsonFile } from './read-json.ts';
import type { RawRecord } from './records.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-read-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function read(name: string, content: string | Uint8Array): Promise<RawRecord[]> {
  const path = join(folder, name);
  writeFileSync(path, content);
  const records: RawRecord[] = [];
  for await (const record of openRecords(path).records) records.push(record);
  return records;
}

const rows = [
  { prompt: 'Hi, "you"', response: 'Hello\nthere' },
  { prompt: 'ä', response: '日本' },
];
const jsonl = rows.map((r) => JSON.stringify(r)).join('\n');

test('what nests too deep to be walked through is told, by line or record', async () => {
  const lists = `{"prompt":${'['.repeat(200_000)}${']'.repeat(200_000)}}`;
  const objects = `${'{"a":'.repeat(200_000)}1${'}'.repeat(200_000)}`;
  for (const deep of [lists, objects]) {
    for (const [name, content] of Object.entries({
      'deep.jsonl': `${jsonl}\n${deep}\n`,
      'deep.json': `[{"prompt":"a","response":"b"},{"prompt":"c","response":"d"},${deep}]`,
    })) {
      expect((await read(name, content)).at(-1), name).toMatchObject({
        line: 3,
        code: 'DATA_JSON',
        message: expect.stringMatching(/500 deep/),
      });
    }
    expect(await read('one.json', deep)).toMatchObject([{ line: 1, code: 'DATA_JSON' }]);
  }
});

test('a .json file that cannot be JSON is told at its first bytes, and one long line is looked at once', async () => {
  const bomb = gzipSync(Buffer.alloc(80 * 2 ** 20, 'a'));
  expect(await read('bomb.json.gz', bomb)).toMatchObject([{ line: 1, code: 'DATA_JSON' }]);
  const long = gzipSync(Buffer.concat([Buffer.from('"'), Buffer.alloc(40 * 2 ** 20, 'a'), Buffer.from('"')]));
  expect(await read('long.json.gz', long)).toMatchObject([{ line: 1 }]);
});

describe('formats', () => {
  const table = (cut: string) =>
    `prompt${cut}response\n${rows.map((r) => `"${r.prompt.replaceAll('"', '""')}"${cut}"${r.response}"`).join('\n')}\n`;
  const parquet = new Uint8Array(
    parquetWriteBuffer({
      columnData: [
        { name: 'prompt', data: rows.map((r) => r.prompt) },
        { name: 'response', data: rows.map((r) => r.response) },
      ],
    }),
  );
  const files: [string, string | Uint8Array][] = [
    ['rows.jsonl', jsonl],
    ['rows-crlf.jsonl', `\ufeff${jsonl.replaceAll('\n', '\r\n')}\r\n\r\n`],
    ['rows.JSONL', jsonl],
    ['rows.ndjson', jsonl],
    ['rows.json', JSON.stringify(rows, null, 2)],
    ['rows-bom.json', `\ufeff${JSON.stringify(rows)}`],
    ['lines.json', jsonl],
    ['rows.csv', table(',')],
    ['rows-bom.csv', `\ufeff${table(',')}`],
    ['rows.tsv', table('\t')],
    ['rows.parquet', parquet],
    ['rows.jsonl.gz', gzipSync(jsonl)],
    ['rows.csv.gz', gzipSync(table(','))],
  ];
  test.each(files)('%s', async (name, content) => {
    const records = await read(name, content);
    expect(records.map((r) => 'value' in r && r.value)).toEqual(rows);
  });

  test('lines are those of the file where it has lines', async () => {
    const lines = async (name: string, content: string) => (await read(name, content)).map((r) => r.line);
    expect(await lines('a.jsonl', '\n{}\n\n{}\n')).toEqual([2, 4]);
    expect(await lines('a.csv', 'text\n"one\ntwo"\nthree\n')).toEqual([2, 4]);
    expect(await lines('a.txt', '\none\ntwo\n\n\nthree\n')).toEqual([2, 6]);
    expect(await lines('a.json', '[{},\n\n{}]')).toEqual([1, 2]);
  });

  test('blank lines part the rows of a text', async () => {
    const records = await read('b.txt', 'one\r\ntwo\r\n \r\nthree');
    expect(records.map((r) => 'value' in r && r.value)).toEqual([{ text: 'one\ntwo' }, { text: 'three' }]);
  });

  test('cells stay text, but for columns of lists', async () => {
    const csv = 'prompt,answer,messages\n"[1, 2]",12,"[{""role"":""user""}]"\n,,\n';
    expect(await read('c.csv', csv)).toMatchObject([
      { value: { prompt: '[1, 2]', answer: '12', messages: [{ role: 'user' }] } },
      { value: { prompt: null, answer: null, messages: null } },
    ]);
  });

  test('parquet lists and 64-bit integers become plain arrays and numbers', async () => {
    const buffer = parquetWriteBuffer({
      columnData: [{ name: 'input_ids', data: [[1, 2], [3]].map((l) => l.map(BigInt)) }],
    });
    const records = await read('ids.parquet', new Uint8Array(buffer));
    expect(records.map((r) => 'value' in r && r.value)).toEqual([{ input_ids: [1, 2] }, { input_ids: [3] }]);
  });
});

test('an array is read the same however its bytes are cut', async () => {
  const value = fc.jsonValue({ maxDepth: 3 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(value),
      fc.integer({ min: 0, max: 4 }),
      fc.integer({ min: 1, max: 40 }),
      async (all, space, size) => {
        const bytes = Buffer.from(JSON.stringify(all, null, space));
        async function* chunks() {
          for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
        }
        const records: RawRecord[] = [];
        for await (const record of jsonFile(chunks(), 'x.json')) records.push(record);
        const expected = JSON.parse(JSON.stringify(all)) as unknown[];
        expect(records).toEqual(expected.map((v, i) => ({ line: i + 1, value: v })));
      },
    ),
  );
});

describe('bad files', () => {
  test('a broken line is reported with its number, and the others still come', async () => {
    const records = await read('bad.jsonl', '{"a":1}\n{"a":\n[\n{"a":2}\n');
    expect(records).toMatchObject([
      { line: 1 },
      { line: 2, code: 'DATA_JSON' },
      { line: 3, code: 'DATA_JSON' },
      { line: 4 },
    ]);
    expect(records[2]).toMatchObject({ message: expect.stringContaining('.json file') });
  });

  test('a broken .json file names the line', async () => {
    const fault = { line: 3, code: 'DATA_JSON' };
    expect(await read('bad.json', '[\n{"a":1},\n{"a":nope},\n{"a":2}]')).toMatchObject([{ line: 1 }, fault]);
    expect(await read('cut.json', '[\n{"a":1},\n{"a":')).toMatchObject([{ line: 1 }, fault]);
    expect(await read('comma.json', '[\n{"a":1}\n{"a":2}]')).toMatchObject([fault]);
    expect(await read('after.json', '[\n{"a":1}\n] {}')).toMatchObject([{ line: 1 }, fault]);
    expect(await read('trailing.json', '[{"a":1},\n\n]')).toMatchObject([{ line: 1 }, fault]);
    expect(await read('object.json', '{\n"a":1,\n"b"}')).toMatchObject([fault]);
    expect(await read('empty.json', ' \n')).toEqual([]);
  });

  test.each([
    ['ragged.csv', 'a,b\n1,2,3\n', 'DATA_TABLE'],
    ['quote.csv', 'a,b\n"1,2\n', 'DATA_TABLE'],
    ['no.parquet', 'PAR1 but nothing more', 'DATA_PARQUET'],
    ['empty.parquet', '', 'DATA_PARQUET'],
    ['wrong.json', new Uint8Array([0x5b, 0xff, 0x5d]), 'FILE_NOT_UTF8'],
    ['rows.xlsx', 'x', 'DATA_FILE_TYPE'],
    ['rows', 'x', 'DATA_FILE_TYPE'],
    ['constructor', 'x', 'DATA_FILE_TYPE'],
    ['x.constructor', 'x', 'DATA_FILE_TYPE'],
  ])('%s', async (name, content, code) => {
    await expect(read(name, content)).rejects.toMatchObject({ code, details: { file: join(folder, name) } });
  });

  test('any bytes end in records or a catalogue error', async () => {
    const names = fc.constantFrom('x.jsonl', 'x.json', 'x.csv', 'x.tsv', 'x.txt', 'x.parquet', 'x.jsonl.gz');
    await fc.assert(
      fc.asyncProperty(names, fc.uint8Array({ maxLength: 200 }), async (name, bytes) => {
        const error = await read(name, bytes).catch((e: unknown) => e);
        expect(Array.isArray(error) || error instanceof TunesmithError).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  test('a parquet file cut anywhere ends in records or a catalogue error', async () => {
    const whole = new Uint8Array(parquetWriteBuffer({ columnData: [{ name: 'text', data: ['one', 'two', 'three'] }] }));
    for (let end = 0; end < whole.length; end += 7) {
      const error = await read('cut.parquet', whole.subarray(0, end)).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(TunesmithError);
    }
  });
});
