import type { Handle } from '../../engine/index.ts';
import { type GenerationSession, generate, openStoredBase, type StoredBase } from '../../generate/index.ts';
import type { AdapterHandles } from '../../model/adapter-handles.ts';
import type { RunContext } from '../../train/context.ts';
import type { OnlineMethod } from '../../train/methods.ts';
import type { Network } from '../../train/network.ts';
import { rolloutCache } from '../../train/rollout-cache.ts';
import { generationOf } from '../../train/samples.ts';

/** An answer that the model drew. */
export interface Rollout {
  /** With the token that ended it. */
  readonly ids: readonly number[];
  readonly text: string;
  /** Whether it was cut at --max-tokens. */
  readonly isTruncated: boolean;
}

/** Draws answers to prompts. */
export interface Roller {
  /**
   * Answers to each prompt, one prompt's after the other's.
   *
   * @param count of answers to each
   * @param first number of the first answer, from which random draws count; undefined takes the likeliest tokens
   */
  draw(
    prompts: readonly (readonly number[])[],
    count: number,
    first: number | undefined,
    signal: AbortSignal,
    onTokens?: (ended: number) => void,
  ): Promise<Rollout[]>;
}

/** An adapter as it stands now, without what belongs to the base. */
function ownTensors({ layers, outer }: Network, adapter: AdapterHandles): AdapterHandles {
  const pick = (names: Readonly<Record<string, Handle>>, from: Readonly<Record<string, Handle>>) =>
    Object.fromEntries(Object.keys(names).map((name) => [name, from[name]!]));
  return {
    ...adapter,
    layers: adapter.layers.map((own, i) => pick(own, layers[i]!)),
    outer: pick(adapter.outer, outer),
  };
}

/** Opens what draws answers with the network as it stands at each call. A function of (seed, number of the answer, weights). */
export function openRoller(run: RunContext, method: OnlineMethod): Roller {
  const { net, engine, source, frozen } = run;
  const { tokenizer, stopIds } = generationOf(run);
  let stored: StoredBase | undefined;
  const session = (): GenerationSession => {
    if (method.rolloutPrecision === 'exact') return generationOf(run).session;
    stored ??= openStoredBase(engine, source.config, source.tensors);
    return { engine, base: stored, adapter: net.adapter && ownTensors(net, net.adapter) };
  };
  return {
    async draw(prompts, count, first, signal, onTokens = () => {}) {
      // The same list for each answer to a prompt: its keys and values are computed once.
      const all = prompts.flatMap((prompt) => new Array<readonly number[]>(count).fill(prompt));
      const promptTokens = Math.max(...prompts.map((prompt) => prompt.length));
      const { maxTokens, temperature } = method;
      const { rows: batch } = rolloutCache(net.config, { answers: all.length, promptTokens, maxTokens });
      const sampling = { temperature: first === undefined ? 0 : temperature, seed: frozen.config.train.seed };
      const drawn = new Array<Rollout>(all.length);
      const options = { tokenizer, maxTokens, sampling, stopIds, batch, firstIndex: first ?? 0, signal };
      let ended = 0;
      for await (const event of generate(session(), all, options)) {
        if (event.type !== 'result') continue;
        const { ids, text: said, stop } = event;
        drawn[event.index - (first ?? 0)] = { ids, text: said, isTruncated: stop === 'length' };
        onTokens(++ended);
      }
      return drawn;
    },
  };
}
