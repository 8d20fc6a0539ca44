import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildMicroBatch, planMicroBatches, type SoftTargets } from '../../data/index.ts';
import { openReference } from '../../engine/index.ts';
import { fillNormal } from '../../math/random.ts';
import { uploadAdapter } from '../../model/adapter-handles.ts';
import { uploadBase } from '../../model/base.ts';
import { openPeft } from '../../model/peft.ts';
import { openModelSource } from '../../model/source.ts';
import { f32, sizeOf } from '../../tensor/tensor.ts';
import { type Example, IGNORE } from '../../text/index.ts';
import { createNetwork, forwardLogits, type MicroStep, microStep, type Network, readLosses } from '../network.ts';
import { trainedInFull } from '../trained.ts';
import { softHead } from './soft-head.ts';
import { allPositions, keepLikeliest, negativeEntropy, type RowTargets, rowTargets } from './targets.ts';

const golden = path.join(import.meta.dirname, '../../../test/golden/llama');
const engine = openReference();
const source = openModelSource(path.join(golden, 'model'));
const base = uploadBase(engine, source.config, source.tensors);
const adapter = uploadAdapter(engine, source, openPeft(path.join(golden, 'adapter'), source.config, 'CAUSAL_LM'));
const tuned = createNetwork({ engine, base, adapter });
const start = createNetwork({ engine, base });
const full = createNetwork({ engine, base, trained: trainedInFull(source.config) });

const example: Example = { ids: Int32Array.from([5, 9, 14, 20, 31, 2]), labels: new Int32Array(6).fill(IGNORE) };
const positions = allPositions(example);
const [plan] = planMicroBatches([example.ids.length], { pack: true });
const batch = buildMicroBatch([example], plan!);

function soft(targets: RowTargets): SoftTargets {
  const { kept, ids, shares, rest } = targets;
  return { kept, ids, shares, rest, positions: Int32Array.from(positions), weights: new Float32Array(5).fill(1) };
}

async function logitsOf(net: Network): Promise<Float32Array[]> {
  const labels = Int32Array.from(example.ids);
  const handles = forwardLogits(net, buildMicroBatch([{ ids: example.ids, labels }], plan!));
  const width = source.config.vocabSize;
  const all = (await Promise.all(handles.map((one) => engine.read(one)))).map(({ data }) => data as Float32Array);
  return positions.map((_, i) => all[0]!.subarray(i * width, (i + 1) * width));
}

const softmax = (logits: Float32Array) => {
  const max = Math.max(...logits);
  const e = Array.from(logits, (x) => Math.exp(x - max));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((x) => x / sum);
};

/** KL of two distributions over the tokens that are kept, and all others as one. */
function bucketed(p: readonly number[], q: readonly number[], kept: readonly number[]): number {
  const rest = (x: readonly number[]) => 1 - kept.reduce((n, id) => n + x[id]!, 0);
  const pairs = [...kept.map((id) => [q[id]!, p[id]!] as const), [rest(q), rest(p)] as const];
  return pairs.reduce((sum, [a, b]) => sum + (a > 0 ? a * Math.log(a / b) : 0), 0);
}

async function entropyOf(targets: RowTargets, step: MicroStep): Promise<number[]> {
  const found = await readLosses(engine, step.soft!, positions.length);
  return positions.map((_, i) => found[i]! + negativeEntropy(targets, i));
}

describe('the divergence from the start', () => {
  test('is that of the likeliest tokens and all others as one, position by position', async () => {
    const targets = await rowTargets(start, example, positions);
    const found = await entropyOf(targets, microStep(tuned, { ...batch, soft: soft(targets) }, 1));
    const [q, p] = await Promise.all([logitsOf(start), logitsOf(tuned)]);
    for (const [i, kl] of found.entries()) {
      const kept = [...targets.ids.subarray(i * targets.kept, (i + 1) * targets.kept)];
      expect(kl).toBeCloseTo(bucketed(softmax(p[i]!), softmax(q[i]!), kept), 6);
      expect(kl).toBeLessThanOrEqual(
        bucketed(
          softmax(p[i]!),
          softmax(q[i]!),
          Array.from(q[i]!, (_, id) => id),
        ) + 1e-6,
      );
    }
  });

  test('is 0 at the start, and so is its gradient', async () => {
    const targets = await rowTargets(tuned, example, positions);
    const step = microStep(tuned, { ...batch, soft: soft(targets) }, 1);
    for (const kl of await entropyOf(targets, step)) expect(Math.abs(kl)).toBeLessThan(1e-6);
    for (const handle of Object.values(step.layers[1]!)) {
      for (const slope of (await engine.read(handle)).data) expect(Math.abs(Number(slope))).toBeLessThan(1e-5);
    }
  });

  test('of a single sure token is the loss of a label', async () => {
    const sure: RowTargets = {
      kept: 1,
      ids: example.ids.slice(1),
      shares: new Float32Array(5).fill(1),
      rest: new Float32Array(5),
    };
    const labelled = buildMicroBatch([{ ids: example.ids, labels: Int32Array.from(example.ids) }], plan!);
    for (const net of [tuned, full]) {
      const [one, other] = [microStep(net, { ...batch, soft: soft(sure) }, 1), microStep(net, labelled, 1)];
      expect(await readLosses(engine, one.soft!, 5)).toEqual(await readLosses(engine, other.nll, 5));
      const places = [one.layers[0]!, one.outer].entries();
      for (const [i, place] of places) {
        for (const [name, handle] of Object.entries(place)) {
          const [a, b] = await Promise.all([handle, [other.layers[0]!, other.outer][i]![name]!].map(engine.read));
          a!.data.forEach((value, at) => {
            expect(Number(value)).toBeCloseTo(Number(b!.data[at]), 5);
          });
        }
      }
    }
  });

  test.each(['adapter', 'head'])('has the gradient of finite differences by the %s', async (what) => {
    const net = what === 'head' ? full : tuned;
    const targets = await rowTargets(what === 'head' ? tuned : start, example, positions);
    const step = microStep(net, { ...batch, soft: soft(targets) }, 1);
    const [place, name] =
      what === 'head'
        ? [net.outer, net.isTied ? 'embed' : 'head']
        : [net.layers[1]!, net.trained.layers[1]!.find((one) => one.includes('lora_B'))!];
    const gradients = what === 'head' ? step.outer : step.layers[1]!;
    const gradient = (await engine.read(gradients[name]!)).data as Float32Array;
    const old = place[name]!;
    const { data, shape } = await engine.read(old);
    const lossAt = async (index: number, by: number) => {
      const moved = Float32Array.from(data as Float32Array);
      moved[index]! += by;
      place[name] = engine.upload(f32(moved, shape));
      if (net.isTied && what === 'head') net.outer.head = net.outer.embed!;
      const { soft: losses } = microStep(net, { ...batch, soft: soft(targets) }, 1);
      place[name] = old;
      if (net.isTied && what === 'head') net.outer.head = net.outer.embed!;
      return (await readLosses(engine, losses!, 5)).reduce((a, b) => a + b, 0);
    };
    const order = [...gradient.keys()].sort((a, b) => Math.abs(gradient[b]!) - Math.abs(gradient[a]!));
    const most = Math.abs(gradient[order[0]!]!);
    expect(most).toBeGreaterThan(0);
    for (const index of [order[0]!, order[3]!, order[20]!]) {
      const measured = ((await lossAt(index, 5e-3)) - (await lossAt(index, -5e-3))) / 1e-2;
      expect(Math.abs(measured - gradient[index]!)).toBeLessThan(5e-3 * most);
    }
  });
});

