import { IGNORE } from '../text/example.ts';
import type { Message, Role } from '../text/messages.ts';
import { checkConversation, withSystem } from './conversation.ts';
import { type Complain, MESSAGE_KEYS, readMessages, readTools } from './messages.ts';
import type { Row, RowSource } from './row.ts';
import {
  ALPACA_ANSWERS,
  ALPACA_INPUTS,
  type Answers,
  COLUMNS,
  type Fields,
  kindOf,
  PAIRS,
  present,
  type RowShape,
} from './shapes.ts';

/** What a shape of rows is turned into. */
export interface NormaliseOptions {
  /** Whether pairs become user and assistant turns, or raw text that is completed. */
  readonly format: 'chat' | 'raw';
  /** System prompt for conversations without one. */
  readonly system?: string | undefined;
  /** Roles of the file to ours. */
  readonly roles?: Readonly<Record<string, Role>> | undefined;
  /** Rows of the model's embedding: ids of pre-tokenised rows stay below. */
  readonly vocabSize?: number | undefined;
  /** Optional where rows are answered, and not trained or scored: an empty answer then counts as none. Required if not given. */
  readonly answers?: Answers | undefined;
  /** Tokens of the chat template, which may not stand in messages as text. */
  readonly specialTokens?: readonly string[] | undefined;
}

/** Columns of the multimodal sets. */
const MEDIA = ['images', 'image', 'videos', 'audios'];

/**
 * Turns a record of a recognised shape into a row. What is wrong is reported; undefined comes back where no row can be made.
 * A pure function of its arguments.
 */
export function normalise(
  record: { readonly fields: Fields; readonly shape: RowShape; readonly source: RowSource },
  options: NormaliseOptions,
  complain: Complain,
): Row | undefined {
  const { fields, shape, source } = record;
  const media = shape === 'text' ? undefined : MEDIA.find((name) => isFilled(fields[name]));
  if (media !== undefined) {
    complain('IMAGE_NOT_SUPPORTED', `has something in the column "${media}".`);
    return undefined;
  }
  switch (shape) {
    case 'messages':
    case 'conversations':
      return conversation(record, options, complain);
    case 'alpaca':
      return alpaca(record, options, complain);
    case 'prompt/completion':
    case 'prompt/response':
    case 'question/answer':
    case 'input/output':
      return pair(record, PAIRS[shape], options, complain);
    case 'text':
      return plainText(fields.text, source, complain);
    case 'input_ids':
      return tokens(fields, source, options, complain);
    default:
      return shape satisfies never;
  }
}

/** The columns of a record that its shape does not use, and the keys of its messages that are not used. */
export function ignoredColumns(fields: Fields, shape: RowShape): string[] {
  const names = Object.keys(fields).filter((name) => !COLUMNS[shape].includes(name));
  const list = shape === 'messages' || shape === 'conversations' ? fields[shape] : undefined;
  if (!Array.isArray(list)) return names;
  const keys = new Set<string>();
  for (const item of list as unknown[]) {
    if (typeof item !== 'object' || item === null) continue;
    for (const key of Object.keys(item)) if (!MESSAGE_KEYS.has(key) && present(item as Fields, key)) keys.add(key);
  }
  return [...names, ...Array.from(keys, (key) => `${shape}[].${key}`)];
}

type Normalised = { readonly fields: Fields; readonly shape: RowShape; readonly source: RowSource };

function conversation({ fields, shape, source }: Normalised, options: NormaliseOptions, complain: Complain) {
  const shareGpt = shape === 'conversations';
  const value = shareGpt ? fields.conversations : fields.messages;
  const messages = readMessages(value, { shareGpt, ...(options.roles ? { roles: options.roles } : {}) }, complain);
  return messages && chatRow(withSystem(messages, systemColumn(fields)), fields, source, options, complain);
}

function alpaca({ fields, source }: Normalised, options: NormaliseOptions, complain: Complain) {
  const answer = ALPACA_ANSWERS.find((name) => Object.hasOwn(fields, name)) ?? 'output';
  const input = ALPACA_INPUTS.map((name) => fields[name]).find((v) => typeof v === 'string' && v.trim() !== '');
  const texts = pairTexts(fields, ['instruction', answer], complain);
  const history = readHistory(fields.history, complain);
  if (texts === undefined || history === undefined) return undefined;
  const prompt = input === undefined ? texts.prompt : `${texts.prompt}\n${String(input)}`;
  if (options.format === 'chat') {
    return chatRow(
      turns(systemColumn(fields), [...history, [prompt, texts.answer]]),
      fields,
      source,
      options,
      complain,
    );
  }
  if (history.length > 0) {
    complain('DATA_MESSAGE', 'has a history, which needs rows that are rendered as a chat.', 'use --format chat.');
    return undefined;
  }
  // Instruction and answer need something between them, which prompt/completion rows bring themselves.
  return rawRow({ prompt: `${prompt}\n`, answer: texts.answer }, fields, source, options, complain);
}

