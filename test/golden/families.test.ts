import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildMicroBatch, planMicroBatches } from '../../src/data/index.ts';
import { type Engine, openOrtHere } from '../../src/engine/index.ts';
import { readJson, readSafetensorsHeader, readStored, readStoredRaw } from '../../src/io/index.ts';
import { uploadAdapter } from '../../src/model/adapter-handles.ts';
import { uploadBase } from '../../src/model/base.ts';
import { parseHfConfig } from '../../src/model/config.ts';
import { isTransposed, transposed } from '../../src/model/hf-layout.ts';
import { openPeft } from '../../src/model/peft.ts';
import { openModelSource } from '../../src/model/source.ts';
import type { Example } from '../../src/text/example.ts';
import { createNetwork, microStep, type Network, readLosses } from '../../src/train/network.ts';
import { initialState, trainStep } from '../../src/train/step.ts';
import { fileName, trainedInFull } from '../../src/train/trained.ts';
import { GOLDENS } from './names.ts';

// Tolerances of the project: see CONTRIBUTING.md. Looser ones would hide a wrong epsilon; golden.json says by how much.
const LOSS = 5e-6;
const GRADIENT = 1e-4;
const CURVE = 1e-5;


interface Curve {
  lr: number;
  betas: [number, number];
  eps: number;
  weight_decay: number;
  max_grad_norm: number;
  losses: number[];
  grad_norms: number[];
}
interface Golden {
  loss: number;
  lora_loss: number;
  adamw: Curve;
  full_adamw: Curve;
}

let engine: Engine;
beforeAll(async () => {
  engine = await openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
});
afterAll(() => engine.close());

