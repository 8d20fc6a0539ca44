import { TunesmithError } from '../../errors/index.ts';
import { isRecord } from '../../io/json-checks.ts';
import type { Message, Role, Tool } from '../../text/messages.ts';
import { checkConversation, withSystem } from '../conversation.ts';
import { readLabels } from '../labels.ts';
import { type Complain, readMessages, readTools } from '../messages.ts';
import { normalise } from '../normalise.ts';
import type { RowSource } from '../row.ts';
import { ALPACA_ANSWERS, type Fields, present } from '../shapes.ts';
import type { Content, Format } from './content.ts';
import type { Detected } from './detect.ts';

/** How records become content. */
export interface ContentOptions {
  /** Roles of the file to ours. */
  readonly roles?: Readonly<Record<string, Role>> | undefined;
}

/** Reads a record whose format was found. What is wrong is reported; undefined comes back where nothing can be made of it. */
export function readContent(
  fields: Fields,
  detected: Detected & { readonly format: Format },
  source: RowSource,
  options: ContentOptions,
  complain: Complain,
): Content | undefined {
  const { format, shape } = detected;
  const isPreference = present(fields, 'rejected') || present(fields, 'non_preferred_output');
  if (format === 'preference' || format === 'openai-preference' || (format === 'llamafactory' && isPreference)) {
    return preference(fields, options, complain);
  }
  if (format === 'unpaired' || (format === 'llamafactory' && shape === undefined)) {
    return unpaired(fields, options, complain);
  }
  if (shape === undefined) throw new Error(`internal: ${format} without a shape`);
  const labels = format === 'labelled' ? readLabels(fields, 'required', complain) : undefined;
  if (format === 'labelled' && labels === undefined) return undefined;
  const answers = labels === undefined ? 'required' : 'optional';
  const row = normalise({ fields, shape, source }, { ...options, format: 'chat', answers }, complain);
  if (row === undefined) return undefined;
  switch (row.kind) {
    case 'messages': {
      const { messages, tools } = row;
      return { kind: 'chat', messages, ...(tools ? { tools } : {}), ...(labels ? { labels } : {}) };
    }
    case 'text':
      return { kind: 'text', text: row.text, ...(labels ? { labels } : {}) };
    case 'ids':
      return { kind: 'tokens', ids: row.ids, labels: row.labels };
    case 'prompt':
      throw new TunesmithError('DATA_MESSAGE', { ...source, message: 'is raw text where messages are expected.' });
    default:
      return row satisfies never;
  }
}

interface Asked {
  readonly prompt: readonly Message[];
  readonly tools?: readonly Tool[];
}

function preference(fields: Fields, options: ContentOptions, complain: Complain): Content | undefined {
  const asked = readPrompt(fields, options, complain);
  const chosen = readAnswer(fields.chosen ?? fields.preferred_output, options, complain);
  const rejected = readAnswer(fields.rejected ?? fields.non_preferred_output, options, complain);
  if (asked === undefined || chosen === undefined || rejected === undefined) return undefined;
  const row =
    chosen[0]?.role === 'assistant' ? { prompt: undefined, chosen, rejected } : sharedPrompt(chosen, rejected);
  const prompt = row.prompt === undefined ? asked.prompt : withSystem(row.prompt, systemOf(asked.prompt));
  if (JSON.stringify(row.chosen) === JSON.stringify(row.rejected)) {
    complain('DATA_PREFERENCE', 'has the same answer as chosen and as rejected.');
    return undefined;
  }
  const isWhole = [row.chosen, row.rejected].map((answer) => checkAnswer(prompt, answer, complain)).every(Boolean);
  if (!isWhole) return undefined;
  const { tools } = asked;
  return { kind: 'preference', prompt, chosen: row.chosen, rejected: row.rejected, ...(tools ? { tools } : {}) };
}

