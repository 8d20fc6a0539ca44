import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildMicroBatch, planMicroBatches } from '../../src/data/index.ts';
import { type Engine, openOrtHere } from '../../src/engine/index.ts';
import { readJson, readSafetensorsHeader, readStored } from '../../src/io/index.ts';
import { uploadAdapter } from '../../src/model/adapter-handles.ts';
import { uploadBase } from '../../src/model/base.ts';
import { openPeft } from '../../src/model/peft.ts';
import { openModelSource } from '../../src/model/source.ts';
import { type Example, IGNORE } from '../../src/text/example.ts';
import { trainedTensors } from '../../src/train/names.ts';
import { createNetwork, forwardLogits, microStep, readLosses } from '../../src/train/network.ts';
import { initialState, trainStep } from '../../src/train/step.ts';

// Tolerances of the project: see CONTRIBUTING.md.
const LOSS = 5e-6;
const LOGITS = 2e-5;
const GRADIENT = 1e-4;
const CURVE = 1e-5;

interface Case {
  readonly classes: number[][];
  readonly losses: number[];
  readonly grad_norms: number[];
  readonly weights: number[] | null;
}
interface Golden {
  readonly ids: number[][];
  readonly optimizer: { readonly lr: number; readonly betas: [number, number]; readonly eps: number; readonly max_grad_norm: number };
  readonly cases: Readonly<Record<'single' | 'weighted' | 'multi', Case>>;
}

let engine: Engine;
beforeAll(async () => {
  engine = await openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
});
afterAll(() => engine.close());

const folder = join(import.meta.dirname, 'classify');
const golden = readJson(join(folder, 'golden.json')) as Golden;
const source = openModelSource(join(import.meta.dirname, 'llama', 'model'));

describe.each(['single', 'weighted', 'multi'] as const)('sequence classification in transformers and peft, %s', (name) => {
  const { classes, losses, grad_norms, weights } = golden.cases[name];
  const adapter = openPeft(join(folder, name, 'adapter'), source.config, 'SEQ_CLS');
  const tensors = new Map(readSafetensorsHeader(join(folder, name, 'golden.safetensors')).tensors.map((t) => [t.name, t]));
  const value = (tensor: string) => readStored(tensors.get(tensor)!);
  const examples = golden.ids.map((ids, row): Example => {
    return { ids: Int32Array.from(ids), labels: new Int32Array(ids.length).fill(IGNORE), classes: classes[row]! };
  });
  const batches = (pack: boolean, microBatch?: number) =>
    planMicroBatches(examples.map((e) => e.ids.length), { pack, microBatch }).map((plan) => ({
      plan,
      batch: buildMicroBatch(examples, plan),
    }));
  const network = () => {
    const score = engine.upload({ stored: [adapter.score!], shape: adapter.score!.shape });
    return createNetwork({
      engine,
      base: uploadBase(engine, source.config, source.tensors),
      adapter: uploadAdapter(engine, source, adapter),
      classifier: {
        kind: name === 'multi' ? 'multi' : 'single',
        classes: 3,
        weights: weights === null ? undefined : Float32Array.from(weights),
        score,
      },
    });
  };

  test('logits are equal', async () => {
    const net = network();
    const expected = value('logits');
    for (const { plan, batch } of batches(true, 2)) {
      const [handle] = forwardLogits(net, batch);
      const logits = (await engine.read(handle!)).data as Float32Array;
      for (const [i, row] of plan.rows.entries())
        expect(distance(logits.subarray(3 * i, 3 * i + 3), expected.subarray(3 * row, 3 * row + 3))).toBeLessThan(LOGITS * largest(expected));
    }
  });

  test('loss and gradients of head and adapter are equal', async () => {
    const net = network();
    const [one] = batches(false, 5);
    const step = microStep(net, one!.batch, 1);
    const nll = await readLosses(engine, step.nll, 5);
    expect(Math.abs(nll.reduce((s, x) => s + x, 0) / 5 - losses[0]!) / losses[0]!).toBeLessThan(LOSS);
    let compared = 0;
    for (const { file, place, name: input } of trainedTensors(net)) {
      const handle = place === 'outer' ? step.outer[input] : step.layers[place]![input];
      const actual = (await engine.read(handle!)).data as Float32Array;
      const expected = value(`grad.${file}`);
      expect(distance(actual.map((x) => x / 5), expected), file).toBeLessThan(GRADIENT * largest(expected));
      compared++;
    }
    expect(compared).toBe(29);
  });

  test.each([
    [true, undefined],
    [false, 2],
  ])('three steps of AdamW are equal with pack %s and micro-batch %s', async (pack, microBatch) => {
    const net = network();
    const { lr, betas, eps, max_grad_norm: clip } = golden.optimizer;
    const constants = { name: 'adamw' as const, beta1: betas[0], beta2: betas[1], eps };
    const optimizer = { constants, weightDecay: 0, loraPlusRatio: 1, seed: 0 };
    const state = initialState(net, optimizer);
    for (const [i, expected] of losses.entries()) {
      const options = { optimizer, clip, step: i + 1, lr, describeRows: () => '' };
      const { loss, gradNorm, tokens } = await trainStep(net, state, batches(pack, microBatch).map(({ batch }) => batch), options);
      expect(tokens).toBe(5);
      expect(Math.abs(loss - expected) / expected, `loss of step ${i + 1}`).toBeLessThan(CURVE);
      expect(Math.abs(gradNorm - grad_norms[i]!) / gradNorm, `norm of step ${i + 1}`).toBeLessThan(1e-4);
    }
    for (const { file, handle } of trainedTensors(net)) {
      const expected = value(`trained.${file}`);
      const actual = (await engine.read(handle)).data as Float32Array;
      expect(distance(actual, expected), file).toBeLessThan(1e-4 * largest(expected));
    }
  });
});

function distance(actual: Float32Array, expected: Float32Array): number {
  return expected.reduce((most, x, i) => Math.max(most, Math.abs(x - actual[i]!)), 0);
}

function largest(values: Float32Array): number {
  return values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
}
