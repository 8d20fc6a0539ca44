import { CATALOGUE, type CatalogueEntry, type ErrorCode, TunesmithError } from '../../errors/index.ts';
import type { Role } from '../../text/messages.ts';
import type { ColumnMap } from '../columns.ts';
import { ignoredColumns } from '../normalise.ts';
import { type OpenedFile, openFiles } from '../open-files.ts';
import type { RawRecord } from '../records.ts';
import type { Row, RowSource } from '../row.ts';
import type { Fields, RowShape } from '../shapes.ts';
import { type ReadOptions, readCheckRow } from './row.ts';
import { checkTable, readingSeverity } from './table.ts';
import { type Check, type CheckFinding, type CheckRow, type CheckSeverity, type Found, SEVERITIES } from './types.ts';

/** Findings of a code that are kept; all are counted. */
const MOST = 100_000;

/** What a check is told. */
export interface CheckOptions {
  /** Roles of the files to ours. */
  readonly roles?: Readonly<Record<string, Role>> | undefined;
  /** Columns of the files to columns of ours. */
  readonly map?: ColumnMap | undefined;
  /** The shape whose columns are read where a row has those of several. */
  readonly shape?: RowShape | undefined;
  /** Codes whose errors become warnings, as in training. */
  readonly allow?: readonly string[] | undefined;
  /** Rows that are held out to test with: rows that are among them leak. */
  readonly heldOut?: readonly string[] | undefined;
  /** Rows are to be classified: one without a label is an error. */
  readonly labels?: boolean | undefined;
  /** Looks at each row that can be trained with the model that will train on it. */
  readonly inspect?: ((row: Row) => Iterable<Found & { readonly code: ErrorCode }>) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called now and then with the number of rows read. */
  readonly onRows?: ((rows: number) => void) | undefined;
}

/** All findings of one code and severity. */
export interface CheckGroup {
  readonly code: ErrorCode;
  readonly severity: CheckSeverity;
  readonly count: number;
  readonly findings: readonly CheckFinding[];
  readonly rule: string;
  readonly fix: string | undefined;
}

/** What a check found, and what it looked at. */
export interface CheckReport {
  readonly rows: number;
  readonly files: readonly { readonly path: string; readonly rows: number; readonly shape: string | undefined }[];
  /** Errors first; within a severity the most frequent first. */
  readonly groups: readonly CheckGroup[];
  /** Rows by the length of what they say: [0] up to 1 character, [i] up to 2^i. */
  readonly lengths: readonly number[];
  readonly labels: ReadonlyMap<string, number>;
}

/**
 * Reads all rows once and looks for everything that the table of checks names. Rows are not kept.
 *
 * @throws FILE_NOT_FOUND, DATA_FILE_TYPE; whatever else is wrong with a file is a finding
 */
export async function checkFiles(files: readonly string[], options: CheckOptions = {}): Promise<CheckReport> {
  const sources = createSources();
  const heldOut = await readHeldOut(options);
  const checks = checkTable(sources.of, heldOut);
  const state: State = {
    options,
    sources,
    findings: createFindings(options.allow ?? []),
    finders: checks.filter((check) => check.needs === 'row'),
    collectors: checks.flatMap((check) => (check.needs === 'corpus' ? [{ check, ...check.open() }] : [])),
    lengths: [],
    labels: new Map(),
  };
  const read: { path: string; rows: number; shape: string | undefined }[] = [];
  const opened = openFiles(files, options);
  for (const path of opened.paths) read.push(await checkFile(opened.open(path), state));
  opened.finish();
  for (const { check, finish } of state.collectors) {
    options.signal?.throwIfAborted();
    for (const placed of finish())
      state.findings.add(check.code, check.severity, placed, placed.source ?? { file: read[0]?.path ?? '' });
  }
  const { lengths, labels } = state;
  return { rows: sources.count(), files: read, groups: state.findings.groups(), lengths, labels };
}

