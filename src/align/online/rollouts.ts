import type { Handle } from '../../engine/index.ts';
import { type GenerationSession, openStoredBase, type StoredBase } from '../../generate/index.ts';
import type { AdapterHandles } from '../../model/adapter-handles.ts';
import type { RunContext } from '../../train/context.ts';
import { type DrawnText, drawWith } from '../../train/draw-answers.ts';
import type { OnlineMethod } from '../../train/methods.ts';
import type { Network } from '../../train/network.ts';
import { generationOf } from '../../train/samples.ts';

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
    onEnded?: (ended: number) => void,
  ): Promise<DrawnText[]>;
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
    async draw(prompts, count, first, signal, onEnded) {
      // The same list for each answer to a prompt: its keys and values are computed once.
      const all = prompts.flatMap((prompt) => new Array<readonly number[]>(count).fill(prompt));
      const { maxTokens } = method;
      const temperature = first === undefined ? 0 : method.temperature;
      const { seed } = frozen.config.train;
      const options = { maxTokens, temperature, seed, first: first ?? 0, signal, onEnded };
      return drawWith({ session: session(), stopIds, tokenizer }, all, options);
    },
  };
}
