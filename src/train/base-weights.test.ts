import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/support/cli.ts';
import { quantisedSource } from '../../test/support/quantised-source.ts';
import { writeTinyChatModel } from '../../test/support/tiny-chat-model.ts';
import { buildMicroBatch, planMicroBatches } from '../data/index.ts';
import { type Engine, openOrtHere } from '../engine/index.ts';
import { generate } from '../generate/index.ts';
import { readStored } from '../io/index.ts';
import { loraRequest, resolveAdapter } from '../model/adapter.ts';
import { initialAdapter } from '../model/adapter-handles.ts';
import { uploadBase } from '../model/base.ts';
import { BASE_WEIGHTS, type BaseWeights } from '../model/base-forms.ts';
import { baseBytes, withBaseWeights } from '../model/base-weights.ts';
import { type ModelSource, openModelSource } from '../model/source.ts';
import { chooseBaseWeights } from './base-choice.ts';
import { RunConfig } from './config.ts';
import { createNetwork, forwardLogits, forwardLoss, microStep, type Network, readLosses } from './network.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
});
afterAll(() => engine.close());

const golden = (name: string) => openModelSource(join(import.meta.dirname, '../../test/golden', name, 'model'));
const wide = { hidden_size: 256, intermediate_size: 256, head_dim: 64, num_attention_heads: 4, num_key_value_heads: 2 };
const tiny = openModelSource(writeTinyChatModel(temporaryFolder(), wide));
const TYPES = ['F16', 'BF16', 'Q4_0', 'Q5_0', 'Q5_1', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K'] as const;

const rows = [30, 20, 25].map((length, r) => {
  const ids = Int32Array.from({ length }, (_, i) => (i * 7 + r) % 90);
  return { ids, labels: ids };
});
const [plan] = planMicroBatches([30, 20, 25], { pack: true, microBatch: 3 });
const batch = buildMicroBatch(rows, plan!);

function network(source: ModelSource, weights: BaseWeights, method = 'lora'): Network {
  const base = uploadBase(engine, source.config, source.tensors, weights);
  const request = loraRequest({ rank: 4, alpha: 8, targets: 'all-linear' });
  const spec = resolveAdapter(
    source.config,
    method === 'lora' ? request : ({ ...request, kind: 'dora' } as typeof request),
  );
  return createNetwork({ engine, base, adapter: initialAdapter(engine, source, spec, 0) });
}

/** Losses, logits and gradients, bit for bit. */
async function bits(net: Network): Promise<unknown> {
  const step = microStep(net, batch, 1);
  const layers = await Promise.all(
    step.layers.map(async (layer) =>
      Promise.all(Object.values(layer).map(async (h) => [...(await engine.read(h)).data])),
    ),
  );
  const logits = await Promise.all(forwardLogits(net, batch).map(async (h) => [...(await engine.read(h)).data]));
  const losses = await readLosses(engine, forwardLoss(net, batch), batch.lossTokens);
  return { nll: await readLosses(engine, step.nll, batch.lossTokens), layers, logits, losses };
}

describe('a base at rest', () => {
  it.each(TYPES)('gives the numbers of the same base in float32: %s', async (type) => {
    const source = quantisedSource(tiny, type, temporaryFolder());
    expect(await bits(network(source, 'as-stored'))).toEqual(await bits(network(source, 'f32')));
  });

  it.each(['llama', 'llama-bf16-sharded', 'gpt2', 'gemma3', 'qwen3-moe'])(
    'gives the numbers of the rounded base in float32: %s',
    async (name) => {
      for (const weights of ['nf4', 'int8'] as const) {
        const source = withBaseWeights(golden(name), weights);
        const resting = await bits(network(source, weights));
        expect(resting).toEqual(await bits(network(source, 'f32')));
        expect(resting).not.toEqual(await bits(network(golden(name), 'f32')));
      }
    },
  );

  it('is what DoRA takes its norms from', async () => {
    const source = quantisedSource(tiny, 'Q4_K', temporaryFolder());
    expect(await bits(network(source, 'as-stored', 'dora'))).toEqual(await bits(network(source, 'f32', 'dora')));
  });

  it('answers as in float32', async () => {
    const source = quantisedSource(tiny, 'Q8_0', temporaryFolder());
    const answer = async (weights: BaseWeights) => {
      const base = uploadBase(engine, source.config, source.tensors, weights);
      const prompts = [Array.from({ length: 40 }, (_, i) => (i * 5) % 90), [1, 2, 3]];
      const options = { tokenizer: { decode: () => 'x' }, maxTokens: 12, stopIds: [] };
      const ids: (readonly number[])[] = [];
      for await (const event of generate({ engine, base }, prompts, options)) {
        if (event.type === 'result') ids[event.index] = event.ids;
      }
      return ids;
    };
    expect(await answer('as-stored')).toEqual(await answer('f32'));
  });

  it('takes the memory that is told of it', async () => {
    const source = quantisedSource(tiny, 'Q4_K', temporaryFolder());
    for (const [model, weights] of [
      [source, 'f32'],
      [source, 'as-stored'],
      [withBaseWeights(tiny, 'nf4'), 'nf4'],
    ] as const) {
      const before = (await engine.stats()).handleBytes;
      uploadBase(engine, model.config, model.tensors, weights);
      await engine.sync();
      expect((await engine.stats()).handleBytes - before).toBe(baseBytes(model, weights));
    }
  });
});

describe('withBaseWeights', () => {
  it('changes what every reader of the layers sees, and nothing else', () => {
    const source = golden('llama');
    const rounded = withBaseWeights(source, 'nf4');
    for (const [name, tensor] of rounded.tensors) {
      const same = String(readStored(tensor)) === String(readStored(source.tensors.get(name)!));
      expect(same, name).toBe(!/proj\.weight$/.test(name));
    }
  });

  it('refuses to round what is quantised already', () => {
    const source = quantisedSource(tiny, 'Q4_0', temporaryFolder());
    expect(() => withBaseWeights(source, 'nf4')).toThrow(/^BASE_WEIGHTS .* quantised already/);
    expect(withBaseWeights(source, 'as-stored')).toBe(source);
  });
});

describe('chooseBaseWeights', () => {
  const config = (compute: object, weights: object = { kind: 'lora' }) =>
    RunConfig.parse({ model: 'm', data: 'd', compute, weights });
  const chosen = (source: ModelSource, budget: number) => chooseBaseWeights(config({}), source, budget);

  it('takes float32 where it leaves room, then what is stored, then NF4, and says why', () => {
    const quantised = quantisedSource(tiny, 'Q4_0', temporaryFolder());
    const half = quantisedSource(tiny, 'BF16', temporaryFolder());
    const widened = baseBytes(tiny, 'f32');
    expect(chosen(quantised, 3 * widened)).toMatchObject({
      weights: 'f32',
      why: expect.stringContaining('in float32'),
    });
    expect(chosen(quantised, widened)).toMatchObject({
      weights: 'as-stored',
      why: expect.stringContaining('as stored'),
    });
    expect(chosen(quantised, widened / 100).weights).toBe('as-stored');
    expect(chosen(half, widened).weights).toBe('as-stored');
    expect(chosen(half, widened / 2).weights).toBe('nf4');
  });

  it.each(BASE_WEIGHTS)('takes %s where it is asked for', (baseWeights) => {
    expect(chooseBaseWeights(config({ baseWeights }), tiny, 1)).toEqual({ weights: baseWeights, why: undefined });
  });

  it('refuses weights at rest that shall train', () => {
    const full = (baseWeights: string) => chooseBaseWeights(config({ baseWeights }, { kind: 'full' }), tiny, 1);
    expect(full('auto').weights).toBe('f32');
    for (const weights of ['as-stored', 'nf4', 'int8'])
      expect(() => full(weights)).toThrow(/^BASE_WEIGHTS --weights full/);
  });
});
