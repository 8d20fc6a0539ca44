import { TunesmithError } from '../errors/index.ts';
import type { Message } from './messages.ts';
import type { Tokenizer } from './tokenizer.ts';

/** Finds the first special token that stands in a text as text. */
export type FindSpecial = (text: string) => string | undefined;

/** Texts of the special tokens that content may not hold, longest first. White space is none. */
export function specialTexts(tokenizer: Tokenizer): readonly string[] {
  const texts = [...tokenizer.specialIds].map((id) => tokenizer.idToToken(id));
  return texts.filter((t) => t !== undefined && t.trim() !== '').sort((a, b) => b!.length - a!.length) as string[];
}

/** Compiles the search for special tokens once for a tokenizer. */
export function findSpecial(tokenizer: Tokenizer): FindSpecial {
  const texts = specialTexts(tokenizer);
  if (texts.length === 0) return () => undefined;
  const pattern = new RegExp(texts.map((t) => t.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|'));
  return (text) => pattern.exec(text)?.[0];
}

/**
 * Refuses messages that hold a special token as text: it would be read as the real token.
 *
 * @throws DATA_SPECIAL_TOKEN
 */
export function checkSpecialText(messages: readonly Message[], find: FindSpecial): void {
  for (const [i, message] of messages.entries()) {
    const calls = message.tool_calls === undefined ? '' : JSON.stringify(message.tool_calls);
    for (const text of [message.content, message.reasoning_content ?? '', message.name ?? '', calls]) {
      const token = text === '' ? undefined : find(text);
      if (token === undefined) continue;
      const message = `message ${i + 1} holds the text ${token}, which the tokenizer reads as a special token.`;
      throw new TunesmithError('DATA_SPECIAL_TOKEN', { message });
    }
  }
}
