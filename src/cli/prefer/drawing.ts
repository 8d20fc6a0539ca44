import type { Desk } from '../../align/ranking/desk.ts';
import type { RankingFile } from '../../align/ranking/log.ts';
import type { RankingItem } from '../../align/ranking/types.ts';
import type { Prompt } from '../domain.ts';
import { type AnswerSource, drawAnswers } from './draw.ts';

/** Answers that are drawn while people judge those that are there. */
export interface Drawing {
  /** Resolves when an item has come or the last one was drawn. @throws what drawing throws */
  changed(): Promise<void>;
  /** Prompts that got no answer at all. */
  readonly unanswered: number;
  /** Stops, and waits until nothing computes any more. */
  stop(): Promise<void>;
}

/** What is drawn, and where it goes. */
export interface DrawingRequest {
  readonly prompts: readonly Prompt[];
  readonly sources: readonly AnswerSource[];
  readonly count: number;
  readonly file: RankingFile;
  readonly desk: Desk;
}

/** The prompt of an item as a key: the same question is not asked again. */
export function promptKey({ prompt, tools }: Pick<RankingItem, 'prompt' | 'tools'>): string {
  return JSON.stringify([prompt, tools ?? []]);
}

/** Draws answers to each prompt that the file does not hold yet. */
export function startDrawing({ prompts, sources, count, file, desk }: DrawingRequest): Drawing {
  const stop = new AbortController();
  const { items } = file.rankings;
  const known = new Set([...items.values()].map(promptKey));
  const missing = [...prompts.entries()].filter(([, prompt]) => !known.has(keyOf(prompt)));
  let ring = () => {};
  let bell = Promise.resolve();
  const hang = () => {
    bell = new Promise((resolve) => {
      ring = resolve;
    });
  };
  let unanswered = 0;
  let failure: unknown;
  hang();
  const all = items.size + missing.length;
  desk.expect(all, missing.length > 0);
  const run = async () => {
    try {
      for (const [index, prompt] of missing) {
        const item = await drawAnswers(prompt, index, { sources, count, signal: stop.signal });
        if (stop.signal.aborted) return;
        if (item === undefined) unanswered++;
        else file.add({ type: 'item', item });
        desk.expect(all - unanswered, true);
        ring();
        hang();
      }
      desk.expect(items.size, false);
    } catch (error) {
      failure = error;
    } finally {
      ring();
    }
  };
  const finished = run();
  return {
    changed: async () => {
      if (failure === undefined) await bell;
      if (failure !== undefined) throw failure;
    },
    get unanswered() {
      return unanswered;
    },
    stop: async () => {
      stop.abort();
      await finished;
    },
  };
}

function keyOf(prompt: Prompt): string {
  if (prompt.kind === 'text') return promptKey({ prompt: prompt.text });
  return promptKey({ prompt: prompt.messages, ...(prompt.tools === undefined ? {} : { tools: prompt.tools }) });
}