function pair(
  { fields, source }: Normalised,
  columns: readonly [string, string],
  options: NormaliseOptions,
  complain: Complain,
): Row | undefined {
  const [prompt, answer] = columns;
  if (Array.isArray(fields[prompt])) return pairOfMessages({ fields, source }, columns, options, complain);
  const texts = pairTexts(fields, columns, complain);
  if (texts === undefined) return undefined;
  if (options.format === 'chat') {
    return chatRow(turns(systemColumn(fields), [[texts.prompt, texts.answer]]), fields, source, options, complain);
  }
  const gap = answer === 'answer' || answer === 'output' ? '\n' : '';
  return rawRow({ prompt: texts.prompt + gap, answer: texts.answer }, fields, source, options, complain);
}

/** TRL's conversational prompt and completion: arrays of messages that follow one another, of which the completion is trained. */
function pairOfMessages(
  { fields, source }: Omit<Normalised, 'shape'>,
  [prompt, answer]: readonly [string, string],
  options: NormaliseOptions,
  complain: Complain,
): Row | undefined {
  const end = fields[answer] ?? (options.answers === 'optional' ? [] : undefined);
  const answers = Array.isArray(end) ? end : [{ role: 'assistant', content: end }];
  const all = [...(fields[prompt] as unknown[]), ...(answers as unknown[])];
  const read = readMessages(all, options.roles ? { roles: options.roles } : {}, complain);
  const asked = (fields[prompt] as unknown[]).length;
  const messages = read?.map(
    (message, i): Message => (i < asked && message.role === 'assistant' ? { ...message, weight: 0 } : message),
  );
  return messages && chatRow(withSystem(messages, systemColumn(fields)), fields, source, options, complain);
}

function pairTexts(
  fields: Fields,
  [promptName, answerName]: readonly [string, string],
  complain: Complain,
): { prompt: string; answer: string } | undefined {
  const prompt = fields[promptName] ?? '';
  const answer = fields[answerName] ?? '';
  for (const [name, value] of [
    [promptName, prompt],
    [answerName, answer],
  ] as const) {
    if (typeof value !== 'string') {
      complain('DATA_MESSAGE', `${name} is ${kindOf(value)} where text is expected.`);
      return undefined;
    }
  }
  return { prompt: String(prompt), answer: String(answer) };
}

function readHistory(value: unknown, complain: Complain): [string, string][] | undefined {
  if (value === undefined || value === null || value === '') return [];
  const isTurn = (t: unknown) => Array.isArray(t) && t.length === 2 && t.every((s) => typeof s === 'string');
  if (Array.isArray(value) && value.every(isTurn)) return value as [string, string][];
  complain('DATA_MESSAGE', 'history is not an array of [question, answer] pairs.');
  return undefined;
}

function turns(system: string | undefined, pairs: readonly (readonly [string, string])[]): readonly Message[] {
  const messages = pairs.flatMap(([prompt, answer]): Message[] => [
    { role: 'user', content: prompt },
    { role: 'assistant', content: answer },
  ]);
  return withSystem(messages, system);
}

function systemColumn(fields: Fields): string | undefined {
  return typeof fields.system === 'string' && fields.system !== '' ? fields.system : undefined;
}

function chatRow(
  given: readonly Message[],
  fields: Fields,
  source: RowSource,
  options: NormaliseOptions,
  complain: Complain,
): Row | undefined {
  const tools = readTools(fields, complain);
  if (tools === undefined) return undefined;
  const messages = options.answers === 'optional' ? withoutEmptyAnswer(given) : given;
  checkConversation(messages, complain, options.answers);
  checkSpecialTokens(messages, options.specialTokens ?? [], complain);
  const all = withSystem(messages, options.system);
  return { source, kind: 'messages', messages: all, ...(tools === 'none' ? {} : { tools }) };
}

function withoutEmptyAnswer(messages: readonly Message[]): readonly Message[] {
  const last = messages.at(-1);
  const isEmpty = last?.role === 'assistant' && last.content.trim() === '' && (last.tool_calls ?? []).length === 0;
  return isEmpty ? messages.slice(0, -1) : messages;
}

