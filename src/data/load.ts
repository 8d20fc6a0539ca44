import { type ErrorCode, TunesmithError } from '../errors/index.ts';
import { sha256 } from '../io/files.ts';
import { isRecord } from '../io/json-checks.ts';
import { secretInRow } from './check/secrets.ts';
import type { ColumnMap } from './columns.ts';
import { createFindingLog, type FindingGroup, type FindingLog } from './findings.ts';
import { LABEL_COLUMNS, readLabels } from './labels.ts';
import { ignoredColumns, type NormaliseOptions, normalise } from './normalise.ts';
import { type OpenedFile, openFiles } from './open-files.ts';
import type { PlainText } from './read.ts';
import type { RawRecord } from './records.ts';
import type { Row, RowSource } from './row.ts';
import { type Fields, present, type RowShape, recognise } from './shapes.ts';

/** How files are turned into rows. */
export interface LoadOptions extends NormaliseOptions {
  /** Codes of findings that are let pass. */
  readonly allow?: readonly string[] | undefined;
  /** Rows of text or messages are classified: whether each brings its labels. Not read if not given. Goes with optional answers. */
  readonly labels?: 'required' | 'optional' | undefined;
  /** What a plain text file holds; rows if not given. */
  readonly plainText?: PlainText | undefined;
  /** Columns of the files to columns of ours. */
  readonly map?: ColumnMap | undefined;
  /** The shape whose columns are read where a row has those of several. */
  readonly shape?: RowShape | undefined;
}

/** A file that was read, as data.json of a run records it. */
export interface LoadedFile {
  readonly path: string;
  /** Of the file as it stands on the disk. */
  readonly sha256: string;
  readonly bytes: number;
  /** Undefined where no row was recognised. */
  readonly shape: RowShape | undefined;
  readonly rows: number;
}

/** Rows and all that was found about them. */
export interface LoadedRows {
  /** Rows without an error, in the order of the files. */
  readonly rows: readonly Row[];
  readonly files: readonly LoadedFile[];
  /** Errors first. Hand them to assertNoErrors(), with those of later checks, before anything is computed. */
  readonly findings: readonly FindingGroup[];
  readonly ignoredColumns: readonly string[];
}

/**
 * Reads all rows of the files in one pass and checks each.
 *
 * What is wrong with a row becomes a finding; what is wrong with a whole file is thrown.
 *
 * @throws FILE_NOT_FOUND, FILE_UNREADABLE, FILE_NOT_UTF8, DATA_FILE_TYPE, DATA_GZIP, DATA_TABLE, DATA_PARQUET,
 *   FILE_NOT_JSON of a dataset_info.json, DATA_SYSTEM_RAW if `system` is given with the raw format, CLI_OPTION_VALUE if `allow` names no data code
 */
export async function loadRows(files: string | readonly string[], options: LoadOptions): Promise<LoadedRows> {
  if (options.system !== undefined && options.format === 'raw') {
    throw new TunesmithError('DATA_SYSTEM_RAW', { message: '--system has no place in rows that are raw text.' });
  }
  const state: LoadState = {
    options,
    log: createFindingLog(options.allow),
    rows: [],
    seen: new Map(),
    ignored: new Map(),
  };
  const loaded: LoadedFile[] = [];
  const opened = openFiles(files, options);
  for (const path of opened.paths) loaded.push(await loadFile(opened.open(path), state));
  opened.finish();
  reportIgnored(state);
  return { rows: state.rows, files: loaded, findings: state.log.groups(), ignoredColumns: [...state.ignored.keys()] };
}

interface LoadState {
  readonly options: LoadOptions;
  readonly log: FindingLog;
  readonly rows: Row[];
  /** Content of each row to where it first stood. */
  readonly seen: Map<string, RowSource>;
  /** Column to where it was first met. */
  readonly ignored: Map<string, RowSource>;
}

interface FileShape {
  readonly shape: RowShape;
  readonly line: number;
}

async function loadFile(source: OpenedFile, given: LoadState): Promise<LoadedFile> {
  const { path } = source;
  const roles = { ...source.roles, ...given.options.roles };
  const state = { ...given, options: { ...given.options, roles } };
  const before = state.rows.length;
  let first: FileShape | undefined;
  let records = 0;
  for await (const record of source.records) {
    records++;
    first = loadRecord(record, path, first, state) ?? first;
  }
  if (records === 0) state.log.add({ code: 'DATA_EMPTY_FILE', file: path, message: 'holds no rows.' });
  return { path, ...source.digest(), shape: first?.shape, rows: state.rows.length - before };
}

