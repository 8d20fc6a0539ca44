import { readMessages, readTools } from '../../data/messages.ts';
import { type ErrorCode, TunesmithError } from '../../errors/index.ts';
import { decodeText, fileExists, openAppender, readBytes, sha256 } from '../../io/index.ts';
import { isRecord } from '../../io/json-checks.ts';
import type { Message } from '../../text/index.ts';
import { opinionFault } from './opinion.ts';
import { createRankings, type Rankings } from './rankings.ts';
import {
  AXES,
  type Axis,
  type DrawnAnswer,
  type Edit,
  type Judgement,
  type Opinion,
  RATER_KINDS,
  type RankingEvent,
  type RankingItem,
} from './types.ts';

/** The id of an item: the same prompt with the same answers is the same item. */
export function itemId(prompt: RankingItem['prompt'], answers: readonly string[]): string {
  return sha256(JSON.stringify([prompt, answers])).slice(0, 16);
}

/** Whether a record is the first line of a file of rankings. */
export function isRankingHead(value: unknown): boolean {
  return isRecord(value) && value.type === 'prefer' && 'version' in value;
}

/** A line of the file. Judgements stand flat, so that they read well. */
export function eventLine(event: RankingEvent): string {
  switch (event.type) {
    case 'prefer':
    case 'undo':
      return `${JSON.stringify(event)}\n`;
    case 'item':
      return `${JSON.stringify({ type: 'item', ...event.item })}\n`;
    case 'judgement': {
      const { opinion, rater, ...rest } = event.judgement;
      const said = opinion === undefined ? { skipped: true } : opinion;
      return `${JSON.stringify({ type: 'judgement', ...rest, rater: rater.name, kind: rater.kind, ...said })}\n`;
    }
    default:
      return event satisfies never;
  }
}

/** Says why a record is no event. */
type Refuse = (message: string, code?: ErrorCode) => never;

/**
 * Reads a record of a file of rankings into what is known already.
 *
 * @throws PREFER_LOG, DATA_MESSAGE and its kin of a prompt, with file and line
 */
export function readEvent(value: unknown, known: Rankings, file: string, line: number): RankingEvent {
  const refuse: Refuse = (message, code = 'PREFER_LOG') => {
    throw new TunesmithError(code, { message, file, line });
  };
  if (!isRecord(value)) return refuse('is no object.');
  switch (value.type) {
    case 'prefer':
      if (value.version !== 1) return refuse(`is of version ${JSON.stringify(value.version)}, and 1 is known.`);
      if (!Number.isSafeInteger(value.seed)) return refuse('has no whole number as seed.');
      return { type: 'prefer', version: 1, seed: value.seed as number };
    case 'item':
      return { type: 'item', item: readItem(value, refuse) };
    case 'judgement':
      return { type: 'judgement', judgement: readJudgement(value, known, refuse) };
    case 'undo': {
      const { item, rater, at } = value;
      if (typeof item !== 'string' || typeof rater !== 'string' || typeof at !== 'string') {
        return refuse('takes back a judgement without item, rater and time.');
      }
      return { type: 'undo', item, axis: readAxis(value.axis, refuse), rater, at };
    }
    default:
      return refuse(`has the unknown type ${JSON.stringify(value.type)?.slice(0, 40)}.`);
  }
}

function readItem({ id, prompt, tools, answers }: Record<string, unknown>, refuse: Refuse): RankingItem {
  if (typeof id !== 'string' || id === '') return refuse('has no id.');
  if (!Array.isArray(answers) || answers.length === 0 || !answers.every(isAnswer)) {
    return refuse('has no answers of the form {text, by}.');
  }
  const own = readTools({ tools }, (code, message) => refuse(message, code));
  if (own === undefined) return refuse('has tools that are none.');
  const asked = typeof prompt === 'string' ? prompt : readPrompt(prompt, refuse);
  const given = answers.map(({ text, by }) => ({ text, by }));
  return { id, prompt: asked, answers: given, ...(own === 'none' ? {} : { tools: own }) };
}

function readPrompt(prompt: unknown, refuse: Refuse): readonly Message[] {
  const messages = readMessages(prompt, {}, (code, message) => refuse(message, code));
  return messages === undefined || messages.length === 0 ? refuse('has no prompt.') : messages;
}

function isAnswer(value: unknown): value is DrawnAnswer {
  return isRecord(value) && typeof value.text === 'string' && typeof value.by === 'string';
}

function readAxis(value: unknown, refuse: Refuse): Axis {
  return AXES.find((name) => name === value) ?? refuse(`has an axis that is none of ${AXES.join(', ')}.`);
}

