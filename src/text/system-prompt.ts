import { TunesmithError } from '../errors/index.ts';
import type { ChatTemplate } from './chat-template.ts';

const SYSTEM = 'probing system prompt';
const QUESTION = 'probing question';

/**
 * The system prompt that a template inserts where a conversation has none, such as SmolLM2's "You are a helpful AI assistant named SmolLM,
 * trained by Hugging Face". Undefined where it inserts none, or has no place for one.
 *
 * Found by comparing what is rendered with and without a system message.
 */
export function templateSystemPrompt(template: ChatTemplate): string | undefined {
  const user = { role: 'user', content: QUESTION } as const;
  const bare = tryRender(() => template.render([user]));
  const filled = tryRender(() => template.render([{ role: 'system', content: SYSTEM }, user]));
  const at = filled?.indexOf(SYSTEM) ?? -1;
  if (bare === undefined || filled === undefined || at < 0) return undefined;
  const before = filled.slice(0, at);
  const after = filled.slice(at + SYSTEM.length);
  if (!bare.startsWith(before) || !bare.endsWith(after)) return undefined;
  const inserted = bare.slice(before.length, bare.length - after.length).trim();
  return inserted === '' ? undefined : inserted;
}

/** Undefined where the template refuses such a conversation. */
function tryRender(render: () => string): string | undefined {
  try {
    return render();
  } catch (error) {
    if (error instanceof TunesmithError) return undefined;
    throw error;
  }
}
