import { type Complain, readMessages, readTools } from '../data/messages.ts';
import { type ErrorCode, nearestName, TunesmithError } from '../errors/index.ts';
import { readJson, readText } from '../io/files.ts';
import type { Role } from '../text/messages.ts';
import type { OptionSpecs, Values } from './command.ts';
import type { Prompt, RowReading } from './domain.ts';

/** Options of commands that read rows with a model. */
export const rowOptions = {
  role: { type: 'string', value: 'THEIRS=OURS', many: true, description: 'a role of the file, such as bot=assistant' },
  map: {
    type: 'string',
    value: 'THEIRS=OURS',
    many: true,
    description: 'a column of the file, such as input=question',
  },
  allow: { type: 'string', value: 'CODE', many: true, description: 'a data error code that is let pass' },
} as const satisfies OptionSpecs;

/** Reads them. @throws CLI_OPTION_VALUE */
export function rowReading({ role = [], map = [], allow = [] }: Partial<Values<typeof rowOptions>>): RowReading {
  const wrong = role.find((pair) => !/^[^=]+=(system|user|assistant|tool)$/.test(pair));
  if (wrong === undefined) return { roles: role, map, allow: allow.flatMap((codes) => codes.split(',')) };
  throw new TunesmithError('CLI_OPTION_VALUE', {
    message: `--role ${wrong} is not THEIRS=OURS, with OURS one of system, user, assistant, tool.`,
    fix: '--role bot=assistant, say',
  });
}

/** `--system` is a text, or the name of a file that holds it, as in `train`. */
export async function readSystem(system: string | undefined): Promise<string | undefined> {
  return system === undefined ? undefined : (await import('../train/dataset.ts')).systemPrompt({ system });
}

/**
 * Reads a file of messages: an array of messages or `{messages, tools?}`; a .jsonl file has one of either on each line.
 *
 * @throws FILE_NOT_FOUND, FILE_NOT_JSON, DATA_* with the line
 */
export function readMessagesFile(file: string, { roles = [] }: RowReading): (Prompt & { kind: 'messages' })[] {
  const conversation = conversationReader(Object.fromEntries(roles.map((pair) => pair.split('=') as [string, Role])));
  if (!file.toLowerCase().endsWith('.jsonl')) return [conversation(readJson(file), file, undefined)];
  return readText(file)
    .split(/\r?\n/)
    .flatMap((line, i) => (line.trim() === '' ? [] : conversation(parseLine(line, file, i + 1), file, i + 1)));
}

/** A conversation that can be answered. @throws DATA_NO_QUESTION, DATA_ORDER */
export function requireQuestion(prompt: Prompt & { kind: 'messages' }, i: number): Prompt {
  const { messages } = prompt;
  const which = `conversation ${i + 1} of --messages`;
  if (messages.every((m) => m.role === 'system')) {
    throw new TunesmithError('DATA_NO_QUESTION', {
      message: `${which} asks nothing.`,
      fix: 'end it with a user message',
    });
  }
  if (messages.at(-1)?.role !== 'assistant') return prompt;
  const message = `${which} ends with an assistant message, so it is answered already.`;
  throw new TunesmithError('DATA_NO_QUESTION', { message, fix: 'take it out, or give the file as --data, which does' });
}

function parseLine(line: string, file: string, number: number): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new TunesmithError('FILE_NOT_JSON', { message: 'is not JSON.', file, line: number, cause });
  }
}

const conversationReader =
  (roles: Readonly<Record<string, Role>>) =>
  (value: unknown, file: string, line: number | undefined): Prompt & { kind: 'messages' } => {
    const faults: TunesmithError[] = [];
    const complain: Complain = (code: ErrorCode, message, fix) =>
      void faults.push(new TunesmithError(code, { message, file, line, fix }));
    const fields = Array.isArray(value)
      ? { messages: value }
      : typeof value === 'object' && value !== null
        ? value
        : {};
    if (!('messages' in fields)) {
      const near = nearestName('messages', Object.keys(fields));
      const fix = near === undefined ? undefined : `rename "${near}" to "messages"`;
      throw new TunesmithError('DATA_MESSAGE', {
        message: 'has neither an array nor {"messages": [...]}.',
        file,
        line,
        fix,
      });
    }
    const messages = readMessages(fields.messages, { roles }, complain);
    const tools = readTools({ ...fields }, complain);
    if (faults.length > 1) throw new AggregateError(faults);
    if (faults[0] !== undefined) throw faults[0];
    if (messages === undefined || tools === undefined)
      throw new Error(`internal: ${file} was refused without a reason`);
    return { kind: 'messages', messages, ...(tools === 'none' ? {} : { tools }) };
  };
