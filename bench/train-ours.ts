/** Our side of `npm run bench -- train`, in a process of its own so that its memory is its own. Arguments: GGUF WORKLOAD THREADS */
import { readFileSync } from 'node:fs';
import { TARGET_TOKENS } from '../src/data/index.ts';
import { openOrt } from '../src/engine/index.ts';
import { loraRequest, resolveAdapter } from '../src/model/adapter.ts';
import { initialAdapter } from '../src/model/adapter-handles.ts';
import { uploadBase } from '../src/model/base.ts';
import { openModelSource } from '../src/model/source.ts';
import type { Example } from '../src/text/index.ts';
import { microBatches } from '../src/train/loop.ts';
import { createNetwork } from '../src/train/network.ts';
import { initialState, trainStep } from '../src/train/step.ts';
import type { Side, Workload } from './train.ts';

const [gguf, file, threads] = process.argv.slice(2) as [string, string, string];
const { batches, targetTokens = TARGET_TOKENS } = JSON.parse(readFileSync(file, 'utf8')) as Workload;
const source = openModelSource(gguf);
const engine = openOrt({ device: 'cpu', threads: Number(threads), optimize: 'on' });
const base = uploadBase(engine, source.config, source.tensors);
const spec = resolveAdapter(source.config, loraRequest({ rank: 16, alpha: 32, targets: 'all-linear' }));
const adapter = await initialAdapter(engine, source, spec, 0);
const net = createNetwork({ engine, base, adapter });
const constants = { name: 'adamw', beta1: 0.9, beta2: 0.999, eps: 1e-8 } as const;
const optimizer = { constants, weightDecay: 0, loraPlusRatio: 1, seed: 0 };
const state = initialState(net, optimizer);
const options = { optimizer, clip: 1, lr: 1e-3, describeRows: () => 'bench' };
const losses: number[] = [];
let seconds = 0;
let tokens = 0;
for (const [i, rows] of batches.entries()) {
  const examples: Example[] = rows.map((r) => ({ ids: Int32Array.from(r.ids), labels: Int32Array.from(r.labels) }));
  const start = performance.now();
  const { loss } = await trainStep(net, state, microBatches(examples, { pack: true, targetTokens, share: true }), {
    ...options,
    step: i + 1,
  });
  await engine.sync();
  losses.push(loss);
  if (i === 0) continue;
  seconds += (performance.now() - start) / 1000;
  tokens += examples.reduce((n, e) => n + e.ids.length, 0);
}
const peakBytes = (await engine.stats()).peakBytes + process.resourceUsage().maxRSS * 1024;
await engine.close();
console.log(JSON.stringify({ tokensPerSecond: tokens / seconds, peakBytes, losses } satisfies Side));
