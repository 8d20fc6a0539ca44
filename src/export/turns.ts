import { TunesmithError } from '../errors/index.ts';
import type { ChatTemplate, Message } from '../text/index.ts';

/**
 * A chat template as six texts around what people write. A conversation is `head` SYSTEM `afterSystem` QUESTION `afterUser` ANSWER `afterAnswer`
 * QUESTION `opening`, and without a system message it begins with `start`.
 */
export interface TurnFormat {
  readonly start: string;
  /** Undefined for a template that refuses system messages. */
  readonly system: { readonly head: string; readonly afterSystem: string } | undefined;
  readonly afterUser: string;
  /** After the last question: what opens the answer. */
  readonly opening: string;
  readonly afterAnswer: string;
}

const SYSTEM = 'probing system prompt';
const QUESTIONS = ['probing question', 'second probing question', 'third probing question'] as const;
const ANSWERS = ['probing answer', 'second probing answer'] as const;

/**
 * Finds the turn format of a template, by rendering conversations and looking at what stands between the messages. Conversations of other lengths then
 * show whether six texts are all there is to it; undefined if not, as for templates that count turns or leave some out.
 */
export function turnFormat(template: ChatTemplate): TurnFormat | undefined {
  const bare = segments(template, conversation(2, false), [QUESTIONS[0], ANSWERS[0], QUESTIONS[1]]);
  if (bare === undefined) return undefined;
  const [start = '', afterUser = '', afterAnswer = '', opening = ''] = bare;
  const told = segments(template, conversation(1, true), [SYSTEM, QUESTIONS[0]]);
  const system = told && { head: told[0] ?? '', afterSystem: told[1] ?? '' };
  const format = { start, system, afterUser, afterAnswer, opening };
  const tried = [1, 2, 3].flatMap((questions) => [conversation(questions, false), conversation(questions, true)]);
  const shown = tried.filter((messages) => system !== undefined || messages[0]?.role !== 'system');
  return shown.every((messages) => renderTurns(format, messages) === tryRender(template, messages))
    ? format
    : undefined;
}

/** What a turn format makes of a conversation that ends with a question. */
export function renderTurns(format: TurnFormat, messages: readonly Message[]): string {
  return messages
    .map(({ role, content }, i) => {
      if (role === 'system') return `${format.system?.head ?? ''}${content}${format.system?.afterSystem ?? ''}`;
      if (role === 'assistant') return `${content}${format.afterAnswer}`;
      const isLast = i === messages.length - 1;
      return `${i === 0 ? format.start : ''}${content}${isLast ? format.opening : format.afterUser}`;
    })
    .join('');
}

function conversation(questions: number, withSystem: boolean): Message[] {
  const turns = QUESTIONS.slice(0, questions).flatMap((question, i): Message[] => {
    const answer = i === 0 ? [] : [{ role: 'assistant', content: ANSWERS[i - 1] ?? '' } as const];
    return [...answer, { role: 'user', content: question }];
  });
  return withSystem ? [{ role: 'system', content: SYSTEM }, ...turns] : turns;
}

/** The texts before, between and after `contents`, which stand in this order; undefined where they do not. */
function segments(
  template: ChatTemplate,
  messages: readonly Message[],
  contents: readonly string[],
): string[] | undefined {
  const text = tryRender(template, messages);
  if (text === undefined) return undefined;
  const found: string[] = [];
  let at = 0;
  for (const content of contents) {
    const next = text.indexOf(content, at);
    if (next < 0) return undefined;
    found.push(text.slice(at, next));
    at = next + content.length;
  }
  return [...found, text.slice(at)];
}

function tryRender(template: ChatTemplate, messages: readonly Message[]): string | undefined {
  try {
    return template.render(messages, { addGenerationPrompt: true });
  } catch (error) {
    if (error instanceof TunesmithError) return undefined;
    throw error;
  }
}
