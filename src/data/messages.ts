import { type ErrorCode, nearestName } from '../errors/index.ts';
import { type Message, ROLES, type Role, type Tool, type ToolCall } from '../text/messages.ts';
import { type Fields, kindOf, present } from './shapes.ts';

/** Says what is wrong with the row at hand. */
export type Complain = (code: ErrorCode, message: string, fix?: string) => void;

/** Keys of a message that are understood. */
export const MESSAGE_KEYS: ReadonlySet<string> = new Set([
  ...['role', 'from', 'content', 'value', 'reasoning_content', 'reasoning', 'thinking', 'weight', 'train'],
  ...['tool_calls', 'tool_call', 'function_call', 'tool_call_id', 'name', 'refusal'],
]);

/** How messages are read. */
export interface MessageOptions {
  /** Roles of the file to roles of ours, from --role bot=assistant. */
  readonly roles?: Readonly<Record<string, Role>>;
  /** ShareGPT's names of roles are understood too. */
  readonly shareGpt?: boolean;
}

const SHAREGPT_ROLES: Readonly<Record<string, Role>> = {
  human: 'user',
  gpt: 'assistant',
  function_call: 'assistant',
  observation: 'tool',
};

/** Later names of the OpenAI API for what chat templates call system and tool. */
const OPENAI_ROLES: Readonly<Record<string, Role>> = { developer: 'system', function: 'tool' };

/** What people call a role, to suggest a mapping. */
const ROLE_HINTS: Readonly<Record<string, Role>> = {
  bot: 'assistant',
  ai: 'assistant',
  model: 'assistant',
  gpt: 'assistant',
  chatgpt: 'assistant',
  agent: 'assistant',
  human: 'user',
  customer: 'user',
  client: 'user',
  observation: 'tool',
  instruction: 'system',
};

/** Deepest nesting of tools and arguments; real ones stay far below, and deeper ones would exhaust the stack later. */
const MAX_DEPTH = 100;

/** Message objects to messages; what is wrong is reported, and undefined returned if no conversation can be made of it. */
export function readMessages(value: unknown, options: MessageOptions, complain: Complain): Message[] | undefined {
  const list = parsedList(value);
  if (list === undefined) {
    complain('DATA_MESSAGE', `messages is ${kindOf(value)} where an array is expected.`);
    return undefined;
  }
  const messages = list.map((item, i) => readMessage(item, i, options, complain));
  return messages.every((m) => m !== undefined) ? messages : undefined;
}

function readMessage(item: unknown, i: number, options: MessageOptions, complain: Complain): Message | undefined {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) {
    complain('DATA_MESSAGE', `message ${i + 1} is ${kindOf(item)} where an object is expected.`);
    return undefined;
  }
  const fields = item as Fields;
  const name = fields.role ?? fields.from;
  const role = readRole(name, i, options, complain);
  const isCall = options.shareGpt === true && name === 'function_call';
  const calls = isCall ? shareGptCalls(fields.value ?? fields.content, i, complain) : readCalls(fields, i, complain);
  const body = fields.content ?? fields.value;
  const text = role === 'tool' ? toolResult(body) : body;
  const content = isCall ? '' : readContent(text, i, calls !== 'none', complain);
  const weight = readWeight(fields, role, i, complain);
  if (role === undefined || content === undefined || calls === undefined || weight === undefined) return undefined;
  const reasoning = firstText(fields, ['reasoning_content', 'reasoning', 'thinking']);
  return {
    role,
    content,
    ...(reasoning === undefined ? {} : { reasoning_content: reasoning }),
    ...(calls === 'none' ? {} : { tool_calls: calls }),
    ...(typeof fields.tool_call_id === 'string' ? { tool_call_id: fields.tool_call_id } : {}),
    ...(typeof fields.name === 'string' ? { name: fields.name } : {}),
    ...(weight === 'none' ? {} : { weight }),
  };
}

function readRole(name: unknown, i: number, options: MessageOptions, complain: Complain): Role | undefined {
  if (typeof name !== 'string') {
    complain('DATA_ROLE_UNKNOWN', `message ${i + 1} has no role.`, `give it one of ${ROLES.join(', ')}.`);
    return undefined;
  }
  const tables = [options.roles, OPENAI_ROLES, options.shareGpt === true ? SHAREGPT_ROLES : undefined];
  for (const table of tables) if (table !== undefined && Object.hasOwn(table, name)) return table[name];
  const role = ROLES.find((r) => r === name);
  if (role !== undefined) return role;
  const lower = name.toLowerCase();
  const hint = Object.hasOwn(ROLE_HINTS, lower) ? ROLE_HINTS[lower] : nearestName(name, ROLES);
  const quoted = /^[\w-]+$/.test(name) ? name : JSON.stringify(name);
  complain(
    'DATA_ROLE_UNKNOWN',
    `role "${name}" is not one of ${ROLES.join(', ')}.`,
    `--role ${quoted}=${hint ?? `ROLE, with ROLE one of ${ROLES.join(', ')}`}`,
  );
  return undefined;
}

/** Text, or OpenAI's parts of text joined without anything between them. */
function readContent(value: unknown, i: number, hasCalls: boolean, complain: Complain): string | undefined {
  if (typeof value === 'string') return value;
  if (value === null || value === undefined) {
    if (hasCalls) return '';
    complain('DATA_MESSAGE', `message ${i + 1} has no content.`);
    return undefined;
  }
  if (!Array.isArray(value)) {
    complain('DATA_MESSAGE', `the content of message ${i + 1} is ${kindOf(value)} where text is expected.`);
    return undefined;
  }
  const texts = value.map((part: unknown) => partText(part));
  const bad = texts.find((t) => typeof t !== 'string');
  if (bad === undefined) return texts.join('');
  const { type } = bad as { type: string };
  if (type === 'unknown') complain('DATA_MESSAGE', `message ${i + 1} has a part without text.`);
  else complain('IMAGE_NOT_SUPPORTED', `message ${i + 1} has a part of type "${type}".`);
  return undefined;
}

