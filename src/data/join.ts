import { TunesmithError } from '../errors/index.ts';
import type { Message, Role } from '../text/messages.ts';
import type { FindingLog } from './findings.ts';
import { openFiles } from './open-files.ts';
import type { RowSource } from './row.ts';
import type { Fields } from './shapes.ts';
import { type Strip, stripMail } from './strip-mail.ts';

/** Which columns say what, in a file with a message on each row. */
export interface JoinOptions {
  /** Messages with the same value here are one conversation. */
  readonly group: string;
  /** Numbers, dates or texts by which they follow one another; their order in the file if not given. */
  readonly order?: string | undefined;
  /** Who wrote it. */
  readonly role: string;
  /** What was written. */
  readonly text: string;
  /** Authors to roles of ours; `drop` leaves their messages out. */
  readonly authors: Readonly<Record<string, Role | 'drop'>>;
  readonly strip: readonly Strip[];
}

/** What became of the messages. */
export interface JoinCounts {
  /** Messages that were read. */
  messages: number;
  /** Of authors that are left out. */
  leftOut: number;
  /** Nothing in them, or nothing after stripping. */
  empty: number;
  /** Joined to the one before, of the same author. */
  joined: number;
  /** After the last answer of a conversation. */
  trailing: number;
  conversations: number;
  withoutAnswer: number;
  withoutQuestion: number;
  /** Messages out of which quoted mail or signatures were taken. */
  quotes: number;
  signatures: number;
}

/** A conversation that came out. */
export interface Joined {
  readonly id: string;
  readonly messages: readonly Message[];
  readonly source: RowSource;
}

interface Entry {
  readonly role: Role;
  readonly text: string;
  readonly order: unknown;
  readonly source: RowSource;
}

/** Names that a column of texts mostly has. */
const TEXT_COLUMNS = ['content', 'text', 'message', 'body', 'value', 'utterance'];

/**
 * Joins the rows of files, a message each, to conversations, in order of their first appearance. The messages are held in memory, since those of
 * one conversation may stand anywhere.
 *
 * @throws DATA_COLUMN_MISSING, and what reading throws. An author without a role is a finding.
 */
export async function joinMessages(
  files: readonly string[],
  options: Omit<JoinOptions, 'text'> & { readonly text?: string | undefined },
  log: FindingLog,
): Promise<{ readonly conversations: readonly Joined[]; readonly counts: JoinCounts }> {
  const counts: JoinCounts = {
    ...{ messages: 0, leftOut: 0, empty: 0, joined: 0, trailing: 0, conversations: 0 },
    ...{ withoutAnswer: 0, withoutQuestion: 0, quotes: 0, signatures: 0 },
  };
  const groups = new Map<string, Entry[]>();
  const opened = openFiles(files);
  for (const path of opened.paths) {
    let columns: JoinOptions | undefined;
    for await (const record of opened.open(path).records) {
      const source = { file: path, line: record.line };
      if ('code' in record) log.add({ code: record.code, ...source, message: record.message });
      else if (typeof record.value !== 'object' || record.value === null) {
        log.add({ code: 'DATA_SHAPE_UNKNOWN', ...source, message: 'is no object with columns.' });
      } else {
        const fields = record.value as Fields;
        columns ??= requireColumns(fields, options, path);
        addEntry(fields, columns, source, { groups, counts, log });
      }
    }
  }
  const conversations: Joined[] = [];
  for (const [id, entries] of groups) {
    const messages = conversation(inOrder(entries, options.order), counts);
    if (messages !== undefined) conversations.push({ id, messages, source: entries[0]!.source });
  }
  counts.conversations = groups.size;
  return { conversations, counts };
}