describe('the head of distributions in slices of the vocabulary', () => {
  test.each(['gradient', 'gradient-and-norm'] as const)('is the whole head: %s', async (mode) => {
    const { hiddenSize, vocabSize } = source.config;
    const shape = [batch.ids.length, hiddenSize];
    const x = engine.upload(f32(fillNormal(new Float32Array(sizeOf(shape)), 0, 3, { seed: 1, purpose: 'x' }), shape));
    const held = { ...batch, soft: soft(await rowTargets(tuned, example, positions)) };
    const results = async (slices: readonly number[]) => {
      const none = { nll: [], logits: [], dx: undefined, weights: {} };
      const { nll, dx, weights } = softHead(start, held, x, mode, none, slices);
      const handles = [...nll, dx!, ...Object.values(weights)];
      return Promise.all(handles.map(async (handle) => [...(await engine.read(handle)).data].map(Number)));
    };
    const [whole, sliced] = [await results([vocabSize]), await results([37, vocabSize - 50, 13])];
    expect(sliced.length).toBe(whole.length);
    for (const [i, values] of whole.entries()) {
      const most = values.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
      for (const [j, value] of values.entries()) expect(Math.abs(sliced[i]![j]! - value)).toBeLessThan(2e-6 * most);
    }
  });
});

describe('rows of the head that train by themselves', () => {
  test('have the gradient that they have among all', async () => {
    const peft = openPeft(path.join(golden, '../adapters/rows/adapter'), source.config);
    const { tokenRows = [] } = peft.spec;
    const net = createNetwork({ engine, base, adapter: uploadAdapter(engine, source, peft) });
    const { hiddenSize } = source.config;
    const shape = [batch.ids.length, hiddenSize];
    const x = engine.upload(f32(fillNormal(new Float32Array(sizeOf(shape)), 0, 3, { seed: 1, purpose: 'x' }), shape));
    const targets = await rowTargets(tuned, example, positions);
    // One of the rows is among the targets.
    targets.ids[1] = tokenRows[2]!;
    const none = { nll: [], logits: [], dx: undefined, weights: {} };
    const gradient = async (slices: readonly number[]) => {
      const { weights } = softHead(net, { ...batch, soft: soft(targets) }, x, 'gradient', none, slices);
      return (await engine.read(weights['head.rows']!)).data as Float32Array;
    };
    const whole = { ...net, tokenRows: undefined };
    const { weights } = softHead(whole, { ...batch, soft: soft(targets) }, x, 'gradient-and-weights', none);
    const all = (await engine.read(weights.head!)).data as Float32Array;
    const expected = tokenRows.flatMap((id) => [...all.subarray(id * hiddenSize, (id + 1) * hiddenSize)]);
    const most = Math.max(...expected.map(Math.abs));
    for (const slices of [[source.config.vocabSize], [37, source.config.vocabSize - 50, 13]]) {
      const found = await gradient(slices);
      expect(found).toHaveLength(expected.length);
      for (const [i, value] of expected.entries()) expect(Math.abs(found[i]! - value)).toBeLessThan(1e-5 * most);
    }
  });
});

describe('what is kept of a distribution', () => {
  test('are its likeliest tokens in their order, and the share of all others', () => {
    const logits = Float32Array.from([0.5, 0.1, 0.15, 0.25].map(Math.log));
    const targets = { kept: 2, ids: new Int32Array(2), shares: new Float32Array(2), rest: new Float32Array(1) };
    keepLikeliest(logits, targets, 0);
    expect([...targets.ids]).toEqual([0, 3]);
    expect(targets.shares[0]).toBeCloseTo(0.5, 6);
    expect(targets.shares[1]).toBeCloseTo(0.25, 6);
    expect(targets.rest[0]).toBeCloseTo(0.25, 6);
  });
});
