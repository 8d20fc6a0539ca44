import { describe, expect, it } from 'vitest';
import { type Engine, openOrtHere, openReference } from '../engine/index.ts';
import { forwardProgram } from '../graph/index.ts';
import { fillNormal } from '../math/random.ts';
import { loraRequest, resolveAdapter } from '../model/adapter.ts';
import type { AdapterHandles } from '../model/adapter-handles.ts';
import { adaptedLinear } from '../model/adapters/index.ts';
import { decoderLayer, linearModules } from '../model/architectures.ts';
import type { BaseHandles } from '../model/base.ts';
import { parseHfConfig } from '../model/config.ts';
import { baseLinear } from '../model/linear.ts';
import { rotationTables } from '../model/rope.ts';
import { f32, i32 } from '../tensor/tensor.ts';
import { capacityFor, createDecoder, type GenerationSession, partLengths } from './decoder.ts';

const JSON_CONFIG = {
  model_type: 'llama',
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  vocab_size: 40,
  max_position_embeddings: 1024,
  eos_token_id: 0,
};

function normal(engine: Engine, shape: number[], name: string, deviation: number, mean = 0) {
  const data = new Float32Array(shape.reduce((n, d) => n * d, 1));
  return engine.upload(f32(fillNormal(data, mean, deviation, { seed: 3, purpose: name }), shape));
}

/** A session of the exact path. */
interface ExactSession extends GenerationSession {
  readonly base: BaseHandles;
}

function randomModel(engine: Engine, headDim = 8): ExactSession & { readonly adapter: AdapterHandles } {
  const config = parseHfConfig({ ...JSON_CONFIG, head_dim: headDim }, 'config.json');
  const { hiddenSize: d, vocabSize } = config;
  const spec = resolveAdapter(config, loraRequest({ rank: 3, alpha: 6, targets: ['q_proj', 'v_proj', 'down_proj'] }));
  const layers = Array.from({ length: config.layers }, (_, i) => ({
    ...Object.fromEntries(
      linearModules(config, i).map((m) => [
        `${m.module}.weight`,
        normal(engine, [m.out, m.in], `${m.module}${i}`, m.in ** -0.5),
      ]),
    ),
    'input_layernorm.weight': normal(engine, [d], `n1${i}`, 0.1, 1),
    'post_attention_layernorm.weight': normal(engine, [d], `n2${i}`, 0.1, 1),
  }));
  const base: BaseHandles = {
    config,
    isAtRest: false,
    outer: {
      embed: normal(engine, [vocabSize, d], 'embed', 1),
      norm: normal(engine, [d], 'norm', 0.1, 1),
      head: normal(engine, [vocabSize, d], 'head', 0.3),
    },
    layers,
  };
  const adapters = spec.modules.map((modules, i) =>
    Object.fromEntries(
      linearModules(config, i)
        .filter((m) => modules.has(m.module))
        .flatMap((m) => [
          [`${m.module}.lora_A.weight`, normal(engine, [3, m.in], `A${m.module}${i}`, 0.3)],
          [`${m.module}.lora_B.weight`, normal(engine, [m.out, 3], `B${m.module}${i}`, 0.3)],
        ]),
    ),
  );
  return { engine, base, adapter: { spec, layers: adapters, outer: {}, constants: new Map() } };
}

/** Logits after each token, without a cache: the layer programs as training runs them. */
async function uncached({ engine, base, adapter }: ExactSession, ids: number[]): Promise<Float32Array[]> {
  const { config } = base;
  const n = ids.length;
  const positions = Int32Array.from(ids, (_, i) => i);
  const tables = Object.fromEntries(
    Object.entries(rotationTables(config, positions)).map(([name, table]) => [name, engine.upload(table)]),
  );
  const d = config.hiddenSize;
  const embed = engine.compile(
    forwardProgram((g) => g.gather(g.input('embed', [config.vocabSize, d]), g.input('ids', [n], 'i32'))),
  );
  let x = engine.run(embed, { embed: base.outer.embed!, ids: engine.upload(i32(ids, [n])) }).y!;
  for (const [i, weights] of base.layers.entries()) {
    const layer = engine.compile(
      forwardProgram((g) =>
        decoderLayer(g, g.input('x', [n, d]), {
          config,
          layer: i,
          layout: { tokens: n, rows: 1, length: n, dense: true },
          linear: adaptedLinear(g, linearModules(config, i), {
            base: baseLinear(g, linearModules(config, i)),
            adapted: adapter?.spec.modules[i] ?? new Map(),
            dropout: false,
          }),
        }),
      ),
    );
    x = engine.run(layer, { x, ...tables, ...weights, ...adapter?.layers[i] }).y!;
  }
  const head = engine.compile(
    forwardProgram((g) =>
      g.matMul(
        g.rmsNorm(g.input('x', [n, d]), g.input('norm', [d]), config.normEps),
        g.input('head', [config.vocabSize, d]),
        { transB: true },
      ),
    ),
  );
  const logits = await engine.read(engine.run(head, { x, norm: base.outer.norm!, head: base.outer.head! }).y!);
  return ids.map((_, i) => (logits.data as Float32Array).subarray(i * config.vocabSize, (i + 1) * config.vocabSize));
}