function requireColumns(
  fields: Fields,
  options: Omit<JoinOptions, 'text'> & { readonly text?: string | undefined },
  file: string,
): JoinOptions {
  const names = Object.keys(fields);
  const text = options.text ?? TEXT_COLUMNS.find((name) => names.includes(name) && name !== options.role);
  const wanted = { group: options.group, role: options.role, order: options.order, text: text ?? '' };
  for (const [option, name] of Object.entries(wanted)) {
    if (name === undefined || names.includes(name)) continue;
    throw new TunesmithError('DATA_COLUMN_MISSING', {
      message: name === '' ? 'has no column that is known to hold texts.' : `has no column ${name}.`,
      file,
      fix: `--${option} COLUMN, with COLUMN one of ${names.join(', ')}`,
    });
  }
  return { ...options, text: wanted.text };
}

function addEntry(
  fields: Fields,
  columns: JoinOptions,
  source: RowSource,
  { groups, counts, log }: { groups: Map<string, Entry[]>; counts: JoinCounts; log: FindingLog },
): void {
  counts.messages++;
  const author = textOf(fields[columns.role]).trim();
  const role = roleOf(author, columns.authors);
  const group = textOf(fields[columns.group]);
  if (role === undefined || group === '') {
    const message = role === undefined ? `is of "${author}", who has no role.` : `has no ${columns.group}.`;
    const pair = `--map ${/^[\w-]+$/.test(author) ? author : JSON.stringify(author)}`;
    const fix =
      role === undefined ? `${pair}=assistant, ${pair}=user, or ${pair}=drop to leave such messages out.` : undefined;
    log.add({ code: role === undefined ? 'DATA_ROLE_UNKNOWN' : 'DATA_MESSAGE', ...source, message, fix });
    return;
  }
  if (role === 'drop') {
    counts.leftOut++;
    return;
  }
  const { text, quotes, signatures } = stripMail(textOf(fields[columns.text]), columns.strip);
  if (quotes) counts.quotes++;
  if (signatures) counts.signatures++;
  if (text.trim() === '') counts.empty++;
  const entry = { role, text: text.trim(), order: columns.order && fields[columns.order], source };
  const entries = groups.get(group);
  if (entries === undefined) groups.set(group, [entry]);
  else entries.push(entry);
}

function roleOf(author: string, authors: JoinOptions['authors']): Role | 'drop' | undefined {
  if (Object.hasOwn(authors, author)) return authors[author];
  const same = author.toLowerCase();
  return same === 'user' || same === 'assistant' || same === 'system' ? same : undefined;
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === null || value === undefined ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** By number where all are numbers, by date where all are dates, else by text; equal ones stay as they stood. */
function inOrder(entries: readonly Entry[], order: string | undefined): readonly Entry[] {
  if (order === undefined) return entries;
  const texts = entries.map((entry) => textOf(entry.order).trim());
  const keys = [texts.map((t) => (t === '' ? Number.NaN : Number(t))), texts.map((t) => Date.parse(t))].find((all) =>
    all.every((n) => !Number.isNaN(n)),
  );
  const ranks = entries.map((entry, i) => ({ entry, number: keys?.[i] ?? 0, text: texts[i] ?? '' }));
  const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  ranks.sort((a, b) => (keys === undefined ? compare(a.text, b.text) : a.number - b.number));
  return ranks.map(({ entry }) => entry);
}

function conversation(entries: readonly Entry[], counts: JoinCounts): Message[] | undefined {
  const messages: { role: Role; content: string }[] = [];
  for (const { role, text } of entries) {
    if (text === '') continue;
    const last = messages.at(-1);
    if (last?.role === role) {
      last.content += `\n${text}`;
      counts.joined++;
    } else messages.push({ role, content: text });
  }
  const answer = messages.findLastIndex((m) => m.role === 'assistant');
  if (answer < 0) {
    counts.withoutAnswer++;
    return undefined;
  }
  const kept = messages.slice(0, answer + 1);
  if (!kept.some((m) => m.role === 'user')) {
    counts.withoutQuestion++;
    return undefined;
  }
  counts.trailing += messages.length - kept.length;
  return kept;
}
