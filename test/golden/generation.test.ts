import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Engine, openOrtHere } from '../../src/engine/index.ts';
import { createDecoder } from '../../src/generate/decoder.ts';
import { readSafetensorsHeader, readStored } from '../../src/io/index.ts';
import { uploadAdapter } from '../../src/model/adapter-handles.ts';
import { uploadBase } from '../../src/model/base.ts';
import { openPeft } from '../../src/model/peft.ts';
import { openModelSource } from '../../src/model/source.ts';
import { goldenRows } from '../support/golden-rows.ts';
import { GOLDENS } from './names.ts';

/** Of the largest logit. Generation adds in another order than the reference. */
const LOGITS = 2e-5;

let engine: Engine;
beforeAll(async () => {
  engine = await openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
});
afterAll(() => engine.close());

describe.each(GOLDENS)('generation with golden %s', (name) => {
  const folder = join(import.meta.dirname, name);
  const source = openModelSource(join(folder, 'model'));
  const { config } = source;
  const adapter = openPeft(join(folder, 'adapter'), config);
  const tensors = new Map(readSafetensorsHeader(join(folder, 'golden.safetensors')).tensors.map((t) => [t.name, t]));
  const ids = goldenRows(folder)[0]!.input_ids;

  test.each([
    ['logits', false],
    ['lora_logits', true],
  ] as const)('a cache gives the reference %s, token by token and after a prompt', async (golden, adapted) => {
    const all = readStored(tensors.get(golden)!);
    const expected = (at: number) => all.subarray(at * config.vocabSize, (at + 1) * config.vocabSize);
    const decoder = createDecoder({
      engine,
      base: uploadBase(engine, config, source.tensors),
      adapter: adapted ? uploadAdapter(engine, source, adapter) : undefined,
    });
    for (const prompt of [1, 13]) {
      const cache = decoder.allocate(1, 64);
      expectLogits(await decoder.prefill(cache, ids.slice(0, prompt)), expected(prompt - 1));
      for (let at = prompt; at < ids.length; at++) {
        expectLogits(await decoder.step(cache, [{ id: ids[at]!, position: at }]), expected(at));
      }
      decoder.release(cache);
    }
  });
});

function expectLogits(actual: Float32Array, expected: Float32Array): void {
  expect(actual).toHaveLength(expected.length);
  const largest = expected.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
  const off = actual.reduce((m, x, i) => Math.max(m, Math.abs(x - expected[i]!)), 0);
  expect(off / largest).toBeLessThan(LOGITS);
}
