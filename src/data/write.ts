import { TunesmithError } from '../errors/index.ts';
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

const KINDS = ['jsonl', 'ndjson', 'json', 'csv', 'tsv'] as const;

/**
 * Opens a data file for writing by its extension: .jsonl, .json (an array), .csv or .tsv, each packed if it ends in .gz.
 *
 * @param columns of a table; those of the first record if not given
 * @throws DATA_FILE_TYPE, FILE_WRITE_FAILED
 */
export function openRecordWriter(path: string, columns?: readonly string[]): RecordWriter {
  const extension = /\.([^./\\]+)$/.exec(path.replace(/\.gz$/i, ''))?.[1]?.toLowerCase();
  const kind = KINDS.find((name) => name === extension);
  if (kind === undefined) {
    const message = 'has no extension that is written.';
    throw new TunesmithError('DATA_FILE_TYPE', { message, file: path, fix: 'write .jsonl, .json, .csv or .tsv.' });
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

function cellText(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function quoted(cell: string, gap: string): string {
  return cell.includes(gap) || /["\r\n]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
