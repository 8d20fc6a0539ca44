import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildMicroBatch, planMicroBatches } from '../../src/data/index.ts';
import { type Engine, openOrtHere } from '../../src/engine/index.ts';
import { readSafetensorsHeader, readStored } from '../../src/io/index.ts';
import { type AdapterSpec, resolveAdapter } from '../../src/model/adapter.ts';
import { type AdapterHandles, startedAdapter, uploadAdapter } from '../../src/model/adapter-handles.ts';
import type { Start } from '../../src/model/adapters/index.ts';
import { placeBase, uploadBase } from '../../src/model/base.ts';
import { mergedTensor, openMerged } from '../../src/export/merge.ts';
import { createDecoder } from '../../src/generate/decoder.ts';
import { f32 } from '../../src/tensor/tensor.ts';
import { openPeft, peftName } from '../../src/model/peft.ts';
import { type ModelSource, openModelSource } from '../../src/model/source.ts';
import { createNetwork, forwardLogits, forwardLoss, microStep, type Network, readLosses } from '../../src/train/network.ts';
import { type OptimizerOptions } from '../../src/train/optimisers/index.ts';
import { initialState, trainStep } from '../../src/train/step.ts';
import { trainedInFull, type Trained } from '../../src/train/trained.ts';
import { trainedTensors } from '../../src/train/names.ts';
import { goldenExamples } from '../support/golden-rows.ts';

// Tolerances of the project: see CONTRIBUTING.md.
const LOSS = 5e-6;
const GRADIENT = 1e-4;
const CURVE = 1e-5;

interface Golden {
  readonly base: string;
  readonly loss: number;
  readonly lr: number;
  readonly losses: readonly number[];
  readonly grad_norms: readonly number[];
  readonly after: number;
}

const folderOf = (name: string) => join(import.meta.dirname, 'adapters', name);
const goldenOf = (name: string) => JSON.parse(readFileSync(join(folderOf(name), 'golden.json'), 'utf8')) as Golden;
const baseOf = ({ base }: Golden) => openModelSource(join(import.meta.dirname, base, 'model'));
const batchesOf = ({ base }: Golden, microBatch: number) => {
  const examples = goldenExamples(join(import.meta.dirname, base));
  const plans = planMicroBatches(
    examples.map((e) => e.ids.length),
    { pack: false, microBatch },
  );
  return plans.map((plan) => buildMicroBatch(examples, plan));
};
const values = (file: string) =>
  new Map(existsSync(file) ? readSafetensorsHeader(file).tensors.map((t) => [t.name, readStored(t)]) : []);

let engine: Engine;
beforeAll(async () => {
  engine = await openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
});
afterAll(() => engine.close());

function network(source: ModelSource, adapter: AdapterHandles | undefined, trained?: Trained): Network {
  return createNetwork({ engine, base: uploadBase(engine, source.config, source.tensors), adapter, trained });
}

async function lossOf(net: Network, golden: Golden): Promise<number> {
  const [batch] = batchesOf(golden, 2);
  const nll = await readLosses(engine, forwardLoss(net, batch!), batch!.lossTokens);
  return nll.reduce((s, x) => s + x, 0) / batch!.lossTokens;
}

/** Three steps of AdamW follow the reference, and so does the loss behind them. */
async function expectSteps(net: Network, golden: Golden, microBatch = 2): Promise<void> {
  const constants = { name: 'adamw', beta1: 0.9, beta2: 0.999, eps: 1e-8 } as const;
  const optimizer: OptimizerOptions = { constants, weightDecay: 0, loraPlusRatio: 1, seed: 0 };
  const state = initialState(net, optimizer);
  for (const [i, expected] of golden.losses.entries()) {
    const options = { optimizer, clip: 1, step: i + 1, lr: golden.lr, describeRows: () => '' };
    const { loss, gradNorm } = await trainStep(net, state, batchesOf(golden, microBatch), options);
    expect(Math.abs(loss - expected) / expected, `loss of step ${i + 1}`).toBeLessThan(i === 0 ? LOSS : CURVE);
    expect(Math.abs(gradNorm - golden.grad_norms[i]!) / gradNorm, `norm of step ${i + 1}`).toBeLessThan(1e-4);
  }
  expect(Math.abs((await lossOf(net, golden)) - golden.after) / golden.after, 'loss behind the steps').toBeLessThan(CURVE);
}

function relativeDistance(actual: Float32Array, expected: Float32Array): number {
  const largest = expected.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
  return expected.reduce((m, x, i) => Math.max(m, Math.abs(x - actual[i]!)), 0) / largest;
}

