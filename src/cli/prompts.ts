import { type Complain, readMessages, readTools } from '../data/messages.ts';
import { type ErrorCode, TunesmithError } from '../errors/index.ts';
import { readJson, readText } from '../io/files.ts';
import type { Prompt } from './domain.ts';

/**
 * Reads a file of messages: an array of messages or `{messages, tools?}`; a .jsonl file has one of either on each line.
 *
 * @throws FILE_NOT_FOUND, FILE_NOT_JSON, DATA_* with the line
 */
export function readMessagesFile(file: string): (Prompt & { kind: 'messages' })[] {
  if (!file.toLowerCase().endsWith('.jsonl')) return [conversation(readJson(file), file, undefined)];
  return readText(file)
    .split(/\r?\n/)
    .flatMap((line, i) => (line.trim() === '' ? [] : conversation(parseLine(line, file, i + 1), file, i + 1)));
}

function parseLine(line: string, file: string, number: number): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new TunesmithError('FILE_NOT_JSON', { message: 'is not JSON.', file, line: number, cause });
  }
}

function conversation(value: unknown, file: string, line: number | undefined): Prompt & { kind: 'messages' } {
  const faults: TunesmithError[] = [];
  const complain: Complain = (code: ErrorCode, message, fix) =>
    void faults.push(new TunesmithError(code, { message, file, line, fix }));
  const fields = Array.isArray(value) ? { messages: value } : typeof value === 'object' && value !== null ? value : {};
  const messages = readMessages('messages' in fields ? fields.messages : undefined, {}, complain);
  const tools = readTools({ ...fields }, complain);
  if (faults.length > 1) throw new AggregateError(faults);
  if (faults[0] !== undefined) throw faults[0];
  if (messages === undefined || tools === undefined) throw new Error(`internal: ${file} was refused without a reason`);
  return { kind: 'messages', messages, ...(tools === 'none' ? {} : { tools }) };
}
