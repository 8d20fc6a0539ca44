/** Our side of `npm run bench -- classify`, in a process of its own so that its memory is its own. Arguments: GGUF WORKLOAD THREADS */
import { readFileSync } from 'node:fs';
import { TARGET_TOKENS } from '../src/data/index.ts';
import { openOrt } from '../src/engine/index.ts';
import { loraRequest, resolveAdapter } from '../src/model/adapter.ts';
import { initialAdapter } from '../src/model/adapter-handles.ts';
import { uploadBase } from '../src/model/base.ts';
import { openModelSource } from '../src/model/source.ts';
import { type Example, IGNORE } from '../src/text/index.ts';
import { argMax } from '../src/train/classify/calibrate.ts';
import { initialScore } from '../src/train/classify/head.ts';
import { distanceOf, fitLikeness } from '../src/train/classify/likeness.ts';
import { classLogits, classStates, type Seen } from '../src/train/classify/predict.ts';
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
const judge = async (rows: readonly (readonly number[])[]) => {
  const found: Seen[] = [];
  for await (const row of classStates(
    net,
    rows.map((ids) => exampleOf(ids, 0)),
  ))
    found.push(row);
  return found;
};
const seen = await judge(train.map(({ ids }) => ids));
const likeness = fitLikeness(
  seen.map(({ state }) => state),
  train.map((row) => row.class),
);
const foreign = await judge(odd);
const own = [...(await judge(select.map(({ ids }) => ids))), ...(await judge(test.map(({ ids }) => ids)))];
/** The negative free energy of logits, which is another measure of likeness (Liu et al. 2020, arXiv:2010.03759). */
const energyOf = (logits: Float32Array) => {
  const most = Math.max(...logits);
  return most + Math.log(logits.reduce((sum, z) => sum + Math.exp(z - most), 0));
};
/** Share of pairs of an own and a foreign text that a measure of strangeness puts in the right order. */
const told = (strangeness: (one: (typeof seen)[number]) => number) => {
  const [inside, outside] = [own.map(strangeness), foreign.map(strangeness)];
  const pairs = outside.flatMap((far) => inside.map((near) => (far > near ? 1 : far === near ? 0.5 : 0)));
  return pairs.reduce((a: number, b) => a + b, 0) / pairs.length;
};
const none = {
  distance: told(({ state }) => distanceOf(likeness, state)),
  energy: told(({ logits }) => -energyOf(logits)),
};
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