function unpaired(fields: Fields, options: ContentOptions, complain: Complain): Content | undefined {
  const good = fields.kto_tag ?? fields.label;
  if (typeof good !== 'boolean') {
    complain('DATA_PREFERENCE', 'has a label that is not true or false.');
    return undefined;
  }
  const asked = readPrompt(fields, options, complain);
  if (asked === undefined) return undefined;
  const own = fields.completion ?? (present(fields, 'instruction') ? alpacaAnswer(fields) : undefined);
  const last = asked.prompt.findLastIndex((m) => m.role !== 'assistant') + 1;
  const completion = own === undefined ? asked.prompt.slice(last) : readAnswer(own, options, complain);
  const prompt = own === undefined ? asked.prompt.slice(0, last) : asked.prompt;
  if (completion === undefined || !checkAnswer(prompt, completion, complain)) return undefined;
  return { kind: 'unpaired', prompt, completion, good, ...(asked.tools ? { tools: asked.tools } : {}) };
}

/** The messages before the answers: none where the answers bring them. */
function readPrompt(fields: Fields, options: ContentOptions, complain: Complain): Asked | undefined {
  const input = isRecord(fields.input) ? fields.input : fields;
  const tools = readTools(input, complain);
  const value =
    input === fields
      ? (fields.messages ?? fields.conversations ?? fields.prompt ?? alpacaPrompt(fields))
      : input.messages;
  const messages = value === undefined || value === null ? [] : messagesOf(value, 'user', options, complain);
  if (tools === undefined || messages === undefined) return undefined;
  const system = typeof fields.system === 'string' && fields.system !== '' ? fields.system : undefined;
  return { prompt: withSystem(messages, system), ...(tools === 'none' ? {} : { tools }) };
}

function readAnswer(value: unknown, options: ContentOptions, complain: Complain): readonly Message[] | undefined {
  return messagesOf(value, 'assistant', options, complain);
}

/** Messages of a text, of one message, or of several. */
function messagesOf(value: unknown, role: Role, options: ContentOptions, complain: Complain): Message[] | undefined {
  if (typeof value === 'string') return [{ role, content: value }];
  const list = isRecord(value) ? [value] : value;
  const roles = options.roles === undefined ? {} : { roles: options.roles };
  return readMessages(list, { shareGpt: true, ...roles }, complain);
}

function alpacaPrompt(fields: Fields): unknown {
  if (typeof fields.instruction !== 'string') return undefined;
  const { instruction, input } = fields;
  return typeof input === 'string' && input.trim() !== '' ? `${instruction}\n${input}` : instruction;
}

function alpacaAnswer(fields: Fields): unknown {
  return ALPACA_ANSWERS.map((name) => fields[name]).find((value) => value !== undefined && value !== null);
}

/** Two whole conversations: what they begin with alike is the prompt. */
function sharedPrompt(a: readonly Message[], b: readonly Message[]) {
  let shared = 0;
  while (shared < a.length && JSON.stringify(a[shared]) === JSON.stringify(b[shared])) shared++;
  const start = Math.min(shared, a.findLastIndex((m) => m.role !== 'assistant') + 1);
  return { prompt: a.slice(0, start), chosen: a.slice(start), rejected: b.slice(start) };
}

function systemOf(messages: readonly Message[]): string | undefined {
  return messages[0]?.role === 'system' ? messages[0].content : undefined;
}

function checkAnswer(prompt: readonly Message[], answer: readonly Message[], complain: Complain): boolean {
  let isGood = true;
  const note: Complain = (code, message, fix) => {
    isGood = false;
    complain(code, message, fix);
  };
  if (prompt.every((m) => m.role === 'system')) note('DATA_NO_QUESTION', 'has nothing before its answers.');
  else if (answer.length === 0 || answer[0]?.role !== 'assistant') {
    note('DATA_PREFERENCE', 'has an answer that does not begin with the assistant.');
  } else checkConversation([...prompt, ...answer], note);
  return isGood;
}
