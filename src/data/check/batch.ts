import type { ErrorCode } from '../../errors/index.ts';
import { isRecord } from '../../io/json-checks.ts';
import { linesIn } from '../../io/lines.ts';
import type { Role } from '../../text/messages.ts';
import { type ColumnMap, openMapper } from '../columns.ts';
import { type FileNotes, readDatasetInfo } from '../formats/dataset-info.ts';
import { ignoredColumns } from '../normalise.ts';
import { lineRecord } from '../read-json.ts';
import type { RawRecord } from '../records.ts';
import type { Row, RowSource } from '../row.ts';
import type { Fields, RowShape } from '../shapes.ts';
import { type Notes, type NoteWriter, writeNotes } from './notes.ts';
import { type ReadRow, readCheckRow } from './row.ts';
import { rowChecks } from './row-checks.ts';
import { corpusChecks, readingSeverity } from './table.ts';
import type { CheckRow, CheckSeverity, Found, Noter, RowCheck } from './types.ts';

/** What every thread is told. */
export interface BatchInit {
  readonly roles?: Readonly<Record<string, Role>> | undefined;
  readonly map?: ColumnMap | undefined;
  readonly shape?: RowShape | undefined;
  readonly labels?: boolean | undefined;
  readonly heldOut: readonly CheckRow[];
}

/** Rows of a file, as bytes of whole lines or as records; or the end, at which counts are handed over. */
export type BatchTask =
  | { readonly kind: 'lines'; readonly file: string; readonly line: number; readonly bytes: Uint8Array }
  | { readonly kind: 'records'; readonly file: string; readonly records: readonly RawRecord[] }
  | { readonly kind: 'counts' };

/** Something that was found in one row of a batch. */
export interface BatchFinding {
  /** The row's number in the batch, or how many were before it where it is none. */
  readonly row: number;
  readonly line: number;
  readonly code: ErrorCode;
  readonly severity: CheckSeverity;
  readonly found: Found;
}

/** What a thread says about a batch. */
export interface BatchResult extends Notes {
  readonly records: number;
  /** Rows, which are the records that could be read. Their notes begin with line, shape, length and label. */
  readonly rows: number;
  readonly findings: readonly BatchFinding[];
  /** Columns that nothing reads, by the first row that has a shape. */
  readonly ignored: { readonly row: number; readonly line: number; readonly names: readonly string[] } | undefined;
  /** Columns that were met, where some are to be renamed. */
  readonly columns: readonly string[];
  /** What each check over all rows counted; with the last task only. */
  readonly counts: readonly (Uint32Array | undefined)[];
}

/** Shapes by their number in notes. */
export const NOTED_SHAPES = [
  ...['messages', 'conversations', 'alpaca', 'prompt/completion', 'prompt/response'],
  ...['question/answer', 'input/output', 'text', 'input_ids', 'preference'],
] as const;

/** Looks at a row that can be trained with the model that will train on it. */
export type Inspect = (row: Row) => Iterable<Found & { readonly code: ErrorCode }>;

interface State {
  readonly init: BatchInit;
  readonly inspect: Inspect | undefined;
  readonly out: NoteWriter;
  readonly finders: readonly RowCheck[];
  readonly noters: readonly Noter[];
  findings: BatchFinding[];
  ignored: BatchResult['ignored'];
  rows: number;
}

/** Opens what looks at rows, one batch after the other, in whatever thread. */
export function openBatches(init: BatchInit, inspect?: Inspect): (task: BatchTask) => BatchResult {
  const mapper = openMapper(init.map ?? {});
  const notes = new Map<string, FileNotes | undefined>();
  const state: State = {
    ...{ init, inspect, out: writeNotes(), findings: [], ignored: undefined, rows: 0 },
    finders: rowChecks(),
    noters: corpusChecks(init.heldOut.length > 0).map((check) => check.noter(init.heldOut)),
  };
  const notesOf = (file: string) => {
    if (!notes.has(file)) notes.set(file, readDatasetInfo(file));
    return notes.get(file);
  };
  return (task) => {
    Object.assign(state, { findings: [], ignored: undefined, rows: 0 });
    let records = 0;
    if (task.kind !== 'counts') {
      const own = notesOf(task.file);
      const roles = { ...own?.roles, ...init.roles };
      for (const record of recordsOf(task)) {
        records++;
        const isRead = task.kind === 'lines' && 'value' in record && isRecord(record.value);
        // Records that come as such have been renamed where they were read.
        const value = isRead
          ? mapper.apply(own === undefined ? (record.value as Fields) : own.apply(record.value as Fields))
          : undefined;
        checkRecord(isRead ? { line: record.line, value } : record, { file: task.file, roles }, state);
      }
    }
    return {
      ...state.out.take(),
      ...{ records, rows: state.rows, findings: state.findings, ignored: state.ignored },
      columns: mapper.seen(),
      counts: task.kind === 'counts' ? state.noters.map((noter) => noter.counts) : [],
    };
  };
}

function* recordsOf(task: Exclude<BatchTask, { kind: 'counts' }>): Iterable<RawRecord> {
  if (task.kind === 'records') return yield* task.records;
  const { bytes, line } = task;
  for (const text of linesIn({ line, bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) })) {
    const record = lineRecord(text);
    if (record !== undefined) yield record;
  }
}

interface Place {
  readonly file: string;
  readonly roles: Readonly<Record<string, Role>>;
}

function checkRecord(record: RawRecord, { file, roles }: Place, state: State): void {
  const { init, inspect } = state;
  const { line } = record;
  const tell = (code: ErrorCode, severity: CheckSeverity, found: Found) =>
    state.findings.push({ row: state.rows, line, code, severity, found });
  if ('code' in record) {
    tell(record.code, 'error', { message: record.message });
    return;
  }
  const source: RowSource = { file, line };
  const complain = (code: ErrorCode, message: string, fix?: string) =>
    tell(code, readingSeverity(code), { message, fix });
  const read = readCheckRow(record.value, source, { format: 'chat', shape: init.shape, roles }, complain);
  noteRow(read, line, state);
  const { shape, row, trained } = read;
  if (shape !== undefined && shape !== 'preference') {
    state.ignored ??= { row: state.rows, line, names: ignoredColumns(record.value as Fields, shape) };
  }
  findInRow(row, state, tell);
  if (init.labels === true && shape !== undefined && row.label === undefined) complain('DATA_LABEL', 'has no label.');
  if (trained !== undefined && inspect !== undefined) {
    for (const { code, ...found } of inspect(trained)) tell(code, readingSeverity(code), found);
  }
  state.rows++;
}

function noteRow({ shape, row }: ReadRow, line: number, { out, noters }: State): void {
  out.int(line);
  out.int(shape === undefined ? -1 : NOTED_SHAPES.indexOf(shape));
  out.int(row.answer.length || row.prompt.length);
  out.int(row.label === undefined ? 0 : 1);
  if (row.label !== undefined) out.text(row.label);
  for (const noter of noters) noter.note(row, out);
}

function findInRow(
  row: CheckRow,
  { finders }: State,
  tell: (code: ErrorCode, severity: CheckSeverity, found: Found) => void,
): void {
  const founds = finders.flatMap((check) => {
    const found = check.find(row);
    return found === undefined ? [] : [{ check, found }];
  });
  // Where a row holds a secret, only the check that masks it quotes the row.
  const isSecret = founds.some(({ check }) => check.code === 'DATA_SECRET');
  for (const { check, found } of founds) {
    const told = isSecret && check.code !== 'DATA_SECRET' ? { ...found, quote: undefined } : found;
    tell(check.code, check.severity, told);
  }
}
