import { parse as parseTable } from 'csv-parse/sync';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { type ErrorCode, TunesmithError } from '../errors/index.ts';
import { decodeText } from '../io/files.ts';
import { jsonFault } from '../io/json-fault.ts';
import { type ByteSource, type FileDigest, openBytes, type TextLine, textLines } from '../io/lines.ts';

/** A record of a data file before anything is made of it, or what is wrong with it. */
export type RawRecord =
  | { readonly line: number; readonly value: unknown }
  | { readonly line: number; readonly code: ErrorCode; readonly message: string };

/** A data file as a stream of records. */
export interface RecordSource {
  /** Drawn once. @throws FILE_NOT_FOUND, FILE_UNREADABLE, FILE_NOT_UTF8, DATA_GZIP, DATA_TABLE, DATA_PARQUET */
  readonly records: AsyncIterable<RawRecord>;
  /** Known once `records` has been drawn to its end. */
  digest(): FileDigest;
}

type FileType = 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'txt';

const EXTENSIONS: Readonly<Record<string, FileType>> = {
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  json: 'json',
  csv: 'csv',
  tsv: 'tsv',
  parquet: 'parquet',
  txt: 'txt',
};

/** Files that are not read line by line have to fit into memory. */
const MAX_WHOLE = 2 ** 31 - 1;

/**
 * Opens a data file by its extension: .jsonl (or .ndjson), .json, .csv, .tsv, .parquet, .txt, each gzipped or not.
 *
 * Lines count from 1: the line of the file for .jsonl, .csv and .txt, the record's number for .json arrays and .parquet. In a .txt file
 * blank lines part the rows.
 *
 * @throws DATA_FILE_TYPE
 */
export function openRecords(path: string): RecordSource {
  const type = fileType(path);
  const source = openBytes(path);
  return { records: recordsOf(type, source, path), digest: source.digest };
}

function fileType(path: string): FileType {
  const extension = /\.([^./\\]+)$/.exec(path.replace(/\.gz$/i, ''))?.[1]?.toLowerCase() ?? '';
  const type = Object.hasOwn(EXTENSIONS, extension) ? EXTENSIONS[extension] : undefined;
  if (type !== undefined) return type;
  const message =
    extension === '' ? 'has no extension that tells its format.' : `has the unknown extension ".${extension}".`;
  throw new TunesmithError('DATA_FILE_TYPE', { message, file: path });
}

function recordsOf(type: FileType, source: ByteSource, path: string): AsyncGenerator<RawRecord> {
  switch (type) {
    case 'jsonl':
      return jsonLines(source);
    case 'json':
      return jsonFile(source, path);
    case 'csv':
      return table(source, path, ',');
    case 'tsv':
      return table(source, path, '\t');
    case 'parquet':
      return parquet(source, path);
    case 'txt':
      return paragraphs(source);
    default:
      return type satisfies never;
  }
}

async function* jsonLines(source: ByteSource): AsyncGenerator<RawRecord> {
  for await (const line of textLines(source.chunks)) {
    if ('problem' in line) yield badLine(line);
    else if (line.text.trim() !== '') yield parseLine(line.text, line.line);
  }
}

function parseLine(text: string, line: number): RawRecord {
  try {
    return { line, value: JSON.parse(text) as unknown };
  } catch {
    const hint = /^\s*\[\s*$/.test(text) ? ' (an array over several lines belongs in a .json file)' : '';
    const fault = jsonFault(text);
    return { line, code: 'DATA_JSON', message: `is not JSON at column ${fault?.column}: ${fault?.reason}${hint}.` };
  }
}

function badLine(line: TextLine & { problem: string }): RawRecord {
  if (line.problem === 'long') return { line: line.line, code: 'DATA_JSON', message: 'is longer than 64 MiB.' };
  const message = line.problem === 'utf16' ? 'is UTF-16 text, not UTF-8.' : 'has a byte that is not UTF-8.';
  return { line: line.line, code: 'FILE_NOT_UTF8', message };
}

async function* jsonFile(source: ByteSource, path: string): AsyncGenerator<RawRecord> {
  const text = decodeText(await wholeFile(source, path), path);
  if (text.trim() === '') return;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const lines = text.split(/\r?\n/);
    if (isObjectLine(lines[0]!)) {
      for (const [i, line] of lines.entries()) if (line.trim() !== '') yield parseLine(line, i + 1);
      return;
    }
    const fault = jsonFault(text);
    const message = `is not JSON at column ${fault?.column}: ${fault?.reason}.`;
    yield { line: fault?.line ?? 1, code: 'DATA_JSON', message };
    return;
  }
  const records = Array.isArray(value) ? value : [value];
  for (const [i, record] of records.entries()) yield { line: i + 1, value: record as unknown };
}

