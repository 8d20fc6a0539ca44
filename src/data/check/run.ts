import { TunesmithError } from '../../errors/index.ts';
import { fileExists, fileSize, freeDiskBytes } from '../../io/files.ts';
import { openScratch, SCRATCH_BUDGET, scratchFolder } from '../../io/scratch.ts';
import type { Role } from '../../text/messages.ts';
import type { ColumnMap } from '../columns.ts';
import { type OpenedFile, type OpenedFiles, openFiles } from '../open-files.ts';
import type { RowShape } from '../shapes.ts';
import { type BatchFinding, type BatchResult, type Inspect, NOTED_SHAPES } from './batch.ts';
import { suspects } from './deep/suspects.ts';
import { type CheckGroup, type Findings, gatherFindings, openSources, type Sources } from './gathered.ts';
import { openSketches } from './near.ts';
import { type NoteReader, openBits, readNotes } from './notes.ts';
import { readCheckRows } from './rows.ts';
import { lineBatches, openShare, recordBatches, type Share } from './share.ts';
import { corpusChecks, readingSeverity } from './table.ts';
import type { CheckRow, Collector, Corpus, Placed } from './types.ts';

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
  readonly inspect?: Inspect | undefined;
  /** What is found by other means once all rows are read: by a model, or in a run. With it comes the queue of rows that people should look at. */
  readonly evidence?: (() => AsyncIterable<Placed>) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called now and then while files are read, and once when all are. */
  readonly onProgress?: ((progress: CheckProgress) => void) | undefined;
  /** Called before what is put aside goes to the disk. */
  readonly onSpace?:
    | ((space: { readonly bytes: number; readonly folder: string; readonly free: number }) => void)
    | undefined;
  /** Threads that look at rows; 0 for none but this one. As many as there are processors where files are large, if not given. */
  readonly threads?: number | undefined;
  /** Bytes that are put aside in memory before they go to the disk. */
  readonly budget?: number | undefined;
}

