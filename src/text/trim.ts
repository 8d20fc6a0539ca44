import type { Message, Tool } from './messages.ts';
import { type ExampleOptions, type RenderedExamples, renderExamples } from './render.ts';

/** How a conversation is made to fit. */
export interface TrimOptions extends ExampleOptions {
  /** Most tokens of an example. */
  readonly maxLength: number;
}

/** A conversation that fits, and what it took. */
export interface Trimmed {
  readonly messages: readonly Message[];
  readonly rendered: RenderedExamples;
  /** Turns that were left out: a user's message and what follows it. */
  readonly droppedTurns: number;
}

/**
 * Leaves out the oldest turns until every example fits: never the system prompt, nor the turn of the last trained answer.
 *
 * @returns undefined if even the last turn alone is too long
 * @throws what renderExamples throws
 */
export function trimContext(
  messages: readonly Message[],
  tools: readonly Tool[] | undefined,
  options: TrimOptions,
): Trimmed | undefined {
  const system = messages[0]?.role === 'system' ? [messages[0]] : [];
  const turns = splitTurns(messages.slice(system.length));
  const lastTrained = turns.findLastIndex((turn) => turn.some((m) => m.role === 'assistant' && m.weight !== 0));
  const attempt = (dropped: number): Trimmed => {
    const kept = [...system, ...turns.slice(dropped).flat()];
    return { messages: kept, rendered: renderExamples(kept, tools, options), droppedTurns: dropped };
  };
  const fits = ({ rendered }: Trimmed) => rendered.examples.every((e) => e.ids.length <= options.maxLength);
  // What is left gets shorter with every turn that goes, so the fewest are found by halving.
  let best: Trimmed | undefined;
  let low = 0;
  let high = Math.max(lastTrained, 0);
  while (low <= high) {
    const middle = best === undefined && low === 0 ? 0 : (low + high) >> 1;
    const trial = attempt(middle);
    if (fits(trial)) {
      best = trial;
      high = middle - 1;
    } else low = middle + 1;
  }
  return best;
}

/** Splits messages before each user message. */
function splitTurns(messages: readonly Message[]): Message[][] {
  const turns: Message[][] = [];
  for (const message of messages) {
    if (message.role === 'user' || turns.length === 0) turns.push([]);
    turns.at(-1)!.push(message);
  }
  return turns;
}
