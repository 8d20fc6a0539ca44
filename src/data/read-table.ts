import { CsvError, type Options, type Parser, parse } from 'csv-parse';
import { TunesmithError } from '../errors/index.ts';
import { textBlocks } from '../io/lines.ts';
import { mapValues } from './read-parquet.ts';
import type { RawRecord } from './records.ts';

/** Longest record in characters: a quote that is never closed would swallow the file. */
const MAX_RECORD = 64 * 2 ** 20;

interface Parsed {
  readonly record: Record<string, string>;
  readonly info: { readonly lines: number };
}

/** The records of a table whose first line names the columns. @throws DATA_TABLE, FILE_NOT_UTF8 */
export async function* table(
  chunks: AsyncIterable<Buffer>,
  path: string,
  delimiter: ',' | '\t',
): AsyncGenerator<RawRecord> {
  const options: Options = {
    columns: (header: string[]) => columnNames(header, path),
    ...{ delimiter, info: true, skip_empty_lines: true, max_record_size: MAX_RECORD },
  };
  // csv-parse counts the line on which a record ends; a quoted cell may hold several.
  let start = 2;
  try {
    for await (const { record, info } of parsed(textBlocks(chunks, path), options)) {
      yield { line: Math.min(start, info.lines), value: mapValues(record, cell) };
      start = info.lines + 1;
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const line = Number.isInteger(error.lines) ? Number(error.lines) : undefined;
    const message = `${error.message.replace(/\.$/, '')}.`;
    throw new TunesmithError('DATA_TABLE', { message, file: path, line, cause: error });
  }
}

/** Records as the parser has them, without more of the text than a block ahead. */
async function* parsed(blocks: AsyncIterable<string>, options: Options): AsyncGenerator<Parsed> {
  const parser: Parser = parse(options);
  let failed: Error | undefined;
  parser.on('error', (error) => {
    failed = error;
  });
  const drain = function* (): Generator<Parsed> {
    for (let row: unknown = parser.read(); row !== null; row = parser.read()) yield row as Parsed;
  };
  try {
    for await (const block of blocks) {
      parser.write(block);
      // Parsing is synchronous while there is room, and room comes from reading.
      for (;;) {
        const before = parser.writableLength;
        yield* drain();
        if (failed !== undefined) throw failed;
        if (parser.writableLength === 0) break;
        if (parser.writableLength === before) await new Promise(setImmediate);
      }
    }
    parser.end();
    while (!parser.readableEnded) {
      yield* drain();
      await new Promise(setImmediate);
      if (failed !== undefined) throw failed;
    }
  } finally {
    parser.destroy();
  }
}

function columnNames(header: readonly string[], path: string): string[] {
  const names = header.map((name) => name.trim());
  const seen = new Set<string>();
  const twice = names.find((name) => seen.size === seen.add(name).size);
  if (twice === undefined) return names;
  const message = `names the column "${twice}" twice.`;
  throw new TunesmithError('DATA_TABLE', { message, file: path, line: 1, fix: 'rename one of them.' });
}

/** Columns whose cells hold JSON; every other cell is text, so that an answer `[1, 2]` stays what it is. */
const STRUCTURED: ReadonlySet<string> = new Set([
  ...['messages', 'conversations', 'tools', 'functions', 'history', 'input_ids', 'labels', 'attention_mask'],
  ...['input', 'preferred_output', 'non_preferred_output', 'kto_tag', 'chosen', 'rejected', 'prompt', 'completion'],
]);

/** Of these, columns that are texts as often as not: only lists and objects of messages are taken for JSON. */
const SOMETIMES: ReadonlySet<string> = new Set(['input', 'chosen', 'rejected', 'prompt', 'completion']);

function cell(value: string, column: string): unknown {
  if (value === '') return null;
  // A mark of feedback; as the label of a text it counts by how it is written.
  if (column === 'label' && /^(true|false)$/i.test(value)) return value.toLowerCase() === 'true';
  // Trying to parse what is plainly text costs more than all else.
  if (!STRUCTURED.has(column) || !/^\s*(?:[[{]|true\s*$|false\s*$)/.test(value)) return value;
  try {
    const parsed = JSON.parse(value) as unknown;
    return SOMETIMES.has(column) && !holdsMessages(parsed) ? value : parsed;
  } catch {
    return value;
  }
}

function holdsMessages(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0 && value.every(isMessage);
  return isMessage(value) || (typeof value === 'object' && value !== null && 'messages' in value);
}

function isMessage(value: unknown): boolean {
  return typeof value === 'object' && value !== null && ('role' in value || 'from' in value);
}