/** JSON lines under the name .json are common. */
function isObjectLine(line: string): boolean {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

async function* table(source: ByteSource, path: string, delimiter: string): AsyncGenerator<RawRecord> {
  const text = decodeText(await wholeFile(source, path), path);
  let rows: { record: Record<string, string>; info: { lines: number } }[];
  try {
    rows = parseTable(text, { columns: true, delimiter, info: true, skip_empty_lines: true, bom: true });
  } catch (error) {
    const line = error instanceof Error && 'lines' in error ? Number(error.lines) : undefined;
    throw new TunesmithError('DATA_TABLE', { message: `${reason(error)}.`, file: path, line, cause: error });
  }
  // csv-parse counts the line on which a record ends; a quoted cell may hold several.
  let start = 2;
  for (const { record, info } of rows) {
    yield { line: Math.min(start, info.lines), value: mapValues(record, cell) };
    start = info.lines + 1;
  }
}

/** Columns whose cells hold JSON; every other cell is text, so that an answer `[1, 2]` stays what it is. */
const STRUCTURED: ReadonlySet<string> = new Set([
  'messages',
  'conversations',
  'tools',
  'functions',
  'history',
  'input_ids',
  'labels',
  'attention_mask',
]);

function cell(value: string, column: string): unknown {
  if (value === '') return null;
  if (!STRUCTURED.has(column)) return value;
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value;
  }
}

async function* parquet(source: ByteSource, path: string): AsyncGenerator<RawRecord> {
  const bytes = await wholeFile(source, path);
  const { buffer, byteOffset, byteLength } = bytes;
  const data = buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
  const file = { byteLength, slice: (start: number, end?: number) => data.slice(start, end) };
  let rows: Record<string, unknown>[];
  try {
    rows = await parquetReadObjects({ file, compressors });
  } catch (error) {
    throw new TunesmithError('DATA_PARQUET', { message: `${reason(error)}.`, file: path, cause: error });
  }
  for (const [i, row] of rows.entries()) yield { line: i + 1, value: plain(row) };
}

/** 64-bit integers become numbers, typed arrays plain ones. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<number | bigint>, Number);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null && !(value instanceof Date)) {
    return mapValues(value as Record<string, unknown>, plain);
  }
  return value;
}

async function* paragraphs(source: ByteSource): AsyncGenerator<RawRecord> {
  let start = 0;
  let lines: string[] = [];
  for await (const line of textLines(source.chunks)) {
    if ('problem' in line) {
      yield badLine(line);
      continue;
    }
    if (line.text.trim() !== '') {
      if (lines.length === 0) start = line.line;
      lines.push(line.text);
    } else if (lines.length > 0) {
      yield { line: start, value: { text: lines.join('\n') } };
      lines = [];
    }
  }
  if (lines.length > 0) yield { line: start, value: { text: lines.join('\n') } };
}

async function wholeFile(source: ByteSource, path: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of source.chunks) {
    size += chunk.length;
    if (size > MAX_WHOLE) {
      const message = 'is larger than 2 GiB, which only .jsonl may be.';
      throw new TunesmithError('FILE_UNREADABLE', { message, file: path, fix: 'convert it to .jsonl.' });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

function mapValues<V>(
  record: Readonly<Record<string, V>>,
  map: (value: V, key: string) => unknown,
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]));
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message.replace(/\.$/, '') : String(error);
}
