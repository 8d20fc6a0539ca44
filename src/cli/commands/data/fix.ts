import { resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import {
  type CheckReport,
  checkFiles,
  fixFile,
  fixLogText,
  type PersonalMode,
  type Pseudonyms,
  parseFixLog,
  undoFix,
} from '../../../data/check/index.ts';
import { type ErrorCode, TunesmithError } from '../../../errors/index.ts';
import { fileExists, readJson, readText, sha256File, writeAtomic } from '../../../io/index.ts';
import { type Context, defineCommand, type Values } from '../../command.ts';
import { openByteProgress, outOptions, requireFree, requireOut } from '../../data.ts';
import { countText } from '../../format.ts';

const options = {
  ...outOptions,
  pii: {
    type: 'string',
    choices: ['redact', 'pseudonymise'],
    description: 'personal data: take it out for good, or put names that the key file turns back',
  },
  key: { type: 'string', value: 'FILE', description: 'the key file of --pii pseudonymise: made, or added to' },
  log: { type: 'string', value: 'FILE', description: 'where the log goes', default: 'OUT.log.jsonl' },
  undo: { type: 'string', value: 'LOG', description: 'write the rows to --out as they were before this log' },
  yes: { type: 'boolean', description: 'leave out all rows that cannot be mended, without asking' },
} as const;

type Flags = Values<typeof options>;

/** Codes of rows that can only be left out, and are asked about. */
const DROPPED: readonly ErrorCode[] = [
  ...([
    'DATA_JSON',
    'FILE_NOT_UTF8',
    'DATA_SHAPE_UNKNOWN',
    'DATA_SHAPE_MIXED',
    'DATA_MESSAGE',
    'DATA_EMPTY_ANSWER',
  ] as const),
  ...(['DATA_EMPTY_TEXT', 'DATA_NO_ASSISTANT', 'DATA_NOTHING_SUPERVISED', 'DATA_ORDER', 'DATA_TOOL_CALL'] as const),
  ...([
    'DATA_SPECIAL_TOKEN',
    'DATA_DOUBLE_BOS',
    'DATA_SECRET',
    'DATA_PLACEHOLDER',
    'DATA_ECHO',
    'DATA_REFUSAL',
  ] as const),
  ...(['DATA_NEAR_DUPLICATE', 'DATA_ENCODING', 'DATA_REPETITION', 'DATA_TOXIC', 'DATA_BIAS'] as const),
];

/** `tunesmith data fix`. */
export const fix = defineCommand({
  name: 'data fix',
  summary: 'Writes a data file mended: copies left out, encodings and roles repaired, personal data replaced.',
  positionals: ['[FILE]'],
  options,
  examples: [
    'data fix support.jsonl --out clean.jsonl',
    'data fix support.jsonl --out clean.jsonl --pii pseudonymise --key names.json',
    'data fix --undo clean.jsonl.log.jsonl --out again.jsonl',
  ],
  notes: [
    'Done without asking: exact copies are left out, wrongly decoded text is decoded anew, control characters are taken out, and roles get',
    'our names. Rows that can only be left out are asked about, code by code; without a terminal they stay unless --yes is given.',
    'The file is never changed. The log holds each changed row as it was, so it is as private as the file; after --pii redact nothing',
    'brings personal data back, and after --pii pseudonymise only the key file does.',
  ].join('\n'),
  async run({ options: flags, positionals }, context) {
    if (flags.undo !== undefined) return undo(flags.undo, flags, positionals, context);
    const [file] = positionals;
    if (file === undefined)
      throw new TunesmithError('CLI_ARGUMENT', { message: 'no file is named.', fix: 'data fix FILE --out CLEAN' });
    const out = requireOut(flags.out, flags.force, [file]);
    const logFile = flags.log ?? `${out}.log.jsonl`;
    requireFree(logFile, flags.force, [file, out]);
    if (resolve(logFile) === resolve(out)) {
      throw new TunesmithError('CLI_OPTION_CONFLICT', { message: '--log and --out name one file.' });
    }
    const { personal, pseudonyms, key } = personalOf(flags, [file, out, logFile]);
    const drop = await chooseDrops(file, flags.yes === true, context);
    const result = await fixFile(file, { out, personal, pseudonyms, drop, signal: context.signal });
    if (key !== undefined && pseudonyms !== undefined) writeKey(key, pseudonyms);
    writeAtomic(logFile, fixLogText(result, await sha256File(out)));
    const { records, written } = result.head;
    const { terminal } = context;
    terminal.emit({
      type: 'fixed',
      file,
      out,
      log: logFile,
      records,
      written,
      counts: Object.fromEntries(result.counts),
    });
    for (const [code, count] of result.counts) terminal.print(`  ${code}: ${countText(count)} rows`);
    terminal.print(
      `${countText(records)} rows read, ${countText(written)} written to ${out}; what was done stands in ${logFile}.`,
    );
    return 0;
  },
});

function personalOf(flags: Flags, others: readonly string[]) {
  const personal = flags.pii as PersonalMode | undefined;
  const { key } = flags;
  if (personal === 'pseudonymise' && key === undefined) {
    throw new TunesmithError('CLI_ARGUMENT', { message: '--pii pseudonymise needs a key file.', fix: '--key FILE' });
  }
  if (personal !== 'pseudonymise' && key !== undefined) {
    throw new TunesmithError('CLI_OPTION_CONFLICT', {
      message: '--key goes with --pii pseudonymise, and with --undo.',
    });
  }
  if (key !== undefined && others.some((other) => resolve(other) === resolve(key))) {
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message: '--key names a file that is used otherwise.' });
  }
  const pseudonyms: Pseudonyms | undefined = key === undefined ? undefined : fileExists(key) ? readKey(key) : new Map();
  return { personal, pseudonyms, key };
}

