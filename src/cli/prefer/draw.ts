import { distinctAnswers } from '../../align/ranking/answers.ts';
import { itemId } from '../../align/ranking/log.ts';
import type { DrawnAnswer, RankingItem } from '../../align/ranking/types.ts';
import type { ModelSession, Prompt, Sampling } from '../domain.ts';

/** A model, or its base, with a way to draw. */
export interface AnswerSource {
  readonly session: ModelSession;
  /** Without the adapter. */
  readonly base: boolean;
  readonly sampling: Sampling;
  /** What it is called in the file. */
  readonly by: string;
}

/** Times that a source is asked again whose answers were alike. */
const ROUNDS = 3;
/** Numbers between the draws of one prompt and the next, and of one round and the next. */
const STRIDE = 16;

/** Draws answers to a prompt, by turns from each source, until they differ or the sources have nothing else to say. */
export async function drawAnswers(
  prompt: Prompt,
  index: number,
  {
    sources,
    count,
    signal,
  }: { readonly sources: readonly AnswerSource[]; readonly count: number; readonly signal: AbortSignal },
): Promise<RankingItem | undefined> {
  let answers: DrawnAnswer[] = [];
  const share = (n: number, i: number) => Math.floor((n - i + sources.length - 1) / sources.length);
  for (let round = 0; round < ROUNDS && answers.length < count; round++) {
    const missing = count - answers.length;
    for (const [i, source] of sources.entries()) {
      const { temperature } = source.sampling;
      // What always takes the likeliest token says the same again.
      if (round > 0 && temperature === 0) continue;
      const had = answers.filter(({ by }) => by === source.by).length;
      // In the last round whoever can still say something new fills up.
      const own = round === ROUNDS - 1 ? share(missing, i) : share(count, i) - had;
      const first = (index * ROUNDS + round) * STRIDE;
      answers.push(...(await drawn(prompt, temperature === 0 ? 1 : own, first, source, signal)));
    }
    if (signal.aborted) return undefined;
    answers = distinctAnswers(answers);
  }
  answers = answers.slice(0, count);
  if (answers.length === 0) return undefined;
  const asked = prompt.kind === 'text' ? prompt.text : prompt.messages;
  const tools = prompt.kind === 'messages' && prompt.tools !== undefined ? { tools: prompt.tools } : {};
  return {
    id: itemId(
      asked,
      answers.map(({ text }) => text),
    ),
    prompt: asked,
    answers,
    ...tools,
  };
}

async function drawn(
  prompt: Prompt,
  count: number,
  firstIndex: number,
  { session, base, sampling, by }: AnswerSource,
  signal: AbortSignal,
): Promise<DrawnAnswer[]> {
  if (count <= 0) return [];
  const answers: DrawnAnswer[] = [];
  const prompts = Array.from({ length: count }, () => prompt);
  for await (const event of session.generate(prompts, { ...sampling, base, firstIndex, signal })) {
    if (event.type === 'result') answers.push({ text: event.text.trim(), by });
  }
  return answers;
}
