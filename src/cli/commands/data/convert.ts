import { basename, dirname, extname, join } from 'node:path';
import { DATASET_INFO } from '../../../data/formats/dataset-info.ts';
import { datasetInfo } from '../../../data/formats/write-content.ts';
import {
  assertNoErrors,
  type Content,
  type FindingLog,
  FORMAT_NAMES,
  FORMATS,
  type Format,
  formatFindings,
  isKnownColumn,
  type JoinCounts,
  joinMessages,
  openRecordWriter,
  type ReadRow,
  readPairs,
  readRows,
  STRIPS,
  type Strip,
  writeContent,
} from '../../../data/index.ts';
import { TunesmithError } from '../../../errors/index.ts';
import { fileExists, readJson, writeAtomic } from '../../../io/index.ts';
import { ROLES, type Role } from '../../../text/index.ts';
import { type Context, defineCommand, type Values } from '../../command.ts';
import { dataReading, openByteProgress, outOptions, readOptions, requireOut, tellFormat } from '../../data.ts';
import { countText } from '../../format.ts';
import { dataFiles } from '../../hub-data.ts';

const options = {
  to: { type: 'string', choices: FORMATS, description: 'the format to write', default: 'openai' },
  ...outOptions,
  ...readOptions,
  role: {
    type: 'string',
    value: 'THEIRS=OURS|COLUMN',
    many: true,
    description: 'a role of the file, such as bot=assistant; with --group the column with the author',
  },
  map: {
    type: 'string',
    value: 'THEIRS=OURS,...',
    many: true,
    description: 'columns of the file as columns of ours; with --group authors as user, assistant, system or drop',
  },
  group: {
    type: 'string',
    value: 'COLUMN',
    description: 'rows are single messages: this column says of which conversation',
  },
  order: { type: 'string', value: 'COLUMN', description: 'with --group: numbers or dates that order the messages' },
  text: {
    type: 'string',
    value: 'COLUMN',
    description: 'with --group: what was written (default: content, text, ...)',
  },
  strip: { type: 'string', value: 'quotes,signatures', description: 'with --group: what is taken out of mails' },
} as const;

type Flags = Values<typeof options>;

/** `tunesmith data convert`. */
export const convert = defineCommand({
  name: 'data convert',
  summary: 'Writes data files in another format, or joins single messages to conversations.',
  positionals: ['FILE...'],
  options,
  examples: [
    'data convert alpaca.json --to openai --out chat.jsonl',
    'data convert faq.csv --map frage=question,antwort=answer --out faq.jsonl',
    'data convert tickets.csv --group conversation_id --order created_at --role author --map agent=assistant,customer=user --strip quotes,signatures --out tickets.jsonl',
  ],
  notes: [
    'FILE may be .jsonl, .json, .csv, .tsv, .parquet or .txt, packed or not, a folder or a pattern. Formats:',
    ...FORMATS.map((format) => `  ${format.padEnd(18)} ${FORMAT_NAMES[format]}`),
    'A row whose training the format cannot express is an error, which --allow DATA_NO_FORM turns into leaving it out.',
  ].join('\n'),
  async run({ options, positionals: names }, context) {
    const positionals = await dataFiles(names, context);
    const out = requireOut(options.out, options.force, positionals);
    const to = (options.to ?? 'openai') as Format;
    requireGroup(options);
    const reading = dataReading(options.group === undefined ? options : withoutJoin(options));
    const run = { out, to, log: reading.log, context };
    if (options.group === undefined) {
      const progress = openByteProgress(context.terminal, 'converting', 'finishing the file');
      const onFormat = tellFormat(context.terminal);
      const events = { log: reading.log, onFormat, onProgress: progress.update };
      try {
        await write(readRows(positionals, reading.options, events), run);
      } finally {
        progress.stop();
      }
      return 0;
    }
    const { conversations, counts } = await joinRows(positionals, options, reading.log);
    tellCounts(counts, context);
    await write(
      conversations.map(({ messages, source }) => ({ source, fields: {}, content: { kind: 'chat', messages } })),
      run,
    );
    return 0;
  },
});

/** With --group these two mean something else. */
function withoutJoin({ role: _, map: __, ...rest }: Flags): Flags {
  return rest;
}

function requireGroup(flags: Flags): void {
  const { group, format } = flags;
  const stray =
    group === undefined ? (['order', 'text', 'strip'] as const).find((name) => flags[name] !== undefined) : undefined;
  if (stray !== undefined)
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message: `--${stray} goes with --group.` });
  if (group === undefined) return;
  if (format !== undefined)
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message: '--format does not go with --group.' });
  if (flags.role?.length === 1) return;
  const message = 'with --group, --role names the column with the author, once.';
  throw new TunesmithError('CLI_ARGUMENT', { message, fix: '--role COLUMN' });
}

