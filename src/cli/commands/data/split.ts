import { extname, join } from 'node:path';
import {
  assertNoErrors,
  assignParts,
  contentRow,
  formatFindings,
  openGroups,
  openRecordWriter,
  type ReadProgress,
  readRows,
} from '../../../data/index.ts';
import { TunesmithError } from '../../../errors/index.ts';
import { freeDiskBytes, makeFolder } from '../../../io/index.ts';
import { openScratch, SCRATCH_BUDGET, scratchFolder } from '../../../io/scratch.ts';
import { type Context, defineCommand } from '../../command.ts';
import { type ByteProgress, dataReading, openByteProgress, readOptions, requireFree, tellFormat } from '../../data.ts';
import { bytesText, countText, table } from '../../format.ts';
import { dataFiles } from '../../hub-data.ts';

const PARTS = ['train', 'valid', 'test'] as const;
type Part = (typeof PARTS)[number];

/** `tunesmith data split`. */
export const split = defineCommand({
  name: 'data split',
  summary:
    'Divides rows into train, valid and test, by the splitter of train: near-duplicates and rows with the same prompt stay together.',
  positionals: ['FILE...'],
  options: {
    out: { type: 'string', value: 'DIR', description: 'folder for train, valid and test', default: '.' },
    valid: { type: 'number', value: 'SHARE', description: 'share of the validation rows', default: '0.1' },
    test: { type: 'number', value: 'SHARE', description: 'share of the test rows', default: '0' },
    stratify: {
      type: 'string',
      value: 'COLUMN',
      description: 'each part gets its share of every value of this column',
    },
    group: { type: 'string', value: 'COLUMN', description: 'rows with the same value here stay together too' },
    seed: { type: 'integer', value: 'N', description: 'which rows go where', default: '0' },
    type: {
      type: 'string',
      choices: ['jsonl', 'json', 'csv', 'tsv', 'parquet'],
      description: 'the files to write (default: as the input)',
    },
    force: { type: 'boolean', description: 'overwrite what is there' },
    ...readOptions,
  },
  examples: [
    'data split rows.jsonl --valid 0.1 --test 0.1 --out parts',
    'data split tickets.csv --stratify label --out parts',
  ],
  notes: 'Rows keep their columns and their order. A column that --map renames has its new name.',
  async run({ options, positionals: names }, context) {
    const positionals = await dataFiles(names, context);
    const { terminal } = context;
    const shares = requireShares(options.valid ?? 0.1, options.test ?? 0);
    const reading = dataReading(options);
    const { groups, strata } = await readGroups(positionals, options, reading, context);
    const rows = groups.length;
    const wanted = { valid: Math.round(shares.valid * rows), test: Math.round(shares.test * rows) };
    const seed = options.seed ?? 0;
    const parts = assignParts(groups, wanted, seed, options.stratify === undefined ? undefined : strata);
    const partOf = (i: number): Part => parts[groups[i] ?? -1] ?? 'train';
    const sizes: Record<Part, number> = { train: 0, valid: 0, test: 0 };
    for (const i of groups.keys()) sizes[partOf(i)]++;
    const count = groups.reduce((most, group) => Math.max(most, group + 1), 0);
    requireFilled(sizes, { train: 1, ...shares }, count);
    const files = partFiles(sizes, options, positionals);
    await writeParts(positionals, reading, files, partOf, context);
    terminal.emit({ type: 'split', files, rows: sizes, groups: count, seed });
    const lines = entriesOf(files).map(([part, file]) => {
      return [file, countText(sizes[part]), `${((100 * sizes[part]) / rows).toFixed(1)} %`];
    });
    terminal.print(table([['file', 'rows', 'share'], ...lines]));
    terminal.print(`${countText(count)} groups of rows that are alike or ask the same; each is in one part.`);
    return 0;
  },
});

interface Grouped {
  /** The group of each row. */
  readonly groups: Int32Array;
  /** The value of the column to stratify by, for each row. */
  readonly strata: readonly string[];
}

/** Bytes that are put aside for each byte of a file: word pairs, signatures and keys. */
const ASIDE = 1.5;

