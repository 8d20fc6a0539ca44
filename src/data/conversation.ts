import type { Message } from '../text/messages.ts';
import type { Complain } from './messages.ts';
import type { Answers } from './shapes.ts';

/** Checks what holds for every conversation, whatever the template: answers (or a question), their order, no empty turns. */
export function checkConversation(
  messages: readonly Message[],
  complain: Complain,
  answers: Answers = 'required',
): void {
  if (answers === 'optional') {
    const asks = messages.at(-1)?.role === 'assistant' ? messages.slice(0, -1) : messages;
    if (asks.every((m) => m.role === 'system')) {
      complain('DATA_NO_QUESTION', 'has nothing before its answer.');
      return;
    }
  } else if (messages.length === 0) {
    complain('DATA_NO_ASSISTANT', 'has no messages.');
    return;
  } else checkAnswers(messages, complain);
  checkOrder(messages, complain);
  for (const [i, message] of messages.entries()) {
    if (message.role === 'user' && message.content.trim() === '') {
      complain('DATA_EMPTY_TEXT', `message ${i + 1} (user) is empty.`);
      return;
    }
  }
}

function checkAnswers(messages: readonly Message[], complain: Complain): void {
  const answers = messages.filter((m) => m.role === 'assistant');
  if (answers.length === 0) {
    complain('DATA_NO_ASSISTANT', 'has no assistant message.');
    return;
  }
  const trained = answers.filter((m) => m.weight !== 0);
  if (trained.length === 0) complain('DATA_NOTHING_SUPERVISED', 'every assistant message has weight 0.');
  const empty = trained.find((m) => m.content.trim() === '' && (m.tool_calls ?? []).length === 0);
  if (empty !== undefined) {
    complain('DATA_EMPTY_ANSWER', `message ${messages.indexOf(empty) + 1} (assistant) is empty.`);
  }
  const last = messages.at(-1)!;
  if (last.role !== 'assistant') complain('DATA_TRAILING', `ends with a ${last.role} message.`);
}

function checkOrder(messages: readonly Message[], complain: Complain): void {
  for (const [i, message] of messages.entries()) {
    const before = messages[i - 1];
    const fault = orderFault(message, before, i);
    if (fault !== undefined) {
      complain('DATA_ORDER', fault.message, fault.fix);
      return;
    }
  }
}

function orderFault(
  message: Message,
  before: Message | undefined,
  i: number,
): { readonly message: string; readonly fix: string } | undefined {
  switch (message.role) {
    case 'system':
      if (before === undefined) return undefined;
      return before.role === 'system'
        ? { message: 'has two system messages.', fix: 'join them into one.' }
        : { message: `message ${i + 1} is a system message, but not the first.`, fix: 'put it first.' };
    case 'assistant':
      if (before?.role !== 'assistant') return undefined;
      return {
        message: `messages ${i} and ${i + 1} are both of the assistant.`,
        fix: 'join them into one, or put the missing user or tool message between them.',
      };
    case 'tool':
      if (before?.role === 'tool' || (before?.role === 'assistant' && (before.tool_calls ?? []).length > 0)) {
        return undefined;
      }
      return {
        message: `message ${i + 1} is a tool message without a tool call before it.`,
        fix: 'give the assistant message before it the tool_calls that it answers.',
      };
    case 'user':
      return undefined;
    default:
      return message.role satisfies never;
  }
}

/** The messages with `system` put first, unless they have a system message. */
export function withSystem(messages: readonly Message[], system: string | undefined): readonly Message[] {
  if (system === undefined || messages[0]?.role === 'system') return messages;
  return [{ role: 'system', content: system }, ...messages];
}
