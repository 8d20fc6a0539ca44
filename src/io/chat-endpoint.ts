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

/**
 * Asks an endpoint for one answer at temperature 0. A busy one is asked again.
 *
 * @throws DOWNLOAD_UNREACHABLE, DOWNLOAD_BUSY, EVAL_JUDGE for a refusal and for what is no answer
 */
export async function askEndpoint(
  { url, model, key }: ChatEndpoint,
  messages: readonly { readonly role: string; readonly content: string }[],
  signal: AbortSignal,
): Promise<string> {
  const address = `${url.replace(/\/+$/, '')}/chat/completions`;
  const { value } = await requestJson(address, {
    headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) },
    send: { method: 'POST', body: () => JSON.stringify({ model, messages, temperature: 0 }) },
    reachWithin: PATIENCE,
    signal,
    refusal: ({ status }) => new TunesmithError('EVAL_JUDGE', { message: `${address} answered ${status}.` }),
  });
  const answer = Answer.safeParse(value);
  if (answer.success) return answer.data.choices[0]!.message.content;
  throw new TunesmithError('EVAL_JUDGE', { message: `${address} did not answer as OpenAI's API does.` });
}
