import {
  assertNoErrors,
  type Fields,
  FORMATS,
  type Format,
  formatFindings,
  type MixPlan,
  mixCounts,
  mixOrder,
  mixTimes,
  openRecordWriter,
  type ReadProgress,
  readRows,
  writeContent,
} from '../../../data/index.ts';
import { TunesmithError } from '../../../errors/index.ts';
import { fileSize } from '../../../io/index.ts';
import { type Context, defineCommand, type Values } from '../../command.ts';
import {
  dataReading,
  openByteProgress,
  openCountProgress,
  outOptions,
  readOptions,
  requireOut,
  tellFormat,
} from '../../data.ts';
import { countText, table } from '../../format.ts';
import { dataSources } from '../../hub-data.ts';

const options = {
  ...outOptions,
  weights: { type: 'string', value: 'W,W,...', description: 'shares of the mixture, one for each file' },
  temperature: {
    type: 'number',
    value: 'T',
    description: 'weights are sizes to the power of 1/T: above 1 small files count more',
  },
  epochs: { type: 'string', value: 'N,N,...', description: 'passes over each file, such as 1,0.25' },
  rows: {
    type: 'integer',
    value: 'N',
    description: 'with --weights or --temperature: rows to write (default: until a file would repeat)',
  },
  to: { type: 'string', choices: FORMATS, description: 'the format to write (default: that of the files)' },
  seed: { type: 'integer', value: 'N', description: 'which rows, and their order', default: '0' },
  ...readOptions,
} as const;

type Flags = Values<typeof options>;

/** `tunesmith data mix`. */
export const mix = defineCommand({
  name: 'data mix',
  summary: 'Mixes data sets: each file (or folder, or pattern) is one source. Rows of the sources are spread evenly.',
  positionals: ['FILE...'],
  options,
  examples: [
    'data mix support.jsonl general.jsonl --weights 0.8,0.2 --out train.jsonl',
    'data mix *.jsonl --temperature 2 --rows 10000 --out train.jsonl',
    'data mix new.jsonl replay.jsonl --epochs 2,0.1 --out train.jsonl',
  ],
  async run({ options, positionals }, context) {
    const { terminal, signal } = context;
    const out = requireOut(options.out, options.force, positionals);
    const plan = planOf(options, positionals.length);
    const reading = dataReading(options);
    const files = await dataSources(positionals, context);
    const sizes = await countRows(files, options, reading, context);
    const findings = reading.log.groups();
    if (findings.length > 0) terminal.say(formatFindings(findings));
    assertNoErrors(findings);
    const seed = options.seed ?? 0;
    const counts = mixCounts(sizes, plan);
    const empty = counts.findIndex((n, i) => n > 0 && sizes[i] === 0);
    if (empty >= 0)
      throw new TunesmithError('DATA_EMPTY_FILE', { message: 'holds no rows to take.', file: positionals[empty]! });
    const sources = files.map((own, i) =>
      rowsOf(own, mixTimes(sizes[i] ?? 0, counts[i] ?? 0, seed, i), options, reading),
    );
    const writer = openRecordWriter(out);
    const mixed = counts.reduce((a, b) => a + b, 0);
    const progress = openCountProgress(terminal, 'mixing', mixed);
    try {
      for (const source of mixOrder(counts, seed)) {
        signal.throwIfAborted();
        progress.next();
        const next = await sources[source]?.next();
        if (next === undefined || next.done === true) throw new Error('internal: a source has fewer rows than it had');
        for (const record of next.value) writer.write(record);
      }
      writer.commit();
    } finally {
      progress.stop();
      writer.discard();
    }
    const parts = positionals.map((file, i) => {
      const [size, taken] = [sizes[i] ?? 0, counts[i] ?? 0];
      return { file, rows: size, taken, share: taken / Math.max(1, mixed), epochs: taken / Math.max(1, size) };
    });
    terminal.emit({ type: 'mixed', out, rows: mixed, seed, sources: parts });
    const lines = parts.map((p) => [
      p.file,
      countText(p.rows),
      countText(p.taken),
      p.share.toFixed(3),
      p.epochs.toFixed(2),
    ]);
    terminal.print(table([['source', 'rows', 'taken', 'share', 'epochs'], ...lines]));
    terminal.print(`${countText(mixed)} rows to ${out}.`);
    return 0;
  },
});

