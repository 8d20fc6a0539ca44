import { type ErrorCode, TunesmithError } from '../errors/index.ts';
import { isRecord } from '../io/json-checks.ts';
import { callArguments } from './chat-template.ts';
import { stringOf } from './json.ts';
import type { Message, Tool, ToolCall } from './messages.ts';

/** What was rendered of a conversation, to be held against its messages. */
export interface Rendered {
  /** For each trained answer the prompt and the answer, in order. */
  readonly texts: readonly string[];
  /** The answers that are trained, by the index of their message. */
  readonly answers: ReadonlyMap<number, string>;
}

/**
 * Holds a rendering against its messages: what a template leaves out would silently not be trained.
 *
 * @param messages those that are rendered: up to the last trained answer
 * @throws TEMPLATE_NO_TOOLS, TEMPLATE_NO_REASONING, TEMPLATE_DROPS_MESSAGE
 */
export function checkShown(messages: readonly Message[], tools: readonly Tool[], rendered: Rendered): void {
  // The last text is the longest, and mostly holds all.
  const shown = (text: string) => rendered.texts.findLast((t) => holds(t, text)) !== undefined;
  for (const tool of tools) {
    const name = toolName(tool);
    if (name !== undefined && !shown(name)) throw missing('TEMPLATE_NO_TOOLS', `does not show the tool ${name}`);
  }
  for (const [i, message] of messages.entries()) {
    const answer = rendered.answers.get(i);
    checkContent(message, i, answer === undefined ? shown : (text) => holds(answer, text));
    const reasoning = message.reasoning_content?.trim() ?? '';
    if (answer !== undefined && reasoning !== '' && !holds(answer, reasoning)) {
      throw missing('TEMPLATE_NO_REASONING', `does not show the reasoning_content of message ${i + 1}`);
    }
    for (const call of message.tool_calls ?? []) {
      checkCall(call, i, answer === undefined ? shown : (text) => holds(answer, text));
    }
  }
}

function missing(code: ErrorCode, what: string): TunesmithError {
  return new TunesmithError(code, { message: `the chat template ${what}.` });
}

/** Whether a text stands in the rendering, as it is or escaped as in JSON. */
function holds(rendering: string, text: string): boolean {
  return rendering.includes(text) || rendering.includes(JSON.stringify(text).slice(1, -1));
}

function toolName(tool: Tool): string | undefined {
  return stringOf(isRecord(tool.function) ? tool.function.name : tool.name);
}

function checkContent(message: Message, i: number, shown: (text: string) => boolean): void {
  const content = message.content.trim();
  // Reasoning templates take answers with inline reasoning apart and set other white space: the last line stays.
  const text = message.role === 'assistant' ? content.slice(content.lastIndexOf('\n') + 1) : content;
  if (text === '' || shown(text)) return;
  const code = message.role === 'tool' ? 'TEMPLATE_NO_TOOLS' : 'TEMPLATE_DROPS_MESSAGE';
  throw missing(code, `does not show the content of message ${i + 1} (${message.role})`);
}

function checkCall(call: ToolCall, i: number, shown: (text: string) => boolean): void {
  const { name } = call.function;
  const lost = [name, ...leaves(callArguments(call))].find((text) => !shown(text));
  if (lost === undefined) return;
  const what = lost === name ? '' : ` with the argument ${JSON.stringify(lost)}`;
  throw missing('TEMPLATE_NO_TOOLS', `does not show the call of ${name}${what} in message ${i + 1}`);
}

/** Strings and numbers within a JSON value. Words such as true are spelled differently by templates. */
function leaves(value: unknown): string[] {
  if (typeof value === 'string') return value === '' ? [] : [value];
  if (typeof value === 'number') return Number.isInteger(value) ? [String(value)] : [];
  if (Array.isArray(value)) return value.flatMap(leaves);
  return isRecord(value) ? Object.values(value).flatMap(leaves) : [];
}