function readJudgement(fields: Record<string, unknown>, known: Rankings, refuse: Refuse): Judgement {
  const { item: id, rater, at, skipped } = fields;
  const kind = RATER_KINDS.find((name) => name === fields.kind);
  const item = typeof id === 'string' ? known.items.get(id) : undefined;
  if (item === undefined) return refuse('judges an item that no line before it brings.');
  if (typeof rater !== 'string' || rater === '' || kind === undefined || typeof at !== 'string') {
    return refuse('has no rater, kind and time.');
  }
  const shown = indexList(fields.shown) ?? refuse('does not say in which order the answers were shown.');
  const axis = readAxis(fields.axis, refuse);
  const opinion = skipped === true ? undefined : readOpinion(fields, refuse);
  const fault =
    opinion &&
    opinionFault(
      opinion,
      item.answers.map(({ text }) => text),
    );
  if (fault !== undefined) return refuse(fault);
  return { item: item.id, axis, rater: { name: rater, kind }, at, shown, opinion };
}

function readOpinion({ ranking, good, bad, edits, reason }: Record<string, unknown>, refuse: Refuse): Opinion {
  const lists = { good, bad };
  for (const list of [good, bad])
    if (list !== undefined && indexList(list) === undefined) refuse('has marks that are none.');
  if (edits !== undefined && !(Array.isArray(edits) && edits.every(isEdit))) return refuse('has edits that are none.');
  if (reason !== undefined && typeof reason !== 'string') return refuse('has a reason that is no text.');
  const groups = isRecord(ranking) && Array.isArray(ranking.groups) ? ranking.groups.map(indexList) : undefined;
  if (ranking !== undefined && (groups === undefined || !groups.every((group) => group !== undefined))) {
    return refuse('has a ranking that is none.');
  }
  const uncompared =
    isRecord(ranking) && typeof ranking.uncompared === 'number' ? { uncompared: ranking.uncompared } : {};
  return {
    ...(groups === undefined ? {} : { ranking: { groups: groups as number[][], ...uncompared } }),
    ...(lists.good === undefined ? {} : { good: lists.good as number[] }),
    ...(lists.bad === undefined ? {} : { bad: lists.bad as number[] }),
    ...(edits === undefined ? {} : { edits: (edits as Edit[]).map(({ of, text }) => ({ of, text })) }),
    ...(reason === undefined ? {} : { reason }),
  };
}

function indexList(value: unknown): number[] | undefined {
  return Array.isArray(value) && value.every((at) => Number.isInteger(at)) ? (value as number[]) : undefined;
}

function isEdit(value: unknown): boolean {
  return isRecord(value) && Number.isInteger(value.of) && typeof value.text === 'string';
}

const LINE_FEED = 0x0a;
const HEAD = '{"type":"prefer"';

/**
 * Reads a file of rankings.
 *
 * @returns what it comes to, and its bytes without a last line that was torn when the machine or the process died
 * @throws FILE_NOT_FOUND, FILE_NOT_UTF8, PREFER_LOG with the line
 */
export function readRankings(file: string): { readonly rankings: Rankings; readonly bytes: number } {
  const raw = readBytes(file);
  const bytes = raw.lastIndexOf(LINE_FEED) + 1;
  const lines = decodeText(raw.subarray(0, bytes), file).split('\n');
  const head = parseLine(lines[0] ?? '', file, 1);
  if (!isRankingHead(head)) {
    const message = 'does not begin as a file of rankings does.';
    throw new TunesmithError('PREFER_LOG', { message, file, line: 1 });
  }
  const { seed } = readEvent(head, createRankings(), file, 1) as RankingEvent & { type: 'prefer' };
  const rankings = createRankings(seed);
  for (const [i, line] of lines.entries()) {
    if (i > 0 && line !== '') rankings.add(readEvent(parseLine(line, file, i + 1), rankings, file, i + 1));
  }
  return { rankings, bytes };
}

function parseLine(line: string, file: string, number: number): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new TunesmithError('PREFER_LOG', { message: 'is not JSON.', file, line: number, cause });
  }
}

/** Whether a file is empty, or was lost with the process while its first line was written. */
function isTornHead(bytes: Uint8Array): boolean {
  const text = new TextDecoder().decode(bytes.subarray(0, HEAD.length + 40));
  return !bytes.includes(LINE_FEED) && (HEAD.startsWith(text) || text.startsWith(HEAD));
}

/** A file of rankings that is written to. */
export interface RankingFile {
  readonly rankings: Rankings;
  /** Writes the event to the file at once, then takes it in. @throws DISK_FULL, FILE_WRITE_FAILED */
  add(event: RankingEvent): void;
  close(): void;
}

/**
 * Opens a file of rankings to go on with, or begins one.
 *
 * @param seed of the order in which answers are shown, if the file is new
 * @throws PREFER_LOG if something else is there, FILE_WRITE_FAILED, DISK_FULL
 */
export function openRankingFile(file: string, seed: number): RankingFile {
  const before = fileExists(file) && !isTornHead(readBytes(file)) ? readRankings(file) : undefined;
  const rankings = before?.rankings ?? createRankings(seed);
  const appender = openAppender(file, before?.bytes ?? 0);
  if (before === undefined) appender.append(eventLine({ type: 'prefer', version: 1, seed }));
  return {
    rankings,
    add: (event) => {
      appender.append(eventLine(event));
      rankings.add(event);
    },
    close: appender.close,
  };
}