/** Reads all rows once, and keeps none. @throws the first error among what is wrong with them; DISK_FULL */
async function readGroups(
  files: readonly string[],
  { stratify, group }: { readonly stratify?: string; readonly group?: string },
  { options, log }: ReturnType<typeof dataReading>,
  { terminal, signal }: Context,
): Promise<Grouped> {
  const progress = openByteProgress(terminal, 'reading');
  const scratch = openScratch();
  const groups = openGroups(scratch);
  const strata: string[] = [];
  const names = new Map<string, string>();
  let isSpaceTold = false;
  const onProgress = (drawn: ReadProgress) => {
    if (!isSpaceTold) tellSpace(drawn.total * ASIDE, progress);
    isSpaceTold = true;
    progress.update(drawn);
  };
  try {
    const events = { log, onFormat: tellFormat(terminal), onProgress };
    for await (const { content, source, fields } of readRows(files, options, events)) {
      signal.throwIfAborted();
      groups.add(contentRow(content, source), group === undefined ? undefined : cellOf(fields, group, source));
      if (stratify === undefined) continue;
      const name = cellOf(fields, stratify, source);
      if (!names.has(name)) names.set(name, name);
      strata.push(names.get(name)!);
    }
    const findings = log.groups();
    if (findings.length > 0) terminal.say(formatFindings(findings));
    assertNoErrors(findings);
    return { groups: groups.finish(), strata };
  } finally {
    progress.stop();
    scratch.close();
  }
}

/** Says how much room the comparison takes where it does not fit into memory. @throws DISK_FULL */
function tellSpace(bytes: number, progress: ByteProgress): void {
  if (bytes < SCRATCH_BUDGET) return;
  const free = freeDiskBytes(scratchFolder());
  progress.tellSpace({ bytes, folder: scratchFolder(), free });
  if (bytes < free) return;
  const message = `${bytesText(bytes)} are put aside while so many rows are compared, and ${bytesText(free)} are free.`;
  throw new TunesmithError('DISK_FULL', { message, file: scratchFolder() });
}

type Files = Readonly<Partial<Record<Part, string>>>;

function entriesOf(files: Files): [Part, string][] {
  return Object.entries(files) as [Part, string][];
}

/** @throws DATA_SPLIT_TOO_SMALL if a part that was asked for has no row */
function requireFilled(sizes: Record<Part, number>, shares: Record<Part, number>, groups: number): void {
  const empty = PARTS.find((part) => shares[part] > 0 && sizes[part] === 0);
  if (empty === undefined) return;
  const rows = sizes.train + sizes.valid + sizes.test;
  const message = `${empty} would have no row: ${groups} groups of rows that are alike among ${rows} rows.`;
  throw new TunesmithError('DATA_SPLIT_TOO_SMALL', { message, fix: 'give other shares.' });
}

function partFiles(
  sizes: Record<Part, number>,
  { out = '.', type, force }: { readonly out?: string; readonly type?: string; readonly force?: boolean },
  inputs: readonly string[],
): Files {
  makeFolder(out);
  const extension = type ?? typeOf(inputs[0]);
  const filled = PARTS.filter((part) => sizes[part] > 0);
  const files: Files = Object.fromEntries(filled.map((part) => [part, join(out, `${part}.${extension}`)]));
  for (const [, file] of entriesOf(files)) requireFree(file, force, inputs);
  return files;
}

async function writeParts(
  inputs: readonly string[],
  { options, log }: ReturnType<typeof dataReading>,
  files: Files,
  partOf: (i: number) => Part,
  { terminal, signal }: Context,
): Promise<void> {
  const progress = openByteProgress(terminal, 'writing', 'finishing');
  const writers = new Map(entriesOf(files).map(([part, file]) => [part, openRecordWriter(file)]));
  try {
    let i = 0;
    for await (const { fields } of readRows(inputs, options, { log, onProgress: progress.update })) {
      signal.throwIfAborted();
      writers.get(partOf(i++))?.write(fields);
    }
    for (const writer of writers.values()) writer.commit();
  } finally {
    progress.stop();
    for (const writer of writers.values()) writer.discard();
  }
}

function requireShares(valid: number, test: number): Record<'valid' | 'test', number> {
  if (valid >= 0 && test >= 0 && valid + test > 0 && valid + test < 1) return { valid, test };
  throw new TunesmithError('CLI_OPTION_VALUE', {
    message: '--valid and --test are shares of at least 0, together between 0 and 1.',
  });
}

function typeOf(file: string | undefined): string {
  const type = extname((file ?? '').replace(/\.gz$/i, ''))
    .slice(1)
    .toLowerCase();
  return ['json', 'csv', 'tsv', 'parquet'].includes(type) ? type : 'jsonl';
}

function cellOf(
  fields: Readonly<Record<string, unknown>>,
  column: string,
  source: { file: string; line: number },
): string {
  const value = fields[column];
  if (value === undefined) {
    const fix = `take one of ${Object.keys(fields).join(', ')}`;
    throw new TunesmithError('DATA_COLUMN_MISSING', { ...source, message: `has no column ${column}.`, fix });
  }
  return JSON.stringify(value);
}
