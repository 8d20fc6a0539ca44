import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { TunesmithError } from '../errors/index.ts';
import { requestJson } from './http.ts';

/** An OpenAI-compatible endpoint: where it is, what it is called there, and what opens it. */
export interface ChatEndpoint {
  /** As its clients are told it, such as http://localhost:8080/v1. */
  readonly url: string;
  readonly model: string;
  readonly key?: string | undefined;
}

const Answer = z.looseObject({
  choices: z.array(z.looseObject({ message: z.looseObject({ content: z.string() }) })).min(1),
});

/** Milliseconds in which an answer must have begun. */
const PATIENCE = 180_000;
/** Milliseconds before an endpoint that cannot be reached is asked again: it may be starting. */
const PAUSES = [500, 2000];

/**
 * Asks an endpoint for one answer at temperature 0. A busy one is asked again, and one that cannot be reached.
 *
 * @throws DOWNLOAD_BUSY, EVAL_JUDGE where nobody answers, for a refusal and for what is no answer
 */
export async function askEndpoint(
  { url, model, key }: ChatEndpoint,
  messages: readonly { readonly role: string; readonly content: string }[],
  signal: AbortSignal,
): Promise<string> {
  const address = `${url.replace(/\/+$/, '')}/chat/completions`;
  const { value } = await reached(address, signal, () =>
    requestJson(address, {
      headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) },
      send: { method: 'POST', body: () => JSON.stringify({ model, messages, temperature: 0 }) },
      reachWithin: PATIENCE,
      signal,
      refusal: ({ status }) => new TunesmithError('EVAL_JUDGE', { message: `${address} answered ${status}.` }),
    }),
  );
  const answer = Answer.safeParse(value);
  if (answer.success) return answer.data.choices[0]!.message.content;
  throw new TunesmithError('EVAL_JUDGE', { message: `${address} did not answer as OpenAI's API does.` });
}

async function reached<T>(
  address: string,
  signal: AbortSignal,
  ask: () => Promise<T>,
  [wait, ...later]: readonly number[] = PAUSES,
): Promise<T> {
  const since = performance.now();
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof TunesmithError) || error.code !== 'DOWNLOAD_UNREACHABLE') throw error;
    // One that was waited for in vain is not waited for again.
    if (wait === undefined || performance.now() - since > PATIENCE / 2) {
      const { message } = error.details;
      throw new TunesmithError('EVAL_JUDGE', { message, fix: `start what answers at ${address}`, cause: error });
    }
    await pause(wait, undefined, { signal });
    return reached(address, signal, ask, later);
  }
}
