import { TunesmithError } from '../errors/index.ts';
import type { ChatTemplate } from './chat-template.ts';
import type { Tokenizer } from './tokenizer.ts';

/** How a template ends an answer. */
export interface EndOfTurn {
  /** The token that the model learns to stop with. */
  readonly id: number;
  readonly token: string;
  /** What the template writes between the answer and the end of the token, the token included: `<|im_end|>`, ` </s>`. */
  readonly text: string;
  /** `text` and what the template writes after it. */
  readonly closing: string;
}

/** Words that no template and no tokenizer treats in a special way. */
const QUESTION = 'probing question';
const ANSWER = 'probing answer';

/**
 * Finds the token that ends an answer by rendering a conversation: the first special token after the answer.
 *
 * @throws TEMPLATE_NO_END_OF_TURN if there is none, so that the model could not learn to stop
 */
export function endOfTurn(template: ChatTemplate, tokenizer: Tokenizer): EndOfTurn {
  const rendered = template.render([
    { role: 'user', content: QUESTION },
    { role: 'assistant', content: ANSWER },
  ]);
  const at = rendered.lastIndexOf(ANSWER);
  const closing = at < 0 ? '' : rendered.slice(at + ANSWER.length);
  const id = firstTurnToken(closing, tokenizer);
  const token = id === undefined ? undefined : tokenizer.idToToken(id);
  const end = token === undefined ? -1 : closing.indexOf(token);
  if (id === undefined || token === undefined || end < 0) {
    const message = `after an answer the chat template writes ${JSON.stringify(closing)}, which has no special token.`;
    throw new TunesmithError('TEMPLATE_NO_END_OF_TURN', { message });
  }
  return { id, token, text: closing.slice(0, end + token.length), closing };
}

function firstTurnToken(closing: string, tokenizer: Tokenizer): number | undefined {
  const special = tokenizer.encode(closing).find((id) => tokenizer.specialIds.has(id) || id === tokenizer.eosId);
  // Some tokenizers list the token without the mark of a special one.
  return special ?? tokenizer.tokenToId(closing.trim());
}

/**
 * The answer of one turn up to and with the token that ends it.
 *
 * @param tail what the template writes after the prompt that serving shows
 * @throws TEMPLATE_NO_END_OF_TURN if the tail ends otherwise
 */
export function cutAnswer(tail: string, end: EndOfTurn, tokenizer: Tokenizer): string {
  if (tail.endsWith(end.closing)) return tail.slice(0, tail.length - end.closing.length + end.text.length);
  // Some turns end with another token than others, as tool calls of Llama 3.1 do.
  const trimmed = tail.trimEnd();
  const last = tokenizer.encode(trimmed).at(-1);
  if (last !== undefined && (tokenizer.specialIds.has(last) || last === end.id)) return trimmed;
  const message = `the chat template ends an answer with ${JSON.stringify(tail.slice(-20))} and not with ${end.token}.`;
  throw new TunesmithError('TEMPLATE_NO_END_OF_TURN', { message });
}
