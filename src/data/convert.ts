import type { ErrorCode } from '../errors/index.ts';
import { fileExists, fileSize } from '../io/files.ts';
import type { Role } from '../text/messages.ts';
import type { ColumnMap } from './columns.ts';
import type { FindingLog } from './findings.ts';
import type { Content, Format } from './formats/content.ts';
import { detect } from './formats/detect.ts';
import { readContent } from './formats/read-content.ts';
import { type OpenedFile, openFiles } from './open-files.ts';
import type { RawRecord } from './records.ts';
import type { RowSource } from './row.ts';
import type { Fields } from './shapes.ts';

/** How files of any format are read. */
export interface ReadOptions {
  /** The format to read, whatever else a row could be. */
  readonly format?: Format | undefined;
  readonly map?: ColumnMap | undefined;
  readonly roles?: Readonly<Record<string, Role>> | undefined;
}

/** A row of a data file with what it says. */
export interface ReadRow {
  readonly source: RowSource;
  readonly fields: Fields;
  readonly content: Content;
}

/** How the rows of a file were recognised. */
export interface FileFormat {
  readonly path: string;
  readonly format: Format;
  /** By what it shows: `it has the column messages`. */
  readonly reason: string;
}

/** What is told while files are read. */
export interface ReadEvents {
  readonly log: FindingLog;
  /** Called at the first row of each file that has a format. */
  onFormat?(format: FileFormat): void;
  /** Called after each record, rows or not. */
  onRecord?(source: RowSource): void;
  /** Called after each record: how much of the files has been drawn. */
  onProgress?(progress: ReadProgress): void;
}

/** How far the reading of files is: records, and bytes of them on the disk. */
export interface ReadProgress {
  readonly rows: number;
  readonly bytes: number;
  readonly total: number;
}

/**
 * Reads the rows of files of any format, one at a time. A row with an error is reported and left out; one whose errors are let pass comes.
 *
 * @throws what openFiles and openRecords throw
 */
export async function* readRows(
  files: string | readonly string[],
  options: ReadOptions,
  events: ReadEvents,
): AsyncGenerator<ReadRow> {
  const opened = openFiles(files, options);
  const total = opened.paths.reduce((sum, path) => sum + (fileExists(path) ? fileSize(path) : 0), 0);
  let [before, rows] = [0, 0];
  for (const path of opened.paths) {
    const file = opened.open(path);
    const onRecord: ReadEvents['onRecord'] = (source) => {
      events.onRecord?.(source);
      events.onProgress?.({ rows: ++rows, bytes: before + file.drawn(), total });
    };
    yield* readFileRows(file, options, { ...events, onRecord });
    before += file.drawn();
  }
  opened.finish();
}

async function* readFileRows(file: OpenedFile, options: ReadOptions, events: ReadEvents): AsyncGenerator<ReadRow> {
  const { log } = events;
  let first: { readonly format: Format; readonly line: number } | undefined;
  let records = 0;
  for await (const record of file.records) {
    records++;
    const source = { file: file.path, line: record.line };
    const found = formatOf(record, file, options.format, log);
    if (found !== undefined && first === undefined) {
      first = { format: found.format, line: record.line };
      const notes = file.describedBy === undefined ? '' : `, read as ${file.describedBy} of dataset_info.json`;
      events.onFormat?.({ path: file.path, format: found.format, reason: `${found.reason}${notes}` });
    }
    if (found !== undefined && first !== undefined && 'value' in record) {
      if (found.format !== first.format) {
        const message = `has the format ${found.format}, but line ${first.line} has ${first.format}.`;
        log.add({ code: 'DATA_SHAPE_MIXED', ...source, message });
      } else {
        const fields = record.value as Fields;
        const content = contentOf(fields, found, source, { ...file.roles, ...options.roles }, log);
        if (content !== undefined) yield { source, fields, content };
      }
    }
    events.onRecord?.(source);
  }
  if (records === 0) log.add({ code: 'DATA_EMPTY_FILE', file: file.path, message: 'holds no rows.' });
}

function formatOf(record: RawRecord, { path }: OpenedFile, forced: Format | undefined, log: FindingLog) {
  const { line } = record;
  if ('code' in record) {
    log.add({ code: record.code, file: path, line, message: record.message });
    return undefined;
  }
  const detected = detect(record.value, forced);
  if (detected.format !== undefined) return detected;
  const { code, message, fix } = detected;
  log.add({ code, file: path, line, message, fix });
  return undefined;
}

function contentOf(
  fields: Fields,
  detected: Parameters<typeof readContent>[1],
  source: RowSource,
  roles: Readonly<Record<string, Role>>,
  log: FindingLog,
): Content | undefined {
  let failed = false;
  const complain = (code: ErrorCode, message: string, fix?: string) => {
    if (log.add({ code, ...source, message, fix }) === 'error') failed = true;
  };
  const content = readContent(fields, detected, source, { roles }, complain);
  return failed ? undefined : content;
}