function checkSpecialTokens(messages: readonly Message[], tokens: readonly string[], complain: Complain): void {
  for (const [i, { content, reasoning_content }] of messages.entries()) {
    const text = reasoning_content === undefined ? content : `${content}\n${reasoning_content}`;
    const token = tokens.find((t) => text.includes(t));
    if (token !== undefined) {
      complain('DATA_SPECIAL_TOKEN', `message ${i + 1} holds the text ${token}, a token of the chat template.`);
      return;
    }
  }
}

function rawRow(
  { prompt, answer }: { readonly prompt: string; readonly answer: string },
  fields: Fields,
  source: RowSource,
  options: NormaliseOptions,
  complain: Complain,
): Row {
  if (systemColumn(fields) !== undefined) complain('DATA_SYSTEM_RAW', 'has a system prompt.', 'use --format chat.');
  if (prompt.trim() === '') complain('DATA_EMPTY_TEXT', 'has an empty prompt.', 'use {text} rows where there is none.');
  if (answer.trim() === '' && options.answers !== 'optional')
    complain('DATA_EMPTY_ANSWER', 'has an empty answer.', 'write the answer, or remove the row.');
  return { source, kind: 'prompt', prompt, completion: answer };
}

function plainText(text: unknown, source: RowSource, complain: Complain): Row | undefined {
  if (typeof text !== 'string' && text !== null) {
    complain('DATA_MESSAGE', `text is ${kindOf(text)} where text is expected.`);
    return undefined;
  }
  if (text === null || text.trim() === '') {
    complain('DATA_EMPTY_TEXT', 'has an empty text.');
    return undefined;
  }
  return { source, kind: 'text', text };
}

function tokens(fields: Fields, source: RowSource, options: NormaliseOptions, complain: Complain): Row | undefined {
  const fault = (message: string) => {
    complain('DATA_IDS', message);
    return undefined;
  };
  const limit = options.vocabSize ?? 2 ** 31;
  const isId = (v: unknown) => Number.isInteger(v) && (v as number) >= 0 && (v as number) < limit;
  const ids = fields.input_ids;
  if (!Array.isArray(ids)) return fault(`input_ids is ${kindOf(ids)} where an array is expected.`);
  const bad = ids.findIndex((v) => !isId(v));
  if (bad >= 0) return fault(`input_ids[${bad}] is ${shown(ids[bad])}, which is no id from 0 to ${limit - 1}.`);
  const labels = present(fields, 'labels') ? fields.labels : ids;
  if (!Array.isArray(labels)) return fault(`labels is ${kindOf(labels)} where an array is expected.`);
  if (labels.length !== ids.length) return fault(`has ${labels.length} labels for ${ids.length} ids.`);
  const wrong = labels.findIndex((v) => v !== IGNORE && !isId(v));
  if (wrong >= 0) return fault(`labels[${wrong}] is ${shown(labels[wrong])}, neither an id nor ${IGNORE}.`);
  const mask = present(fields, 'attention_mask') ? fields.attention_mask : ids.map(() => 1);
  const span = maskedSpan(mask, ids.length);
  if (typeof span === 'string') return fault(span);
  const cut = { ids: ids.slice(...span) as number[], labels: labels.slice(...span) as number[] };
  if (!cut.labels.slice(1).some((v) => v !== IGNORE)) {
    complain('DATA_NOTHING_SUPERVISED', 'has no label after the first token.');
    return undefined;
  }
  return { source, kind: 'ids', ...cut };
}

/** Padding on either side is left out; a hole between tokens cannot be computed as transformers would. */
function maskedSpan(mask: unknown, length: number): [number, number] | string {
  if (!Array.isArray(mask)) return `attention_mask is ${kindOf(mask)} where an array is expected.`;
  if (mask.length !== length) return `has ${mask.length} entries of attention_mask for ${length} ids.`;
  const wrong = mask.findIndex((v) => v !== 0 && v !== 1);
  if (wrong >= 0) return `attention_mask[${wrong}] is ${shown(mask[wrong])}, not 0 or 1.`;
  const start = mask.indexOf(1);
  const end = mask.lastIndexOf(1) + 1;
  const hole = mask.indexOf(0, Math.max(0, start));
  if (hole >= 0 && hole < end) return `attention_mask[${hole}] is 0 between tokens that are not padding.`;
  return [Math.max(0, start), end];
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 40);
}

function isFilled(value: unknown): boolean {
  if (value === null || value === undefined || value === '') return false;
  return !(Array.isArray(value) && value.length === 0);
}
