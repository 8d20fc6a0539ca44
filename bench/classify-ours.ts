/** Our side of `npm run bench -- classify`, in a process of its own so that its memory is its own. Arguments: GGUF WORKLOAD THREADS */
import { readFileSync } from 'node:fs';
import { TARGET_TOKENS } from '../src/data/index.ts';
import { openOrt } from '../src/engine/index.ts';
import { loraRequest, resolveAdapter } from '../src/model/adapter.ts';
import { initialAdapter } from '../src/model/adapter-handles.ts';
import { uploadBase } from '../src/model/base.ts';
import { openModelSource } from '../src/model/source.ts';
import { type Example, IGNORE } from '../src/text/index.ts';
import { argMax, calibrate } from '../src/train/classify/calibrate.ts';
import { decide } from '../src/train/classify/decide.ts';
import { initialScore } from '../src/train/classify/head.ts';
import { classLogits } from '../src/train/classify/predict.ts';
import { microBatches } from '../src/train/loop.ts';
import { createNetwork } from '../src/train/network.ts';
import { initialState, trainStep } from '../src/train/step.ts';
import type { ClassifySide, ClassifyWorkload } from './classify.ts';

const [gguf, file, threads] = process.argv.slice(2) as [string, string, string];
const { labels, train, steps, rates, select, test, odd } = JSON.parse(readFileSync(file, 'utf8')) as ClassifyWorkload;
const source = openModelSource(gguf);
const engine = openOrt({ device: 'cpu', threads: Number(threads), optimize: 'on' });
const base = uploadBase(engine, source.config, source.tensors);
const spec = resolveAdapter(source.config, loraRequest({ rank: 16, alpha: 32, targets: 'all-linear' }));
const adapter = await initialAdapter(engine, source, spec, 0);
const score = engine.upload(initialScore(labels.length, source.config.hiddenSize, 0));
const net = createNetwork({ engine, base, adapter, classifier: { kind: 'single', classes: labels.length, score } });
const constants = { name: 'adamw', beta1: 0.9, beta2: 0.999, eps: 1e-8 } as const;
const optimizer = { constants, weightDecay: 0, loraPlusRatio: 1, seed: 0 };
const state = initialState(net, optimizer);
const exampleOf = (ids: readonly number[], k: number): Example => {
  return { ids: Int32Array.from(ids), labels: new Int32Array(ids.length).fill(IGNORE), classes: [k] };
};
const losses: number[] = [];
const start = performance.now();
for (const [i, rows] of steps.entries()) {
  const examples = rows.map((row) => exampleOf(train[row]!.ids, train[row]!.class));
  const batches = microBatches(examples, { pack: true, targetTokens: TARGET_TOKENS });
  const options = { optimizer, clip: 1, lr: rates[i]!, step: i + 1, describeRows: () => 'bench' };
  losses.push((await trainStep(net, state, batches, options)).loss);
}
await engine.sync();
const trained = performance.now();
const logitsOf = async (ids: readonly (readonly number[])[]) => {
  const logits: Float32Array[] = [];
  for await (const row of classLogits(
    net,
    ids.map((one) => exampleOf(one, 0)),
  ))
    logits.push(row);
  return logits;
};
const logits = await logitsOf(test.map(({ ids }) => ids));
const tested = performance.now();
const peakBytes = (await engine.stats()).peakBytes + process.resourceUsage().maxRSS * 1024;
const judged = await logitsOf(select.map(({ ids }) => ids));
const calibration =
  calibrate({ kind: 'single', logits: judged, classes: select.map((row) => [row.class]) }, 0.9) ?? null;
const noneOf = (rows: readonly Float32Array[]) =>
  rows.filter((row) => decide(row, 'single', calibration).isNone === true).length / rows.length;
const none = [noneOf(logits), noneOf(await logitsOf(odd))] as const;
await engine.close();
const result: ClassifySide = {
  predicted: logits.map(argMax),
  trainSeconds: (trained - start) / 1000,
  testSeconds: (tested - trained) / 1000,
  peakBytes,
  losses,
  none,
};
console.log(JSON.stringify(result));