function expectClose(actual: Float32Array, expected: Float32Array): void {
  const scale = expected.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
  const off = actual.reduce((m, x, i) => Math.max(m, Math.abs(x - expected[i]!)), 0);
  expect(actual).toHaveLength(expected.length);
  expect(off / scale).toBeLessThan(2e-5);
}

const ids = (n: number, seed: number) => Array.from({ length: n }, (_, i) => (i * i * 7 + i * 3 + seed) % 40);

const ENGINES = {
  reference: async () => openReference(),
  ort: () => openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' }),
  'ort without optimisation': () => openOrtHere({ device: 'cpu', threads: 1, optimize: 'off' }),
} as const;

describe.each(Object.entries(ENGINES))('the decoder on %s', (_name, open) => {
  it.each([
    ['base', 8],
    ['adapter', 8],
    ['adapter', 16], // heads of 16 are turned inside the attention
  ] as const)('gives the logits of the forward pass without a cache (%s, heads of %i)', async (kind, headDim) => {
    const model = randomModel(await open(), headDim);
    const session = kind === 'base' ? { engine: model.engine, base: model.base } : model;
    const decoder = createDecoder(session);
    const prompts = [ids(20, 1), ids(3, 5), ids(17, 9)];
    const cache = decoder.allocate(3, 256);
    const one = decoder.allocate(1, 256);
    const all = await Promise.all(prompts.map((p, i) => uncached(session, [...p, 11 + i, 30 - i])));
    for (const [row, prompt] of prompts.entries()) {
      expectClose(await decoder.prefill(one, prompt), all[row]![prompt.length - 1]!);
      decoder.copyRow(one, cache, row);
    }
    for (const step of [0, 1]) {
      const logits = await decoder.step(
        cache,
        prompts.map((p, i) => ({ id: step === 0 ? 11 + i : 30 - i, position: p.length + step })),
      );
      for (const [row, prompt] of prompts.entries()) {
        expectClose(logits.subarray(row * 40, (row + 1) * 40), all[row]![prompt.length + step]!);
      }
    }
  });

  it('runs only the rest of a prompt whose beginning the cache holds, in a larger cache too', async () => {
    const model = randomModel(await open());
    const decoder = createDecoder(model);
    const [first, second] = [ids(30, 1), [...ids(12, 1), ...ids(9, 4)]];
    const cache = decoder.allocate(1, 256);
    await decoder.prefill(cache, first);
    const expected = (await uncached(model, second))[20]!;
    const larger = decoder.allocate(1, 512);
    decoder.copyTokens(cache, larger, 12);
    expectClose(await decoder.prefill(cache, second, 12), expected);
    expectClose(await decoder.prefill(larger, second, 12), expected);
  });

  it('switches between base and adapter without loading the base again', async () => {
    const model = randomModel(await open());
    const prompt = ids(9, 2);
    const first = async (session: GenerationSession) => {
      const decoder = createDecoder(session);
      return decoder.prefill(decoder.allocate(1, 256), prompt);
    };
    const base = await first({ ...model, adapter: undefined });
    const adapted = await first(model);
    expect(adapted).not.toEqual(base);
    expect(await first({ ...model, adapter: undefined })).toEqual(base);
  });
});

describe('a prompt longer than the longest part', () => {
  it('is run in parts with the same logits', async () => {
    const model = randomModel(await ENGINES.ort());
    const decoder = createDecoder(model);
    const prompt = ids(700, 1);
    expect(partLengths(700)).toEqual([512, 256]);
    const logits = await decoder.prefill(decoder.allocate(1, capacityFor(700, 10)), prompt);
    expectClose(logits, (await uncached(model, prompt))[699]!);
  });
});
