import { basename } from 'node:path';
import { expandFiles } from '../io/expand.ts';
import { isRecord } from '../io/json-checks.ts';
import type { Role } from '../text/messages.ts';
import { type ColumnMap, openMapper } from './columns.ts';
import { DATASET_INFO, readDatasetInfo } from './formats/dataset-info.ts';
import { contentOf, openRecords, type PlainText, type RecordSource } from './read.ts';
import type { RawRecord } from './records.ts';

/** How the files of a data set are opened. */
export interface FileOptions {
  /** Columns of the file to columns of ours. */
  readonly map?: ColumnMap | undefined;
  /** What a plain text file holds; rows if not given. */
  readonly plainText?: PlainText | undefined;
}

/** A file of a data set, its columns under the names that are understood. */
export interface OpenedFile extends RecordSource {
  readonly path: string;
  /** The entry of LLaMA-Factory's dataset_info.json that says how the file is read. */
  readonly describedBy: string | undefined;
  /** Roles that this entry names. */
  readonly roles: Readonly<Record<string, Role>>;
}

/** Files, one after the other. */
export interface OpenedFiles {
  readonly paths: readonly string[];
  open(path: string): OpenedFile;
  /** Columns that were met where lines were read as bytes. */
  meet(columns: readonly string[]): void;
  /** Once all is read: throws if the map names a column that no row has. @throws CLI_OPTION_VALUE */
  finish(): void;
}

/**
 * Opens names, folders and patterns of data files. A folder stands for its tables (.jsonl, .json, .csv, .tsv, .parquet), or where it has none
 * for its plain texts. A dataset_info.json beside a file says what the columns mean, as in LLaMA-Factory.
 *
 * @throws FILE_NOT_FOUND, DATA_FILE_TYPE, CLI_OPTION_VALUE
 */
export function openFiles(files: string | readonly string[], options: FileOptions = {}): OpenedFiles {
  const names = typeof files === 'string' ? [files] : files;
  const mapper = openMapper(options.map ?? {});
  return {
    paths: names.flatMap((name) => pathsOf(name)).filter((path, i, all) => all.indexOf(path) === i),
    open: (path) => {
      const notes = readDatasetInfo(path);
      const source = openRecords(path, options.plainText);
      const rename = (value: unknown): unknown => {
        if (!isRecord(value)) return value;
        return mapper.apply(notes === undefined ? value : notes.apply(value));
      };
      return {
        path,
        records: renamed(source.records, rename),
        blocks: source.blocks,
        drawn: source.drawn,
        digest: source.digest,
        describedBy: notes?.name,
        roles: notes?.roles ?? {},
      };
    },
    meet: mapper.meet,
    finish: mapper.finish,
  };
}

async function* renamed(
  records: AsyncIterable<RawRecord>,
  rename: (value: unknown) => unknown,
): AsyncGenerator<RawRecord> {
  for await (const record of records) yield 'code' in record ? record : { ...record, value: rename(record.value) };
}

function pathsOf(name: string): string[] {
  const found = expandFiles([name], (path) => basename(path) !== DATASET_INFO && contentOf(path) !== undefined);
  if (found.length === 1 && found[0] === name) return found;
  const tables = found.filter((path) => contentOf(path) === 'records');
  return tables.length > 0 ? tables : found;
}