function joinRows(files: readonly string[], flags: Flags, log: FindingLog) {
  const authors = readPairs('map', flags.map ?? []);
  for (const [author, role] of Object.entries(authors)) {
    if (role === 'drop' || ROLES.some((name) => name === role && name !== 'tool')) continue;
    throw new TunesmithError('CLI_OPTION_VALUE', {
      message: `--map ${author}=${role} gives the author no role.`,
      fix: `--map ${author}=user, =assistant, =system or =drop`,
    });
  }
  const strip = flags.strip?.split(',') ?? [];
  const wrong = strip.find((name) => !STRIPS.some((known) => known === name));
  if (wrong !== undefined) {
    throw new TunesmithError('CLI_OPTION_VALUE', { message: `--strip ${wrong} is not one of ${STRIPS.join(', ')}.` });
  }
  const { group = '', order, text } = flags;
  return joinMessages(
    files,
    {
      ...{ group, order, text, role: flags.role?.[0] ?? '' },
      authors: authors as Record<string, Role | 'drop'>,
      strip: strip as Strip[],
    },
    log,
  );
}

interface Run {
  readonly out: string;
  readonly to: Format;
  readonly log: FindingLog;
  readonly context: Context;
}

/** Writes all or nothing: an error leaves no file. */
async function write(rows: AsyncIterable<ReadRow> | Iterable<ReadRow>, { out, to, log, context }: Run): Promise<void> {
  const { terminal, signal } = context;
  const writer = openRecordWriter(out, columnsOf(to));
  const lost = new Map<string, number>();
  let [read, written] = [0, 0];
  let kind: Content['kind'] | undefined;
  try {
    for await (const { content, source, fields } of rows) {
      signal.throwIfAborted();
      read++;
      for (const name of Object.keys(fields)) {
        if (!isKnownColumn(name)) lost.set(`column ${name}`, (lost.get(`column ${name}`) ?? 0) + 1);
      }
      const result = writeContent(content, to);
      if (result.records === undefined) {
        log.add({ code: 'DATA_NO_FORM', ...source, message: result.refused });
        continue;
      }
      kind ??= content.kind;
      for (const what of result.lost) lost.set(what, (lost.get(what) ?? 0) + 1);
      for (const record of result.records) writer.write(record);
      written += result.records.length;
    }
    const findings = log.groups();
    if (findings.length > 0) terminal.say(formatFindings(findings));
    assertNoErrors(findings);
    writer.commit();
  } finally {
    writer.discard();
  }
  if (to === 'llamafactory') describe(out, kind ?? 'chat');
  const what = [...lost].map(([name, rows]) => `${name} (${countText(rows)} rows)`);
  if (what.length > 0) terminal.say(`left out, since ${to} has no place for them: ${what.join(', ')}`);
  terminal.emit({ type: 'converted', out, to, read, written, lost: Object.fromEntries(lost) });
  terminal.print(`${countText(read)} rows read, ${countText(written)} rows written as ${to} to ${out}.`);
}

function columnsOf(to: Format): readonly string[] | undefined {
  return COLUMNS[to];
}

/** Columns of tables; the formats that are missing here have the same columns in each row. */
const COLUMNS: Readonly<Partial<Record<Format, readonly string[]>>> = {
  openai: ['messages', 'tools', 'label', 'labels'],
  'prompt-completion': ['prompt', 'completion', 'system', 'tools'],
  alpaca: ['instruction', 'input', 'output', 'system', 'history'],
  sharegpt: ['conversations', 'tools'],
  preference: ['prompt', 'chosen', 'rejected', 'tools'],
  unpaired: ['prompt', 'completion', 'label', 'tools'],
  llamafactory: ['conversations', 'tools', 'chosen', 'rejected', 'kto_tag', 'text'],
};

function describe(out: string, kind: Content['kind']): void {
  const file = join(dirname(out), DATASET_INFO);
  const before = fileExists(file) ? (readJson(file) as Record<string, unknown>) : {};
  const name = basename(out.replace(/\.gz$/, ''), extname(out.replace(/\.gz$/, '')));
  writeAtomic(file, `${JSON.stringify({ ...before, ...datasetInfo(name, basename(out), kind) }, null, 2)}\n`);
}

const WORDS: Readonly<Record<Exclude<keyof JoinCounts, 'messages' | 'conversations'>, string>> = {
  leftOut: 'messages of authors that are dropped',
  empty: 'empty messages',
  joined: 'messages joined to the one before, of the same author',
  trailing: 'messages after the last answer of their conversation',
  withoutAnswer: 'conversations without an answer',
  withoutQuestion: 'conversations with nothing of the user',
  quotes: 'messages had quoted mail taken out',
  signatures: 'messages had their signature taken out',
};

function tellCounts(counts: JoinCounts, { terminal }: Context): void {
  terminal.emit({ type: 'joined', ...counts });
  terminal.print(`${countText(counts.messages)} messages in ${countText(counts.conversations)} conversations`);
  for (const [name, words] of Object.entries(WORDS)) {
    const n = counts[name as keyof typeof WORDS];
    if (n > 0) terminal.print(`  ${countText(n)} ${words}`);
  }
}
