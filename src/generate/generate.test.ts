import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { baseModelPath } from '../../test/support/base-model.ts';
import { type Engine, openOrtHere } from '../engine/index.ts';
import { type BaseHandles, uploadBase } from '../model/base.ts';
import { openModelSource } from '../model/source.ts';
import { endOfTurn, type Message, openText, type Tokenizer } from '../text/index.ts';
import { createDecoder, openStoredBase } from './decoder.ts';
import { type GenerateEvent, type GenerateOptions, generate, type ResultEvent } from './generate.ts';

const MODEL = baseModelPath();
const GOLDEN = JSON.parse(readFileSync(new URL('../../test/golden/smollm2/golden.json', import.meta.url), 'utf8')) as {
  greedy: { messages: Message[]; text: string }[];
};

interface Opened {
  readonly session: { readonly engine: Engine; readonly base: BaseHandles };
  readonly prompts: number[][];
  readonly options: GenerateOptions & { readonly tokenizer: Tokenizer };
}

async function openBase(path: string): Promise<Opened> {
  const source = openModelSource(path);
  if (source.text === undefined) throw new Error('the base model has a tokenizer');
  const { tokenizer, template } = openText(source.text, { now: new Date(0) });
  const engine = await openOrtHere({ device: 'cpu', threads: 2, optimize: 'on' });
  const prompts = GOLDEN.greedy.map(({ messages }) =>
    tokenizer.encode(template!.render(messages, { addGenerationPrompt: true })),
  );
  const stopIds = [endOfTurn(template!, tokenizer).id, ...source.config.eosIds];
  return {
    session: { engine, base: uploadBase(engine, source.config, source.tensors) },
    prompts,
    options: { tokenizer, maxTokens: 24, stopIds },
  };
}

async function collect(events: AsyncIterable<GenerateEvent>) {
  const results: ResultEvent[] = [];
  const streamed: string[] = [];
  for await (const event of events) {
    if (event.type === 'result') results[event.index] = event;
    else streamed[event.index] = (streamed[event.index] ?? '') + event.text;
  }
  return { results, streamed };
}

/** Kullback-Leibler divergence between two softmax distributions, in nats. */
function divergence(a: Float32Array, b: Float32Array): number {
  const logTotal = (x: Float32Array) => {
    const max = x.reduce((m, v) => Math.max(m, v), Number.NEGATIVE_INFINITY);
    return max + Math.log(x.reduce((s, v) => s + Math.exp(v - max), 0));
  };
  const [ta, tb] = [logTotal(a), logTotal(b)];
  return a.reduce((sum, v, i) => sum + Math.exp(v - ta) * (v - ta - (b[i]! - tb)), 0);
}

describe.skipIf(MODEL === undefined)('generate with the real base model', () => {
  let opened: Promise<Opened> | undefined;
  const open = () => {
    opened ??= openBase(MODEL!);
    return opened;
  };
  afterAll(async () => (await opened)?.session.engine.close());

  it('answers as transformers does, one prompt at a time and side by side', { timeout: 120_000 }, async () => {
    const { session, prompts, options } = await open();
    for (const batch of [1, 2]) {
      const { results, streamed } = await collect(generate(session, prompts, { ...options, batch }));
      expect(results.map((r) => r.text)).toEqual(GOLDEN.greedy.map((g) => g.text));
      expect(streamed).toEqual(results.map((r) => r.text));
      expect(results.map((r) => r.stop)).toEqual(['eot', 'length', 'eot']);
    }
  });

  it('ends at a stop string, and when it is told to stop', { timeout: 60_000 }, async () => {
    const { session, prompts, options } = await open();
    const [first] = prompts as [number[]];
    const { results } = await collect(generate(session, [first], { ...options, stopStrings: ['France is'] }));
    expect(results[0]).toMatchObject({ text: 'The capital of ', stop: 'string', promptTokens: first.length });

    const controller = new AbortController();
    const seen: GenerateEvent[] = [];
    const run = async () => {
      for await (const event of generate(session, [first], { ...options, signal: controller.signal })) {
        seen.push(event);
        controller.abort();
      }
    };
    await expect(run()).rejects.toThrow(/abort/i);
    expect(seen).toHaveLength(1);
  });

  it('draws the same answers from the same seed, and others from another', { timeout: 60_000 }, async () => {
    const { session, prompts, options } = await open();
    const texts = async (seed: number) => {
      const sampling = { temperature: 1.2, topK: 50, topP: 0.95, seed };
      const { results } = await collect(
        generate(session, prompts.slice(0, 2), { ...options, maxTokens: 12, sampling }),
      );
      return results.map((r) => r.text);
    };
    const first = await texts(1);
    expect(await texts(1)).toEqual(first);
    expect(await texts(2)).not.toEqual(first);
  });

  it('answers nearly the same with stored weights (fast)', { timeout: 60_000 }, async () => {
    const { session, prompts, options } = await open();
    const source = openModelSource(MODEL!);
    const fast = { engine: session.engine, base: openStoredBase(session.engine, source.config, source.tensors) };
    const exact = createDecoder(session);
    const decoder = createDecoder(fast);
    const [prompt] = prompts as [number[]];
    const caches = [exact.allocate(1, 256), decoder.allocate(1, 256)] as const;
    expect(divergence(await exact.prefill(caches[0], prompt), await decoder.prefill(caches[1], prompt))).toBeLessThan(
      0.03,
    );
    for (const [i, id] of options.tokenizer.encode(GOLDEN.greedy[0]!.text).entries()) {
      const token = [{ id, position: prompt.length + i }];
      expect(divergence(await exact.step(caches[0], token), await decoder.step(caches[1], token))).toBeLessThan(0.03);
    }
  });

  it('refuses a prompt without tokens', async () => {
    const { session, options } = await open();
    await expect(collect(generate(session, [[]], options))).rejects.toThrow('GENERATE_PROMPT');
  });
});
