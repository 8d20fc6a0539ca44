import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/support/cli.ts';
import { writeTinyChatModel } from '../../test/support/tiny-chat-model.ts';
import { type Engine, openOrtHere } from '../engine/index.ts';
import { type BaseHandles, uploadBase } from '../model/base.ts';
import { openModelSource } from '../model/source.ts';
import { type GenerateEvent, type GenerateOptions, generate, openContinuation } from './generate.ts';

const folder = temporaryFolder();
const OPTIONS: GenerateOptions = { tokenizer: { decode: () => 'x' }, maxTokens: 9, stopIds: [] };
const words = (n: number, seed: number) => Array.from({ length: n }, (_, i) => (i * i * 7 + i * 3 + seed) % 250);

async function idsOf(events: AsyncIterable<GenerateEvent>): Promise<readonly number[]> {
  for await (const event of events) if (event.type === 'result') return event.ids;
  return [];
}

describe('openContinuation', () => {
  let engine: Engine;
  let base: BaseHandles;
  let lengths: (number | undefined)[];
  beforeAll(async () => {
    const source = openModelSource(writeTinyChatModel(folder));
    const ort = await openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
    engine = {
      ...ort,
      run: (program, inputs, into) => {
        lengths.push(inputs.ids?.shape[0]);
        return ort.run(program, inputs, into);
      },
    };
    base = uploadBase(engine, source.config, source.tensors);
  });
  afterAll(() => engine.close());

  const fresh = (prompt: readonly number[], options: Partial<GenerateOptions> = {}) => {
    lengths = [];
    return idsOf(generate({ engine, base }, [prompt], { ...OPTIONS, ...options }));
  };

  it('answers as without it, and runs only what is new', async () => {
    const chat = openContinuation({ engine, base });
    let prompt = words(40, 1);
    for (const turn of [2, 3, 4]) {
      const expected = await fresh(prompt);
      lengths = [];
      expect(await idsOf(chat.generate(prompt, OPTIONS))).toEqual(expected);
      expect(lengths[0]).toBe(turn === 2 ? 64 : 16);
      prompt = [...prompt, ...expected, ...words(15, turn)];
    }
    chat.close();
  });

  it('forgets what another prompt does not share, whatever the order and the length', async () => {
    const chat = openContinuation({ engine, base });
    const prompts = [words(100, 1), words(30, 1), [...words(20, 1), ...words(300, 8)], words(30, 1), words(5, 3)];
    for (const prompt of [...prompts, ...prompts]) {
      const sampling = { temperature: 1, seed: 3, repetitionPenalty: 1.2 };
      const expected = await fresh(prompt, { sampling });
      expect(await idsOf(chat.generate(prompt, { ...OPTIONS, sampling }))).toEqual(expected);
    }
    chat.close();
  });

  it('goes on after an answer that was broken off', async () => {
    const chat = openContinuation({ engine, base });
    const prompt = words(40, 5);
    const expected = await fresh(prompt);
    for (const stopAfter of [0, 1, 4]) {
      const abort = new AbortController();
      let seen = 0;
      if (stopAfter === 0) abort.abort();
      const broken = async () => {
        for await (const _ of chat.generate(prompt, { ...OPTIONS, signal: abort.signal })) {
          if (++seen === stopAfter) abort.abort();
        }
      };
      await expect(broken()).rejects.toThrow(/abort/i);
      expect(await idsOf(chat.generate(prompt, OPTIONS))).toEqual(expected);
      const longer = [...prompt, ...expected.slice(0, 3), 7, 8];
      expect(await idsOf(chat.generate(longer, OPTIONS))).toEqual(await fresh(longer));
    }
    chat.close();
  });

  it('refuses an empty prompt, one that fills the context, and ids beyond the vocabulary', async () => {
    const chat = openContinuation({ engine, base });
    for (const [prompt, code] of [
      [[], 'GENERATE_PROMPT'],
      [words(512, 1), 'GENERATE_PROMPT'],
      [[1, 5000], 'TOKENIZER_MISMATCH'],
    ] as const) {
      await expect(idsOf(chat.generate(prompt, OPTIONS))).rejects.toThrow(code);
      await expect(fresh(prompt)).rejects.toThrow(code);
    }
  });
});
