import { afterAll, describe, expect, it } from 'vitest';
import { buildMicroBatch, planMicroBatches } from '../data/index.ts';
import { openOrtHere } from '../engine/index.ts';
import { loraRequest, resolveAdapter } from '../model/adapter.ts';
import { initialAdapter } from '../model/adapter-handles.ts';
import { uploadBase } from '../model/base.ts';
import { openModelSource } from '../model/source.ts';
import { createNetwork, forwardLoss, microStep, type Network, readLosses } from './network.ts';
import { trainedInFull } from './trained.ts';

const engine = await openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
afterAll(() => engine.close());

/** Two prompts of 24 tokens, the first with three answers: of which one is cut short where another goes on. */
const prompt = (seed: number) => Array.from({ length: 24 }, (_, i) => (i * 11 + seed) % 90);
const rows = [
  [...prompt(1), 5, 6, 7, 8],
  [...prompt(1), 5, 6, 9],
  [...prompt(2), 5, 6, 7, 8, 9],
  [...prompt(1), 5, 6],
  [...prompt(2), 1],
].map((ids) => ({
  ids: Int32Array.from(ids),
  labels: Int32Array.from(ids, (id, i) => (i < 20 ? -100 : id)),
}));

function layout(share: boolean) {
  const lengths = rows.map(({ ids }) => ids.length);
  const [plan] = planMicroBatches(lengths, { pack: true, microBatch: rows.length, share });
  return buildMicroBatch(rows, plan!);
}

async function numbers(net: Network, share: boolean) {
  const batch = layout(share);
  const step = microStep(net, batch, 1);
  const read = async (handles: Readonly<Record<string, Parameters<typeof engine.read>[0]>>) =>
    Promise.all(Object.values(handles).map(async (handle) => [...(await engine.read(handle)).data].map(Number)));
  return {
    nll: [...(await readLosses(engine, step.nll, batch.lossTokens))],
    forward: [...(await readLosses(engine, forwardLoss(net, batch), batch.lossTokens))],
    gradients: (await Promise.all([...step.layers, step.outer].map(read))).flat(),
  };
}

describe('what rows begin with alike', () => {
  it('is computed once', () => {
    expect(layout(true).usedTokens).toBe(24 + 4 + 1 + 24 + 5 + 1);
    expect(layout(true).realTokens).toBe(layout(false).realTokens);
    expect(layout(true).ids.length).toBeLessThan(layout(false).ids.length);
  });

  it.each(['llama', 'gpt2', 'gemma3', 'mistral-window', 'olmo2'])(
    'gives the losses and gradients of rows that are computed each for itself: %s',
    async (name) => {
      const source = openModelSource(`${import.meta.dirname}/../../test/golden/${name}/model`);
      const spec = resolveAdapter(source.config, loraRequest({ rank: 4, alpha: 8, targets: 'all-linear' }));
      const base = uploadBase(engine, source.config, source.tensors);
      for (const adapter of [await initialAdapter(engine, source, spec, 0), undefined]) {
        const trained = adapter === undefined ? trainedInFull(source.config) : undefined;
        const net = createNetwork({ engine, base, adapter, trained });
        const [one, other] = [await numbers(net, true), await numbers(net, false)];
        close(one.nll, other.nll, 1e-6);
        close(one.forward, other.forward, 1e-6);
        expect(one.gradients).toHaveLength(other.gradients.length);
        for (const [i, gradient] of one.gradients.entries()) close(gradient, other.gradients[i]!, 1e-5);
      }
    },
  );
});

/** Within a share of the largest. */
function close(given: readonly number[], wanted: readonly number[], share: number): void {
  const most = Math.max(...wanted.map(Math.abs), 1e-12);
  const worst = Math.max(...given.map((x, i) => Math.abs(x - wanted[i]!)));
  expect(given).toHaveLength(wanted.length);
  expect(worst / most).toBeLessThan(share);
}
