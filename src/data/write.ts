import { TunesmithError } from '../errors/index.ts';
import { openParquetFile, type ParquetType } from '../io/write-parquet.ts';
import { openTextWriter, type TextWriter } from '../io/write-text.ts';
import type { Fields } from './shapes.ts';

/** Writes records to a data file that is there only when it is whole. */
export interface RecordWriter {
  /** @throws DISK_FULL, FILE_WRITE_FAILED, DATA_TABLE if a table has no column for something */
  write(record: Fields): void;
  commit(): void;
  /** Takes away what was written; harmless after commit. */
  discard(): void;
}

const KINDS = ['jsonl', 'ndjson', 'json', 'csv', 'tsv', 'parquet'] as const;

/**
 * Opens a data file for writing by its extension: .jsonl, .json (an array), .csv or .tsv, each packed if it ends in .gz; or .parquet.
 *
 * @param columns of a table; those of the first record if not given
 * @throws DATA_FILE_TYPE, FILE_WRITE_FAILED
 */
export function openRecordWriter(path: string, columns?: readonly string[]): RecordWriter {
  const extension = /\.([^./\\]+)$/.exec(path.replace(/\.gz$/i, ''))?.[1]?.toLowerCase();
  const kind = KINDS.find((name) => name === extension);
  if (kind === undefined) {
    const message = 'has no extension that is written.';
    throw new TunesmithError('DATA_FILE_TYPE', {
      message,
      file: path,
      fix: 'write .jsonl, .json, .csv, .tsv or .parquet.',
    });
  }
  if (kind === 'parquet') {
    if (!path.toLowerCase().endsWith('.gz')) return parquetWriter(path, columns);
    const message = 'would be packed twice: .parquet is packed in itself.';
    throw new TunesmithError('DATA_FILE_TYPE', { message, file: path, fix: 'leave out .gz.' });
  }
  const writer = openTextWriter(path);
  switch (kind) {
    case 'jsonl':
    case 'ndjson':
      return { ...writer, write: (record) => writer.write(`${JSON.stringify(record)}\n`) };
    case 'json':
      return arrayWriter(writer);
    case 'csv':
    case 'tsv':
      return tableWriter(writer, path, kind === 'csv' ? ',' : '\t', columns);
    default:
      return kind satisfies never;
  }
}

function arrayWriter(writer: TextWriter): RecordWriter {
  let count = 0;
  return {
    write: (record) => writer.write(`${count++ === 0 ? '[\n' : ',\n'}${JSON.stringify(record)}`),
    commit: () => {
      writer.write(count === 0 ? '[]\n' : '\n]\n');
      writer.commit();
    },
    discard: writer.discard,
  };
}

function tableWriter(writer: TextWriter, path: string, gap: string, given?: readonly string[]): RecordWriter {
  let columns = given;
  const line = (cells: readonly string[]) => writer.write(`${cells.map((cell) => quoted(cell, gap)).join(gap)}\n`);
  if (columns !== undefined) line(columns);
  return {
    write: (record) => {
      if (columns === undefined) {
        columns = Object.keys(record);
        line(columns);
      }
      const other = Object.keys(record).find((name) => !columns?.includes(name));
      if (other !== undefined) {
        const message = `has the columns of its first row (${columns.join(', ')}), and another row has ${other}.`;
        throw new TunesmithError('DATA_TABLE', { message, file: path, fix: 'write .jsonl.' });
      }
      line(columns.map((name) => cellText(record[name])));
    },
    commit: writer.commit,
    discard: writer.discard,
  };
}

/** Rows of one group of a .parquet file. */
const GROUP = 10_000;

/** Types of columns are those of the first group of rows. */
function parquetWriter(path: string, given?: readonly string[]): RecordWriter {
  const writer = openParquetFile(path);
  let held: Fields[] = [];
  let columns: readonly { readonly name: string; readonly type: ParquetType }[] | undefined;
  let row = 0;
  const flush = () => {
    if (held.length === 0) return;
    const names = given ?? [...new Set(held.flatMap((record) => Object.keys(record)))];
    // Columns that no row fills are left out.
    columns ??= names
      .filter((name) => held.some((record) => isFilled(record[name])))
      .map((name) => ({ name, type: typeOf(held.map((record) => record[name])) }));
    for (const [i, record] of held.entries()) requireColumns(record, row + i + 1, columns, path);
    row += held.length;
    writer.write(columns.map(({ name, type }) => ({ name, type, data: held.map((record) => record[name] ?? null) })));
    held = [];
  };
  return {
    write: (record) => {
      held.push(record);
      if (held.length >= GROUP) flush();
    },
    commit: () => {
      flush();
      if (row > 0) return writer.commit();
      throw new TunesmithError('DATA_EMPTY_FILE', { message: 'would have no rows, and so no columns.', file: path });
    },
    discard: writer.discard,
  };
}

const isFilled = (value: unknown) => value !== null && value !== undefined;

function typeOf(values: readonly unknown[]): ParquetType {
  const filled = values.filter(isFilled);
  if (filled.every((value) => typeof value === 'string')) return 'STRING';
  if (filled.every((value) => typeof value === 'boolean')) return 'BOOLEAN';
  if (filled.every((value) => typeof value === 'number')) return 'DOUBLE';
  return 'JSON';
}

function requireColumns(
  record: Fields,
  row: number,
  columns: readonly { readonly name: string; readonly type: ParquetType }[],
  path: string,
): void {
  const kinds: Readonly<Partial<Record<ParquetType, string>>> = {
    STRING: 'string',
    BOOLEAN: 'boolean',
    DOUBLE: 'number',
  };
  for (const [name, value] of Object.entries(record)) {
    if (!isFilled(value)) continue;
    const column = columns.find((own) => own.name === name);
    if (column !== undefined && (column.type === 'JSON' || typeof value === kinds[column.type])) continue;
    const why = column === undefined ? 'which the rows before have not' : `which were ${column.type} before`;
    const message = `row ${row} has ${typeof value === 'object' ? 'a list or object' : `a ${typeof value}`} in the column ${name}, ${why}.`;
    throw new TunesmithError('DATA_TABLE', { message, file: path, fix: 'write .jsonl.' });
  }
}

function cellText(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function quoted(cell: string, gap: string): string {
  return cell.includes(gap) || /["\r\n]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
