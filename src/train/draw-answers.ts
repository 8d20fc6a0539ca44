import { type GenerationSession, generate } from '../generate/index.ts';
import type { TextTools, Tokenizer } from '../text/index.ts';
import type { Network } from './network.ts';
import { rolloutCache } from './rollout-cache.ts';
import { generationOf } from './samples.ts';

/** How answers are drawn. */
export interface DrawOptions {
  readonly maxTokens: number;
  /** 0, which is the default, takes the likeliest tokens. */
  readonly temperature?: number | undefined;
  readonly seed?: number | undefined;
  /** Number of the first answer, from which random draws count: another one, other answers. 0 if not given. */
  readonly first?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told how many answers are whole. */
  readonly onEnded?: ((ended: number) => void) | undefined;
}

/** An answer that was drawn. */
export interface DrawnText {
  /** With the token that ended it. */
  readonly ids: readonly number[];
  readonly text: string;
  /** Whether it was cut at `maxTokens`. */
  readonly isTruncated: boolean;
}

/** What draws. */
export interface Drawing {
  readonly session: GenerationSession;
  readonly stopIds: ReadonlySet<number>;
  readonly tokenizer: Tokenizer;
}

/**
 * Draws answers with a network as it stands, many side by side: a function of (seed, number of the answer, weights).
 *
 * @param prompts token ids, as rendered; of several answers to one prompt (the same array, one after the other) keys and values are computed once
 * @returns one answer to each, in their order
 */
export async function drawAnswers(
  net: Network,
  prompts: readonly (readonly number[])[],
  { tokenizer, template, ...options }: DrawOptions & TextTools,
): Promise<DrawnText[]> {
  const format = template === undefined ? 'raw' : 'chat';
  return drawWith(
    generationOf({ net, text: { tokenizer, template, format, trainOn: 'last', allow: [] } }),
    prompts,
    options,
  );
}

/** As {@link drawAnswers}, with a session. */
export async function drawWith(
  { session, stopIds, tokenizer }: Drawing,
  prompts: readonly (readonly number[])[],
  { maxTokens, temperature = 0, seed = 0, first = 0, signal, onEnded = () => {} }: DrawOptions,
): Promise<DrawnText[]> {
  const promptTokens = prompts.reduce((n, prompt) => Math.max(n, prompt.length), 1);
  const { rows: batch } = rolloutCache(session.base.config, { answers: prompts.length, promptTokens, maxTokens });
  const sampling = { temperature, seed };
  const options = { tokenizer, maxTokens, sampling, stopIds, batch, firstIndex: first };
  const drawn = new Array<DrawnText>(prompts.length);
  let ended = 0;
  for await (const event of generate(session, prompts, signal === undefined ? options : { ...options, signal })) {
    if (event.type !== 'result') continue;
    drawn[event.index - first] = { ids: event.ids, text: event.text, isTruncated: event.stop === 'length' };
    onEnded(++ended);
  }
  return drawn;
}