/** How far a check is: rows, and bytes of the files on the disk. */
export interface CheckProgress {
  readonly rows: number;
  readonly bytes: number;
  readonly total: number;
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
 * Reads all rows once and looks for everything that the table of checks names. Rows are not kept; what is kept of each goes to the disk where
 * it grows large. Large files are divided among threads; what comes out is the same.
 *
 * @throws FILE_NOT_FOUND, DATA_FILE_TYPE, DISK_FULL; whatever else is wrong with a file is a finding
 */
export async function checkFiles(files: readonly string[], options: CheckOptions = {}): Promise<CheckReport> {
  const heldOut = await readHeldOut(options);
  const opened = openFiles(files, options);
  const bytes = opened.paths.reduce((sum, path) => sum + (fileExists(path) ? fileSize(path) : 0), 0);
  const { roles, map, shape, labels, inspect, threads, budget = SCRATCH_BUDGET } = options;
  const scratch = openScratch(budget);
  const share = openShare({ roles, map, shape, labels, heldOut }, { bytes, threads, inspect });
  try {
    const sources = openSources();
    const sketches = openSketches(scratch);
    const corpus: Corpus = { scratch, sourceOf: sources.of, copies: openBits(), sketches, heldOut };
    const run: Run = {
      ...{ options, opened, share, sources, total: bytes, budget, before: 0, noted: 0, isSpaceTold: false },
      findings: gatherFindings(options.allow ?? []),
      collectors: corpusChecks(heldOut.length > 0).map((check) => check.collector(corpus)),
      lengths: [],
      labels: new Map(),
    };
    const read: FileState[] = [];
    for (const path of opened.paths) read.push(await checkFile(opened.open(path), run));
    options.onProgress?.({ rows: sources.count(), bytes, total: bytes });
    opened.finish();
    await finish(run, read[0]?.path ?? '');
    const told = read.map(({ path, rows, shape: found }) => ({ path, rows, shape: found }));
    return {
      rows: sources.count(),
      files: told,
      groups: run.findings.groups(),
      lengths: run.lengths,
      labels: run.labels,
    };
  } finally {
    await share.close();
    scratch.close();
  }
}

interface Run {
  readonly options: CheckOptions;
  readonly opened: OpenedFiles;
  readonly share: Share;
  readonly sources: Sources;
  readonly findings: Findings;
  readonly collectors: readonly Collector[];
  readonly lengths: number[];
  readonly labels: Map<string, number>;
  readonly total: number;
  readonly budget: number;
  /** Bytes of the files before the one at hand. */
  before: number;
  /** Bytes of what was noted of the rows. */
  noted: number;
  isSpaceTold: boolean;
}

interface FileState {
  readonly path: string;
  rows: number;
  records: number;
  shape: string | undefined;
  shapeLine: number;
  isIgnoredTold: boolean;
}

async function checkFile(source: OpenedFile, run: Run): Promise<FileState> {
  const { path, records, blocks } = source;
  const { share, findings } = run;
  const file: FileState = { path, rows: 0, records: 0, shape: undefined, shapeLine: 0, isIgnoredTold: false };
  const waiting: (BatchResult | Promise<BatchResult>)[] = [];
  const gatherOne = async () => {
    run.options.signal?.throwIfAborted();
    gather(await waiting.shift()!, file, run);
    const bytes = run.before + source.drawn();
    tellSpace(run, source.drawn());
    run.options.onProgress?.({ rows: run.sources.count(), bytes, total: run.total });
  };
  try {
    for await (const task of blocks === undefined ? recordBatches(path, records) : lineBatches(path, blocks)) {
      waiting.push(share.run(task));
      if (waiting.length >= share.size) await gatherOne();
    }
    while (waiting.length > 0) await gatherOne();
  } catch (error) {
    while (waiting.length > 0) await gatherOne();
    if (!(error instanceof TunesmithError) || error.code === 'FILE_NOT_FOUND' || error.code === 'DISK_FULL')
      throw error;
    const { message, line, fix } = error.details;
    findings.add(error.code, 'error', { message, fix }, { file: path, line });
    file.records++;
  }
  if (file.records === 0) findings.add('DATA_EMPTY_FILE', 'error', { message: 'holds no rows.' }, { file: path });
  run.before += source.drawn();
  return file;
}

/** Takes in what was found in a batch, in the order of the rows. */
function gather(batch: BatchResult, file: FileState, run: Run): void {
  const { findings, sources, opened } = run;
  const note = readNotes(batch);
  const tell = ({ code, severity, found, line }: BatchFinding) =>
    findings.add(code, severity, found, { file: file.path, line });
  let next = 0;
  for (let row = 0; row < batch.rows; row++) {
    const line = note.int();
    const index = sources.push({ file: file.path, line });
    for (; (batch.findings[next]?.row ?? batch.rows) <= row; next++) tell(batch.findings[next]!);
    gatherShape(note.int(), line, file, findings);
    gatherFigures(note, run);
    for (const collector of run.collectors) collector.take(note, index);
  }
  for (; next < batch.findings.length; next++) tell(batch.findings[next]!);
  if (batch.ignored !== undefined) tellIgnored(batch.ignored, file, findings);
  opened.meet(batch.columns);
  if (!run.isSpaceTold) run.noted += batch.numbers.byteLength + batch.texts.reduce((sum, text) => sum + text.length, 0);
  file.rows += batch.rows;
  file.records += batch.records;
}

function gatherShape(number: number, line: number, file: FileState, findings: Findings): void {
  const shape = NOTED_SHAPES[number];
  if (shape === undefined || shape === file.shape) return;
  if (file.shape === undefined) {
    Object.assign(file, { shape, shapeLine: line });
    return;
  }
  const message = `has the shape ${shape}, but line ${file.shapeLine} has ${file.shape}.`;
  findings.add('DATA_SHAPE_MIXED', readingSeverity('DATA_SHAPE_MIXED'), { message }, { file: file.path, line });
}

/** Labels whose rows are counted. */
const MOST_LABELS = 10_000;

function gatherFigures(note: NoteReader, { lengths, labels }: Run): void {
  const said = note.int();
  const bin = said <= 1 ? 0 : Math.ceil(Math.log2(said));
  while (lengths.length <= bin) lengths.push(0);
  lengths[bin]!++;
  if (note.int() === 0) return;
  const label = note.text();
  if (labels.has(label) || labels.size < MOST_LABELS) labels.set(label, (labels.get(label) ?? 0) + 1);
}

/** Columns that are read as labels are used here, though only classifiers train on them. */
const READ_HERE: readonly string[] = ['label', 'labels', 'category', 'intent', 'class', 'sentiment', 'topic'];

function tellIgnored(ignored: NonNullable<BatchResult['ignored']>, file: FileState, findings: Findings): void {
  if (file.isIgnoredTold) return;
  file.isIgnoredTold = true;
  const names = ignored.names.filter((name) => !READ_HERE.includes(name));
  if (names.length === 0) return;
  const message = `columns that are not used: ${names.slice(0, 20).join(', ')}.`;
  const at = { file: file.path, line: ignored.line };
  findings.add('DATA_COLUMN_IGNORED', readingSeverity('DATA_COLUMN_IGNORED'), { message }, at);
}

/** Bytes that a row takes beside what is noted of it: keys of near-duplicates, and places. */
const ROW_BYTES = 220;
/** Rows by which the others are judged. */
const JUDGED = 1000;

/** Says how much space the rest will take on the disk, once enough is known. @throws DISK_FULL if there is not as much */
function tellSpace(run: Run, drawn: number): void {
  const { sources, total, before, budget, options } = run;
  if (run.isSpaceTold || sources.count() < JUDGED) return;
  run.isSpaceTold = true;
  const rows = (sources.count() * total) / Math.max(1, before + drawn);
  const bytes = rows * (ROW_BYTES + run.noted / sources.count());
  if (bytes < budget) return;
  const free = freeDiskBytes(scratchFolder());
  options.onSpace?.({ bytes, folder: scratchFolder(), free });
  if (bytes < free) return;
  const message = `${(bytes / 1e9).toFixed(1)} GB are put aside while so many rows are compared, and ${(free / 1e9).toFixed(1)} GB are free.`;
  throw new TunesmithError('DISK_FULL', { message, file: scratchFolder() });
}

function addTo(counts: Uint32Array, more: Uint32Array | undefined): void {
  for (let i = 0; more !== undefined && i < counts.length; i++) counts[i]! += more[i]!;
}

/** Lets the checks over all rows say what they found. */
async function finish({ share, collectors, findings, options }: Run, file: string): Promise<void> {
  const add = ({ code, severity, source, ...found }: Placed) => findings.add(code, severity, found, source ?? { file });
  const threads = (await share.counts()).map((result) => result.counts);
  for (const [k, collector] of collectors.entries()) {
    const counts = new Uint32Array(threads[0]?.[k]?.length ?? 0);
    for (const own of threads) addTo(counts, own[k]);
    for (const placed of collector.finish(counts)) {
      options.signal?.throwIfAborted();
      add(placed);
    }
    await new Promise(setImmediate);
  }
  if (options.evidence === undefined) return;
  for await (const placed of options.evidence()) add(placed);
  for (const placed of suspects(findings.groups())) add(placed);
}

/** @throws FILE_NOT_FOUND and all that reading throws: rows to test with are not what is checked */
async function readHeldOut({ heldOut = [], shape, roles, signal }: CheckOptions): Promise<CheckRow[]> {
  const rows: CheckRow[] = [];
  for await (const { row } of readCheckRows(heldOut, { shape, roles, signal }, 'error')) rows.push(row);
  return rows;
}