type Reading = ReturnType<typeof dataReading>;

async function countRows(
  files: readonly (readonly string[])[],
  flags: Flags,
  { options, log }: Reading,
  { terminal, signal }: Context,
) {
  const progress = openByteProgress(terminal, 'counting', 'mixing');
  const total = files.flat().reduce((sum, file) => sum + fileSize(file), 0);
  let [before, bytes, rows] = [0, 0, 0];
  const onProgress = (drawn: ReadProgress) => {
    bytes = drawn.bytes;
    progress.update({ rows: rows + drawn.rows, bytes: before + bytes, total });
  };
  const sizes: number[] = [];
  let first: { readonly format: Format; readonly path: string } | undefined;
  const onFormat = (found: Parameters<ReturnType<typeof tellFormat>>[0]) => {
    tellFormat(terminal)(found);
    first ??= found;
    if (flags.to !== undefined || found.format === first.format) return;
    const message = `is ${found.format}, and ${first.path} is ${first.format}.`;
    throw new TunesmithError('DATA_SHAPE_MIXED', { message, file: found.path, fix: '--to FORMAT writes both as one' });
  };
  try {
    for (const file of files) {
      let own = 0;
      for await (const { content, source } of readRows(file, options, { log, onFormat, onProgress })) {
        signal.throwIfAborted();
        own++;
        const written = flags.to === undefined ? undefined : writeContent(content, flags.to as Format);
        if (written !== undefined && written.records === undefined) {
          own--;
          log.add({ code: 'DATA_NO_FORM', ...source, message: written.refused });
        }
      }
      sizes.push(own);
      before += bytes;
      rows += own;
    }
  } finally {
    progress.stop();
  }
  return sizes;
}

/** The rows of a source, each as often as it is taken; the file is read once for each pass over it. */
async function* rowsOf(
  file: readonly string[],
  times: Uint32Array,
  flags: Flags,
  { options, log }: Reading,
): AsyncGenerator<readonly Fields[]> {
  const passes = times.reduce((a, b) => Math.max(a, b), 0);
  for (let pass = 0; pass < passes; pass++) {
    let i = 0;
    for await (const { content, fields } of readRows(file, options, { log })) {
      const written = flags.to === undefined ? [fields] : writeContent(content, flags.to as Format).records;
      if (written === undefined) continue;
      if (times[i++]! > pass) yield written;
    }
  }
}

function planOf({ weights, temperature, epochs, rows }: Flags, files: number): MixPlan {
  const given = Object.entries({ weights, temperature, epochs }).filter(([, value]) => value !== undefined);
  if (given.length > 1) {
    const message = `--${given[0]?.[0]} and --${given[1]?.[0]} both say how much of each file is taken.`;
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message });
  }
  if (rows !== undefined && (weights ?? temperature) === undefined) {
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message: '--rows goes with --weights or --temperature.' });
  }
  if (rows !== undefined && rows < 1)
    throw new TunesmithError('CLI_OPTION_VALUE', { message: '--rows is at least 1.' });
  if (weights !== undefined) return { kind: 'weights', weights: numbers('weights', weights, files), rows };
  if (temperature !== undefined) {
    if (temperature > 0) return { kind: 'temperature', temperature, rows };
    throw new TunesmithError('CLI_OPTION_VALUE', { message: '--temperature is above 0.' });
  }
  return {
    kind: 'epochs',
    epochs: epochs === undefined ? new Array<number>(files).fill(1) : numbers('epochs', epochs, files),
  };
}

function numbers(option: string, text: string, files: number): number[] {
  const values = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  if (values.length === files && values.every((value) => value >= 0 && Number.isFinite(value))) return values;
  const message = `--${option} ${text} is not ${files} numbers, one for each of the ${files} sources.`;
  throw new TunesmithError('CLI_OPTION_VALUE', { message, fix: `--${option} ${new Array(files).fill('1').join(',')}` });
}