describe.each(GOLDENS)('golden %s', (name) => {
  const folder = join(import.meta.dirname, name);
  const source = openModelSource(join(folder, 'model'));
  const golden = readJson(join(folder, 'golden.json')) as Golden;
  const tensors = new Map(readSafetensorsHeader(join(folder, 'golden.safetensors')).tensors.map((t) => [t.name, t]));
  const value = (tensor: string) => readStored(tensors.get(tensor)!);
  /** A tensor of the reference; transformers holds the experts of a layer in one. */
  const reference = (prefix: string, tensor: string): Float32Array => {
    const expert = /^(.*\.experts)\.(\d+)\.(gate|up|down)_proj\.weight$/.exec(tensor);
    if (expert === null) return value(prefix + tensor);
    const [, stem, index, part] = expert;
    const all = value(`${prefix}${stem}.${part === 'down' ? 'down' : 'gate_up'}_proj`);
    const size = all.length / source.config.experts!.count;
    const own = all.subarray(Number(index) * size, (Number(index) + 1) * size);
    if (part === 'down') return own;
    return part === 'gate' ? own.subarray(0, size / 2) : own.subarray(size / 2);
  };
  const adapter = openPeft(join(folder, 'adapter'), source.config);

  const network = (weights: 'lora' | 'full', keep: Network['keep'] = 'matmul') =>
    createNetwork({
      engine,
      base: uploadBase(engine, source.config, source.tensors),
      adapter: weights === 'lora' ? uploadAdapter(engine, source, adapter) : undefined,
      trained: weights === 'full' ? trainedInFull(source.config) : undefined,
      keep,
    });
  const examples = goldenRows(tensors);
  const batches = (pack: boolean, microBatch?: number) =>
    planMicroBatches(examples.map((e) => e.ids.length), { pack, microBatch }).map((plan) => buildMicroBatch(examples, plan));

  test('reads config.json and its older spelling alike', () => {
    const older = join(folder, 'model', 'config.older.json');
    const { eosIds: _, ...fromOlder } = parseHfConfig(readJson(older) as Record<string, unknown>, older);
    expect(source.config).toMatchObject(fromOlder);
  });

  test.each([
    ['lora', 'lora_loss', 'grad.'],
    ['full', 'loss', 'full_grad.'],
  ] as const)('%s loss and gradients equal the reference', async (weights, lossName, prefix) => {
    for (const keep of ['nothing', 'matmul', 'all'] as const) {
      const net = network(weights, keep);
      const [batch] = batches(false, 2);
      const step = microStep(net, batch!, 1);
      const nll = await readLosses(engine, step.nll, batch!.lossTokens);
      const loss = nll.reduce((s, x) => s + x, 0) / batch!.lossTokens;
      expect(Math.abs(loss - golden[lossName]) / golden[lossName]).toBeLessThan(LOSS);
      for (const [tensor, handle] of gradients(net, step)) {
        const expected = reference(prefix, tensor);
        const { data, shape } = await engine.read(handle);
        const isTurned = weights === 'full' && isTransposed(source.config, tensor);
        const actual = isTurned ? transposed(data as Float32Array, shape[0]!, shape[1]!) : (data as Float32Array);
        expect(relativeDistance(actual.map((x) => x / batch!.lossTokens), expected), tensor).toBeLessThan(GRADIENT);
      }
    }
  });

  test.each([
    ['lora', 'adamw', false, 2],
    ['lora', 'adamw', true, undefined],
    ['lora', 'adamw', false, 1],
    ['full', 'full_adamw', false, 2],
    ['full', 'full_adamw', true, 1],
  ] as const)('%s AdamW follows %s with pack %s and micro-batch %s', async (weights, curveName, pack, microBatch) => {
    const net = network(weights);
    const curve = golden[curveName];
    const [beta1, beta2] = curve.betas;
    const constants = { name: 'adamw' as const, beta1, beta2, eps: curve.eps };
    const optimizer = { constants, weightDecay: curve.weight_decay, loraPlusRatio: 1, seed: 0 };
    const state = initialState(net, optimizer);
    const options = { optimizer, clip: curve.max_grad_norm };
    for (const [i, expected] of curve.losses.entries()) {
      const step = { ...options, step: i + 1, lr: curve.lr, describeRows: () => '' };
      const { loss, gradNorm } = await trainStep(net, state, batches(pack, microBatch), step);
      expect(Math.abs(loss - expected) / expected, `loss of step ${i + 1}`).toBeLessThan(CURVE);
      expect(Math.abs(gradNorm - curve.grad_norms[i]!) / gradNorm, `norm of step ${i + 1}`).toBeLessThan(1e-4);
    }
  });
});

type Tensors = ReadonlyMap<string, Parameters<typeof readStored>[0]>;

function goldenRows(tensors: Tensors): Example[] {
  const ints = (name: string) => {
    const raw = readStoredRaw(tensors.get(name)!);
    return [...new BigInt64Array(raw.buffer, raw.byteOffset, raw.byteLength / 8)].map(Number);
  };
  const [ids, mask, labels] = [ints('input_ids'), ints('attention_mask'), ints('labels')];
  const width = tensors.get('input_ids')!.shape[1]!;
  return [0, 1].map((row) => {
    const length = mask.slice(row * width, (row + 1) * width).reduce((n, m) => n + m, 0);
    const part = (values: number[]) => Int32Array.from(values.slice(row * width, row * width + length));
    return { ids: part(ids), labels: part(labels) };
  });
}

/** Gradients by the name that the reference gives them. */
function* gradients(net: Network, step: ReturnType<typeof microStep>) {
  for (const [place, grads] of [...step.layers.entries(), ['outer', step.outer] as const]) {
    for (const [name, handle] of Object.entries(grads)) yield [fileName(net.config, net.trained, place, name), handle] as const;
  }
}

function relativeDistance(actual: Float32Array, expected: Float32Array): number {
  let largest = 0;
  let distance = 0;
  for (const [i, x] of expected.entries()) {
    largest = Math.max(largest, Math.abs(x));
    distance = Math.max(distance, Math.abs(x - actual[i]!));
  }
  return distance / largest;
}