describe.each(['rslora', 'patterns', 'dora', 'saved', 'saved-tied', 'saved-untied', 'rows', 'rows-tied', 'vera', 'ia3'])('adapter %s', (name) => {
  const golden = goldenOf(name);
  const source = baseOf(golden);
  const open = () => {
    const peft = openPeft(join(folderOf(name), 'adapter'), source.config);
    return network(source, uploadAdapter(engine, source, peft));
  };

  test('loss and gradients of all that trains equal the reference', async () => {
    const net = open();
    const expected = values(join(folderOf(name), 'golden.safetensors'));
    const [batch] = batchesOf(golden, 2);
    const step = microStep(net, batch!, 1);
    const nll = await readLosses(engine, step.nll, batch!.lossTokens);
    const loss = nll.reduce((s, x) => s + x, 0) / batch!.lossTokens;
    expect(Math.abs(loss - golden.loss) / golden.loss).toBeLessThan(LOSS);
    const trained = [...trainedTensors(net)];
    expect(trained.map(({ file }) => `grad.${file}`).sort()).toEqual([...expected.keys()].sort());
    for (const { file, place, name: tensor } of trained) {
      const handle = (place === 'outer' ? step.outer : step.layers[place]!)[tensor]!;
      const actual = ((await engine.read(handle)).data as Float32Array).map((x) => x / batch!.lossTokens);
      expect(relativeDistance(actual, expected.get(`grad.${file}`)!), file).toBeLessThan(GRADIENT);
    }
  });

  test('generation with a cache gives the same logits', async () => {
    const net = open();
    const examples = goldenExamples(join(import.meta.dirname, golden.base)).slice(0, 1);
    const { ids } = examples[0]!;
    const [plan] = planMicroBatches([ids.length], { pack: false, microBatch: 1 });
    const batch = buildMicroBatch(examples, plan!);
    const { data } = await engine.read(forwardLogits(net, batch)[0]!);
    const vocab = source.config.vocabSize;
    const expected = (data as Float32Array).slice((batch.lossTokens - 1) * vocab, batch.lossTokens * vocab);
    const base = uploadBase(engine, source.config, source.tensors);
    const decoder = createDecoder({ engine, base, adapter: net.adapter });
    const cache = decoder.allocate(1, 64);
    await decoder.prefill(cache, [...ids.slice(0, 9)]);
    let logits = new Float32Array() as Float32Array;
    for (let at = 9; at < ids.length - 1; at++) logits = await decoder.step(cache, [{ id: ids[at]!, position: at }]);
    expect(relativeDistance(logits, expected)).toBeLessThan(2e-5);
  });

  test('merged into the weights it gives the same loss, or is refused', async () => {
    const peft = openPeft(join(folderOf(name), 'adapter'), source.config);
    if (peft.spec.tie === 'cut') {
      expect(() => openMerged(source, peft)).toThrow(/EXPORT_UNSUPPORTED.*apart/);
      return;
    }
    const merged = openMerged(source, peft);
    const base = placeBase(source.config, (tensor) =>
      engine.upload(f32(mergedTensor(merged, tensor), merged.shapes.get(tensor)!)),
    );
    const loss = await lossOf(createNetwork({ engine, base }), golden);
    expect(Math.abs(loss - golden.loss) / golden.loss).toBeLessThan(LOSS);
  });

  test.each([2, 1])('steps of AdamW follow the reference, %s rows at a time', async (rows) => {
    await expectSteps(open(), golden, rows);
  });
});

describe.each(['pissa', 'olora'] as const)('LoRA started by %s', (name: Start) => {
  const golden = goldenOf(name);
  const source = baseOf(golden);
  const settings = { kind: 'lora', rank: 4, alpha: 8, rsLora: false, rankPattern: {}, alphaPattern: {}, start: name } as const;
  const spec: AdapterSpec = resolveAdapter(source.config, { settings, dropout: 0, targets: 'all-linear' });

  test('begins with the factors of the reference', async () => {
    const { constants } = await startedAdapter(engine, source, spec, 0);
    for (const [tensor, expected] of values(join(folderOf(name), 'golden.safetensors'))) {
      const [, layer, module] = /^start\.model\.layers\.(\d+)\.(.+)$/.exec(tensor)!;
      const [a, b] = ['lora_A.weight', 'lora_B.weight'].map((part) => constants.get(peftName(source.config, Number(layer), module!, part))!);
      expect(relativeDistance(product(b!, a!, 2), expected), tensor).toBeLessThan(1e-5);
    }
  });

  test('begins as the base model, and its steps follow the reference', async () => {
    const net = network(source, await startedAdapter(engine, source, spec, 0));
    const plain = await lossOf(network(source, undefined), golden);
    expect(Math.abs((await lossOf(net, golden)) - plain) / plain).toBeLessThan(1e-6);
    await expectSteps(net, golden);
  });

  test('what peft converts to plain LoRA gives its loss', async () => {
    const peft = openPeft(join(folderOf(name), 'adapter'), source.config);
    const loss = await lossOf(network(source, uploadAdapter(engine, source, peft)), golden);
    expect(Math.abs(loss - golden.after) / golden.after).toBeLessThan(LOSS);
  });
});

test('full weights with frozen parts follow the reference', async () => {
  const golden = goldenOf('full-frozen');
  const source = baseOf(golden);
  await expectSteps(
    network(source, undefined, trainedInFull(source.config, { layers: 'last:1', freeze: ['embed', 'head'] })),
    golden,
  );
});

/** scale * B A */
function product(b: { shape: readonly number[]; data: ArrayLike<unknown> }, a: typeof b, scale: number): Float32Array {
  const [out, rank] = b.shape as [number, number];
  const width = a.shape[1]!;
  const y = new Float32Array(out * width);
  for (let o = 0; o < out; o++) {
    for (let i = 0; i < width; i++) {
      let sum = 0;
      for (let r = 0; r < rank; r++) sum += Number(b.data[o * rank + r]) * Number(a.data[r * width + i]);
      y[o * width + i] = scale * sum;
    }
  }
  return y;
}