/** What a tool returned may be data; as text it is JSON. Parts of text stay parts. */
function toolResult(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || isTooDeep(value)) return value;
  const isPart = (p: unknown) =>
    typeof p === 'string' || (isPlainObject(p) && typeof p.type === 'string' && 'text' in p);
  return Array.isArray(value) && value.length > 0 && value.every(isPart) ? value : JSON.stringify(value);
}

function partText(part: unknown): string | { readonly type: string } {
  if (typeof part === 'string') return part;
  if (typeof part !== 'object' || part === null) return { type: 'unknown' };
  const { type, text, refusal } = part as Fields;
  const isText = type === undefined || type === 'text' || type === 'input_text' || type === 'output_text';
  if (isText) return typeof text === 'string' ? text : { type: 'unknown' };
  if (type === 'refusal' && typeof refusal === 'string') return refusal;
  return { type: typeof type === 'string' ? type : 'unknown' };
}

function readCalls(fields: Fields, i: number, complain: Complain): ToolCall[] | 'none' | undefined {
  // One call on its own: OpenAI's older name, and what some sets write.
  const single = ['function_call', 'tool_call'].find((name) => present(fields, name));
  const value = present(fields, 'tool_calls') ? fields.tool_calls : single && [fields[single]];
  if (value === undefined) return 'none';
  const list = parsedList(value);
  if (list === undefined) {
    complain('DATA_TOOL_CALL', `the tool_calls of message ${i + 1} are ${kindOf(value)} where an array is expected.`);
    return undefined;
  }
  if (list.length === 0) return 'none';
  const calls = list.map((call) => readCall(call, i, complain));
  return calls.every((c) => c !== undefined) ? calls : undefined;
}

function readCall(value: unknown, i: number, complain: Complain): ToolCall | undefined {
  const fields = typeof value === 'object' && value !== null ? (value as Fields) : {};
  // Some sets leave out the inner "function" object.
  const inner = typeof fields.function === 'object' && fields.function !== null ? (fields.function as Fields) : fields;
  if (typeof inner.name !== 'string' || inner.name === '') {
    complain('DATA_TOOL_CALL', `a tool call of message ${i + 1} names no function.`);
    return undefined;
  }
  const args = readArguments(inner.arguments ?? inner.parameters);
  if (args === undefined) {
    complain('DATA_TOOL_CALL', `the arguments of "${inner.name}" in message ${i + 1} are not a JSON object.`);
    return undefined;
  }
  const id = typeof fields.id === 'string' ? { id: fields.id } : {};
  return { ...id, type: 'function', function: { name: inner.name, arguments: args } };
}

/** Chat templates want the object; the OpenAI API writes it as text. */
function readArguments(value: unknown): Fields | undefined {
  if (value === null || value === undefined || value === '') return {};
  const parsed = typeof value === 'string' ? parseJson(value) : value;
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined;
  return isTooDeep(parsed) ? undefined : (parsed as Fields);
}

function shareGptCalls(value: unknown, i: number, complain: Complain): ToolCall[] | undefined {
  const parsed = typeof value === 'string' ? parseJson(value) : value;
  const calls = (Array.isArray(parsed) ? parsed : [parsed]).map((call: unknown) => readCall(call, i, complain));
  return calls.every((c) => c !== undefined) ? calls : undefined;
}

function readWeight(fields: Fields, role: Role | undefined, i: number, complain: Complain): 0 | 1 | 'none' | undefined {
  // axolotl writes the same as `train: false`.
  const value = fields.weight ?? (typeof fields.train === 'boolean' ? Number(fields.train) : undefined);
  if (value === undefined || value === null) return 'none';
  if (value !== 0 && value !== 1) {
    complain('DATA_WEIGHT', `the weight of message ${i + 1} is ${JSON.stringify(value)}, not 0 or 1.`);
    return undefined;
  }
  if (role === 'assistant') return value;
  if (value === 1 && fields.weight !== undefined && role !== undefined) {
    complain('DATA_WEIGHT', `message ${i + 1} has a weight of 1, but ${role} messages are never trained.`);
    return undefined;
  }
  return 'none';
}

/** `tools` (or OpenAI's older `functions`) of a row: an array of objects, or one as JSON text. */
export function readTools(fields: Fields, complain: Complain): Tool[] | 'none' | undefined {
  const legacy = present(fields, 'functions') && !present(fields, 'tools');
  const value = legacy ? fields.functions : fields.tools;
  if (value === undefined || value === null || value === '') return 'none';
  const list = parsedList(value);
  if (list === undefined || !list.every(isPlainObject) || isTooDeep(list)) {
    complain('DATA_TOOL_CALL', 'tools is not an array of objects.');
    return undefined;
  }
  if (list.length === 0) return 'none';
  return list.map((tool) => (legacy ? { type: 'function', function: tool } : tool));
}

function isPlainObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTooDeep(value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) return true;
    level = level.flatMap((v) => (typeof v === 'object' && v !== null ? Object.values(v) : []));
  }
  return false;
}

/** An array, or JSON text of one, as tables hold it. */
function parsedList(value: unknown): unknown[] | undefined {
  const parsed = typeof value === 'string' ? parseJson(value) : value;
  return Array.isArray(parsed) ? (parsed as unknown[]) : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function firstText(fields: Fields, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = fields[name];
    if (typeof value === 'string' && value !== '') return value;
  }
  return undefined;
}
