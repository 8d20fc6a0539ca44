import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildMicroBatch, planMicroBatches } from '../../src/data/index.ts';
import { type Engine, openOrtHere } from '../../src/engine/index.ts';
import { readJson, readSafetensorsHeader, readStored } from '../../src/io/index.ts';
import { uploadAdapter } from '../../src/model/adapter-handles.ts';
import { uploadBase } from '../../src/model/base.ts';
import { openPeft } from '../../src/model/peft.ts';
import { openModelSource } from '../../src/model/source.ts';
import { createNetwork, microStep, type NetworkOptions, readLosses } from '../../src/train/network.ts';
import { fileName, trainedInFull } from '../../src/train/trained.ts';
import { cli, temporaryFolder } from '../support/cli.ts';
import { expectClose, expectCurve, type Curve } from '../support/close.ts';
import { goldenRows, writeRows } from '../support/golden-rows.ts';

const FOLDER = join(import.meta.dirname, 'qwen3-moe');
const MODEL = join(FOLDER, 'model');
const EXPERTS = join(FOLDER, 'experts');

interface Golden {
  readonly lora_loss: number;
  readonly adamw: Curve & { readonly lr: number };
  readonly aux: { readonly coefficient: number; readonly loss: number; readonly plain: number };
}

const golden = readJson(join(EXPERTS, 'golden.json')) as Golden;
const tensors = new Map(readSafetensorsHeader(join(EXPERTS, 'golden.safetensors')).tensors.map((t) => [t.name, t]));
const source = openModelSource(MODEL);
const temporary = temporaryFolder();
const data = writeRows(join(temporary, 'rows.jsonl'), goldenRows(FOLDER));

let engine: Engine;
beforeAll(async () => {
  engine = await openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
});
afterAll(() => engine.close());

/** Gradients of one micro-batch with both rows, by their names in files, and its mean loss. */
async function gradients(options: Omit<NetworkOptions, 'engine' | 'base'>) {
  const base = uploadBase(engine, source.config, source.tensors);
  const net = createNetwork({ engine, base, ...options });
  const examples = goldenRows(FOLDER).map(({ input_ids, labels, attention_mask }) => {
    const length = attention_mask.reduce((n, m) => n + m, 0);
    return { ids: Int32Array.from(input_ids.slice(0, length)), labels: Int32Array.from(labels.slice(0, length)) };
  });
  const lengths = examples.map(({ ids }) => ids.length);
  const batch = buildMicroBatch(examples, planMicroBatches(lengths, { pack: true, microBatch: 2 })[0]!);
  const step = microStep(net, batch, 1);
  const nll = await readLosses(engine, step.nll, batch.lossTokens);
  const found = new Map<string, Float32Array>();
  for (const [place, grads] of [...step.layers.entries(), ['outer', step.outer] as const]) {
    for (const [name, handle] of Object.entries(grads)) {
      const { data: values } = await engine.read(handle);
      found.set(fileName(source.config, net.trained, place, name), (values as Float32Array).map((x) => x / batch.lossTokens));
    }
  }
  return { found, loss: nll.reduce((a, b) => a + b) / batch.lossTokens };
}

function expectGradient(actual: Float32Array, expected: Float32Array, name: string): void {
  const largest = expected.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
  const off = actual.reduce((m, x, i) => Math.max(m, Math.abs(x - expected[i]!)), 0);
  expect(off / largest, name).toBeLessThan(1e-4);
}

test('adapters on experts have the gradients of the reference', async () => {
  const adapter = uploadAdapter(engine, source, openPeft(join(EXPERTS, 'adapter'), source.config));
  const { found, loss } = await gradients({ adapter });
  expectClose(loss, golden.lora_loss, 5e-6);
  expect(found.size).toBe(2 * 2 * (3 * 4 + 1));
  for (const [name, actual] of found) expectGradient(actual, readStored(tensors.get(`grad.${name}`)!), name);
});

test('train follows the curve of adapters on experts', async () => {
  const { exit, lines, stderr } = await cli([
    ...['train', '--model', MODEL, '--init-adapter', join(EXPERTS, 'adapter'), '--data', data, '--valid', 'none'],
    ...['--lr', golden.adamw.lr, '--schedule', 'constant', '--warmup', 0, '--weight-decay', 0, '--clip', 1],
    ...['--batch', 2, '--steps', 10, '--no-shuffle', '--threads', 1, '--out', temporary, '--name', 'experts'],
  ]);
  expect(exit, stderr).toBe(0);
  expectCurve(lines, golden.adamw, { loss: 1e-5, norm: 1e-4 });
});

test('the auxiliary loss gives all weights the gradients of the reference', async () => {
  const { coefficient, plain } = golden.aux;
  const trained = trainedInFull(source.config);
  const { found, loss } = await gradients({ trained, routerLoss: coefficient });
  const { found: without } = await gradients({ trained });
  expectClose(loss, plain, 5e-6);
  const router = 'model.layers.1.mlp.gate.weight';
  expect([...found.get(router)!]).not.toEqual([...without.get(router)!]);
  for (const [name, actual] of found) {
    const expected = tensors.get(`aux_grad.${name}`);
    if (expected !== undefined) expectGradient(actual, readStored(expected), name);
  }
});

test('--router-loss changes a run, and is refused where there are no experts', async () => {
  const flags = ['--data', data, '--valid', 'none', '--steps', 3, '--lr', 1e-2, '--weights', 'full', '--out', temporary];
  const losses = [];
  for (const extra of [[], ['--router-loss', 1]]) {
    const { exit, lines, stderr } = await cli(['train', '--model', MODEL, ...flags, '--name', `r${extra.length}`, ...extra]);
    expect(exit, stderr).toBe(0);
    losses.push(lines.filter(({ type }) => type === 'step').map(({ loss }) => loss));
  }
  expect(losses[0]![0]).toBe(losses[1]![0]);
  expect(losses[0]![2]).not.toBe(losses[1]![2]);
  const llama = join(import.meta.dirname, 'llama', 'model');
  const refused = await cli(['train', '--model', llama, ...flags, '--name', 'no', '--router-loss', 1]);
  expect(refused.exit).toBe(2);
  expect(refused.stderr).toMatch(/--router-loss has no effect on a model without experts/);
});