interface State {
  readonly options: CheckOptions;
  readonly sources: Sources;
  readonly findings: Findings;
  readonly finders: readonly Extract<Check, { needs: 'row' }>[];
  readonly collectors: readonly (ReturnType<Extract<Check, { needs: 'corpus' }>['open']> & { readonly check: Check })[];
  readonly lengths: number[];
  readonly labels: Map<string, number>;
}

async function checkFile({ path, records, roles }: OpenedFile, state: State) {
  const { options, findings, sources } = state;
  const file: FileState = { path, roles, shape: undefined, shapeLine: 0, isIgnoredTold: false };
  const before = sources.count();
  let lines = 0;
  try {
    for await (const record of records) {
      lines++;
      checkRecord(record, file, state);
      if ((sources.count() & 1023) === 0) {
        options.signal?.throwIfAborted();
        options.onRows?.(sources.count());
      }
    }
  } catch (error) {
    if (!(error instanceof TunesmithError) || error.code === 'FILE_NOT_FOUND') throw error;
    const { message, line, fix } = error.details;
    findings.add(error.code, 'error', { message, fix }, { file: path, line });
    lines++;
  }
  if (lines === 0) findings.add('DATA_EMPTY_FILE', 'error', { message: 'holds no rows.' }, { file: path });
  return { path, rows: sources.count() - before, shape: file.shape };
}

interface FileState {
  readonly path: string;
  readonly roles: Readonly<Record<string, Role>>;
  shape: string | undefined;
  shapeLine: number;
  isIgnoredTold: boolean;
}

function checkRecord(record: RawRecord, file: FileState, state: State): void {
  const { findings, options } = state;
  const source: RowSource = { file: file.path, line: record.line };
  if ('code' in record) {
    findings.add(record.code, 'error', { message: record.message }, source);
    return;
  }
  const index = state.sources.push(source);
  const complain = (code: ErrorCode, message: string, fix?: string) =>
    findings.add(code, readingSeverity(code), { message, fix }, source);
  const read = readCheckRow(record.value, { source, index }, readOptions(options, file.roles), complain);
  const { shape, row, trained } = read;
  if (shape !== undefined && file.shape === undefined) Object.assign(file, { shape, shapeLine: record.line });
  else if (shape !== undefined && shape !== file.shape) {
    complain('DATA_SHAPE_MIXED', `has the shape ${shape}, but line ${file.shapeLine} has ${file.shape}.`);
  }
  if (!file.isIgnoredTold && shape !== undefined && shape !== 'preference')
    tellIgnored(record.value as Fields, shape, file, complain);
  checkRow(row, state);
  if (options.labels === true && shape !== undefined && row.label === undefined)
    complain('DATA_LABEL', 'has no label.');
  if (trained !== undefined && options.inspect !== undefined) {
    for (const found of options.inspect(trained)) findings.add(found.code, readingSeverity(found.code), found, source);
  }
}

function checkRow(row: CheckRow, { finders, collectors, findings, lengths, labels }: State): void {
  const founds = finders.flatMap((check) => {
    const found = check.find(row);
    return found === undefined ? [] : [{ check, found }];
  });
  // Where a row holds a secret, only the check that masks it quotes the row.
  const isSecret = founds.some(({ check }) => check.code === 'DATA_SECRET');
  for (const { check, found } of founds) {
    const told = isSecret && check.code !== 'DATA_SECRET' ? { ...found, quote: undefined } : found;
    findings.add(check.code, check.severity, told, row.source);
  }
  for (const { add } of collectors) add(row);
  const said = row.answer.length || row.prompt.length;
  const bin = said <= 1 ? 0 : Math.ceil(Math.log2(said));
  while (lengths.length <= bin) lengths.push(0);
  lengths[bin]!++;
  if (row.label !== undefined && (labels.has(row.label) || labels.size < 10_000)) {
    labels.set(row.label, (labels.get(row.label) ?? 0) + 1);
  }
}

