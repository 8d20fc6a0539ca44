import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/support/cli.ts';
import { writeTinyChatModel } from '../../test/support/tiny-chat-model.ts';
import { buildMicroBatch, planMicroBatches } from '../data/index.ts';
import { type Engine, openOrtHere } from '../engine/index.ts';
import { loraRequest, resolveAdapter } from '../model/adapter.ts';
import { initialAdapter } from '../model/adapter-handles.ts';
import { uploadBase } from '../model/base.ts';
import { openModelSource } from '../model/source.ts';
import type { Activity } from './activity.ts';
import type { LoopOptions } from './loop.ts';
import { measure } from './measure.ts';
import { trainedTensors } from './names.ts';
import { createNetwork, type Network } from './network.ts';
import { constantsOf, OPTIMIZERS, type OptimizerName } from './optimisers/index.ts';
import { trainedInFull } from './trained.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
});
afterAll(() => engine.close());

const source = openModelSource(writeTinyChatModel(temporaryFolder()));
const rows = [30, 20, 25].map((length, r) => {
  const ids = Int32Array.from({ length }, (_, i) => (i * 7 + r) % 200);
  return { ids, labels: ids };
});
const batches = planMicroBatches([30, 20, 25], { pack: true, microBatch: 1 }).map((plan) =>
  buildMicroBatch(rows, plan),
);

function network(weights: 'lora' | 'full'): Network {
  const base = uploadBase(engine, source.config, source.tensors);
  const spec = resolveAdapter(source.config, loraRequest({ rank: 4, alpha: 8, targets: 'all-linear' }));
  const adapter = weights === 'lora' ? initialAdapter(engine, source, spec, 0) : undefined;
  const trained = weights === 'full' ? trainedInFull(source.config) : undefined;
  return createNetwork({ engine, base, adapter, trained });
}

const bitsOf = async (net: Network) =>
  Promise.all([...trainedTensors(net)].map(async ({ handle }) => [...(await engine.read(handle)).data].map(Number)));

function optionsFor(optimizer: OptimizerName, activities: Activity[] = []) {
  const options = { constants: constantsOf(optimizer, {}), weightDecay: 0.1, loraPlusRatio: 1, seed: 0 };
  const loop = { optimizer: options, clip: 1 } as unknown as LoopOptions;
  const now = () => performance.now();
  const onActivity = (activity: Activity) => void activities.push(activity);
  return { loop, describeRows: () => 'rows', evaluates: true, now, onActivity };
}

describe('measure', () => {
  const cases = (Object.keys(OPTIMIZERS) as OptimizerName[]).flatMap((optimizer) =>
    (['lora', 'full'] as const).map((weights) => ({ optimizer, weights })),
  );
  it.each(cases)('leaves $weights weights as they are, bit for bit: $optimizer', async ({ optimizer, weights }) => {
    const net = network(weights);
    const before = await bitsOf(net);
    const { handleBytes } = await engine.stats();
    await measure(net, batches, optionsFor(optimizer));
    expect(await bitsOf(net)).toEqual(before);
    expect((await engine.stats()).handleBytes).toBe(handleBytes);
  });

  it('times passes and update apart, and says how far it is', async () => {
    const activities: Activity[] = [];
    const result = await measure(network('full'), batches, optionsFor('adamw', activities));
    for (const seconds of [result.secondsPerToken, result.secondsPerUpdate, result.forwardSecondsPerToken]) {
      expect(seconds).toBeGreaterThan(0);
    }
    expect(result.secondsPerToken).toBeGreaterThan(result.forwardSecondsPerToken);
    expect(result.peakBytes).toBeGreaterThan(1e7);
    expect(activities.map(({ done }) => done)).toEqual([0, 1, 1, 2, 2, 3, 3, 4]);
    expect(activities.every(({ kind, total }) => kind === 'measure' && total === 4)).toBe(true);
  });
});