/** @throws FILE_NOT_JSON, DATA_FIX_LOG */
function readKey(file: string): Pseudonyms {
  const value = readJson(file) as { readonly version?: unknown; readonly values?: unknown } | null;
  const values = value?.version === 1 ? value.values : undefined;
  if (typeof values !== 'object' || values === null || !Object.values(values).every((v) => typeof v === 'string')) {
    throw new TunesmithError('DATA_FIX_LOG', { message: 'is no key file of data fix.', file });
  }
  return new Map(Object.entries(values as Record<string, string>));
}

function writeKey(file: string, pseudonyms: Pseudonyms): void {
  writeAtomic(file, `${JSON.stringify({ version: 1, values: Object.fromEntries(pseudonyms) }, null, 2)}\n`);
}

/** Lines to leave out: asked about code by code where a person is there. */
async function chooseDrops(
  file: string,
  yes: boolean,
  { terminal, signal }: Context,
): Promise<ReadonlyMap<number, ErrorCode>> {
  const progress = openByteProgress(terminal, 'checking');
  let report: CheckReport;
  try {
    report = await checkFiles([file], { signal, onProgress: progress.update, onSpace: progress.tellSpace });
  } finally {
    progress.stop();
  }
  const drops = new Map<number, ErrorCode>();
  const isAsking = !yes && process.stdin.isTTY === true && !terminal.quiet;
  const input = isAsking ? createInterface({ input: process.stdin, output: process.stderr }) : undefined;
  try {
    for (const group of droppable(report)) {
      const { code, count, findings } = group;
      const what = `${code}: ${countText(count)} rows, such as line ${findings[0]!.line}: ${findings[0]!.message}`;
      const answer =
        input === undefined ? (yes ? 'y' : 'n') : await input.question(`${what}\nLeave them out? [y/N] `, { signal });
      if (/^y/i.test(answer.trim())) for (const { line } of findings) if (line !== undefined) drops.set(line, code);
      if (input === undefined && !yes) terminal.say(`${what} They stay: --yes leaves them out.`);
    }
  } finally {
    input?.close();
  }
  return drops;
}

function droppable({ groups }: CheckReport) {
  return groups.filter(
    ({ code, severity }) => DROPPED.includes(code) && (severity === 'error' || severity === 'warning'),
  );
}

async function undo(log: string, flags: Flags, positionals: readonly string[], context: Context): Promise<number> {
  if (positionals.length > 0 || flags.pii !== undefined || flags.log !== undefined) {
    throw new TunesmithError('CLI_OPTION_CONFLICT', {
      message: '--undo takes --out, and --key where personal data has pseudonyms.',
    });
  }
  const parsed = parseFixLog(readText(log), log);
  const source = parsed.head.out;
  const out = requireOut(flags.out, flags.force, [log, source]);
  if ((await sha256File(source)) !== parsed.head.sha256) {
    throw new TunesmithError('DATA_FIX_LOG', { message: 'has changed since the log was written.', file: source });
  }
  const pseudonyms = flags.key === undefined ? undefined : readKey(flags.key);
  const { restored, lost } = await undoFix(parsed, { source, out, pseudonyms });
  const { terminal } = context;
  terminal.emit({ type: 'undone', out, restored, lost });
  terminal.print(`${countText(restored)} rows are again what they were, in ${out}.`);
  if (lost > 0)
    terminal.print(
      `${countText(lost)} lines that could not be read were not kept by the log: they stand in ${parsed.head.file}.`,
    );
  return 0;
}