/** Returns the shape of the record if it is the first of its file that has one. */
function loadRecord(
  record: RawRecord,
  file: string,
  first: FileShape | undefined,
  state: LoadState,
): FileShape | undefined {
  const { line } = record;
  if ('code' in record) {
    state.log.add({ code: record.code, file, line, message: record.message });
    return undefined;
  }
  const { answers, labels } = state.options;
  const recognised = recognise(record.value, {
    answers,
    shape: state.options.shape,
    among: shapesAmong(record.value, labels),
  });
  if (recognised.shape === undefined) {
    const { code, message, fix } = recognised;
    state.log.add({ code, file, line, message, fix });
    return undefined;
  }
  const { shape } = recognised;
  if (labels !== undefined && shape !== 'text' && shape !== 'messages' && shape !== 'conversations') {
    state.log.add({ code: 'DATA_LABEL', file, line, message: `has the shape ${shape}, which is not classified.` });
    return undefined;
  }
  if (first !== undefined && first.shape !== shape) {
    const message = `has the shape ${shape}, but line ${first.line} has ${first.shape}.`;
    state.log.add({ code: 'DATA_SHAPE_MIXED', file, line, message });
    return undefined;
  }
  loadFields({ fields: record.value as Fields, shape, source: { file, line } }, state);
  return { shape, line: first?.line ?? line };
}

const CLASSIFIED: readonly RowShape[] = ['text', 'messages', 'conversations'];

/** Of a row that is classified the columns that can be are read, whatever stands beside them. */
function shapesAmong(value: unknown, labels: LoadOptions['labels']): readonly RowShape[] | undefined {
  const isClassified = labels !== undefined && isRecord(value) && CLASSIFIED.some((name) => present(value, name));
  return isClassified ? CLASSIFIED : undefined;
}

function loadFields(
  record: { readonly fields: Fields; readonly shape: RowShape; readonly source: RowSource },
  state: LoadState,
): void {
  const { source } = record;
  let failed = false;
  const complain = (code: ErrorCode, message: string, fix?: string) => {
    if (state.log.add({ code, ...source, message, fix }) === 'error') failed = true;
  };
  const { labels: wanted, answers } = state.options;
  for (const name of ignoredColumns(record.fields, record.shape)) {
    if (wanted !== undefined && LABEL_COLUMNS.includes(name)) continue;
    if (!state.ignored.has(name)) state.ignored.set(name, source);
  }
  const labels = wanted === undefined ? undefined : readLabels(record.fields, wanted, complain);
  const bare = normalise(record, state.options, complain);
  const row = bare === undefined || labels === undefined ? bare : { ...bare, labelled: labels };
  const secret = row === undefined ? undefined : secretInRow(row);
  if (secret !== undefined) complain('DATA_SECRET', secret);
  if (wanted === undefined && answers === 'optional' && (row?.kind === 'text' || row?.kind === 'ids')) {
    complain('DATA_NO_QUESTION', `is ${row.kind === 'text' ? 'a text' : 'pre-tokenised'}, and asks nothing.`);
  }
  if (row === undefined || failed) return;
  state.rows.push(row);
  const key = rowKey(row);
  const twin = state.seen.get(key);
  if (twin === undefined) state.seen.set(key, source);
  else state.log.add({ code: 'DATA_DUPLICATE', ...source, message: `is the same as ${twin.file}:${twin.line}.` });
}

function reportIgnored(state: LoadState): void {
  const [first] = state.ignored.values();
  if (first === undefined) return;
  const names = [...state.ignored.keys()];
  const message = `columns that are not used: ${names.slice(0, 20).join(', ')}${names.length > 20 ? ', ...' : ''}.`;
  const fix = names.some((name) => LABEL_COLUMNS.includes(name)) ? '--method classify learns labels.' : undefined;
  state.log.add({ code: 'DATA_COLUMN_IGNORED', ...first, message, fix });
}

/** SHA-256 of what a row says, whatever place it has. Equal rows have equal keys. */
export function rowKey(row: Row): string {
  const { source: _, ...content } = row;
  return sha256(JSON.stringify(content));
}