/** Columns that are read as labels are used here, though only classifiers train on them. */
const READ_HERE: readonly string[] = ['label', 'labels', 'category', 'intent', 'class', 'sentiment', 'topic'];

function tellIgnored(
  fields: Fields,
  shape: RowShape,
  file: FileState,
  complain: (code: ErrorCode, message: string) => void,
): void {
  file.isIgnoredTold = true;
  const names = ignoredColumns(fields, shape).filter((name) => !READ_HERE.includes(name));
  if (names.length > 0) complain('DATA_COLUMN_IGNORED', `columns that are not used: ${names.slice(0, 20).join(', ')}.`);
}

function readOptions({ shape, roles }: CheckOptions, own: Readonly<Record<string, Role>>): ReadOptions {
  return { format: 'chat', shape, roles: { ...own, ...roles } };
}

/** @throws FILE_NOT_FOUND and all that reading throws: rows to test with are not what is checked */
async function readHeldOut({ heldOut = [], ...options }: CheckOptions): Promise<CheckRow[]> {
  const rows: CheckRow[] = [];
  const opened = openFiles(heldOut);
  for (const path of opened.paths) {
    const { records, roles } = opened.open(path);
    for await (const record of records) {
      if ((rows.length & 1023) === 0) options.signal?.throwIfAborted();
      if ('code' in record)
        throw new TunesmithError(record.code, { message: record.message, file: path, line: record.line });
      const at = { source: { file: path, line: record.line }, index: rows.length };
      rows.push(readCheckRow(record.value, at, readOptions(options, roles), () => undefined).row);
    }
  }
  return rows;
}

/** Where rows stand, in few bytes each. */
interface Sources {
  push(source: RowSource): number;
  of(index: number): RowSource;
  count(): number;
}

function createSources(): Sources {
  const starts: { from: number; file: string }[] = [];
  const lines: number[] = [];
  return {
    push({ file, line }) {
      if (starts.at(-1)?.file !== file) starts.push({ from: lines.length, file });
      return lines.push(line) - 1;
    },
    of(index) {
      const start = starts.findLast(({ from }) => from <= index)!;
      return { file: start.file, line: lines[index]! };
    },
    count: () => lines.length,
  };
}

interface Findings {
  add(
    code: ErrorCode,
    severity: CheckSeverity,
    found: Found,
    at: { readonly file: string; readonly line?: number | undefined },
  ): void;
  groups(): CheckGroup[];
}

function createFindings(allow: readonly string[]): Findings {
  const allowed = new Set(allow);
  const groups = new Map<string, CheckGroup & { count: number; findings: CheckFinding[] }>();
  const told = new Map<ErrorCode, Set<string>>();
  return {
    add(code, own, found, { file, line }) {
      const places = told.get(code) ?? new Set<string>();
      told.set(code, places);
      // Two checks may see the same thing in one row; the first that speaks is the surer one.
      if (line !== undefined && places.size < MOST) {
        const place = `${file}:${line}`;
        if (places.has(place)) return;
        places.add(place);
      }
      const meant = found.severity ?? own;
      const severity = meant === 'error' && allowed.has(code) ? 'warning' : meant;
      const entry: CatalogueEntry = CATALOGUE[code];
      const key = `${code} ${severity}`;
      let group = groups.get(key);
      if (group === undefined) {
        group = { code, severity, count: 0, findings: [], rule: entry.rule, fix: found.fix ?? entry.fix };
        groups.set(key, group);
      }
      group.count++;
      if (group.findings.length >= MOST) return;
      const { message, related = [], quote, score } = found;
      const fix = (found.fix ?? entry.fix)?.replace(/\bFILE\b/, file);
      group.findings.push({ code, severity, file, line, message, fix, related, quote, score });
    },
    groups() {
      const rank = (g: CheckGroup) => SEVERITIES.indexOf(g.severity);
      return [...groups.values()].sort((a, b) => rank(a) - rank(b) || b.count - a.count);
    },
  };
}
