import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openOrt } from '../src/engine/index.ts';
import { argmax, capacityFor, createDecoder, openStoredBase } from '../src/generate/index.ts';
import { uploadBase } from '../src/model/base.ts';
import { openModelSource } from '../src/model/source.ts';

/** Tokens per second. */
interface Rates {
  readonly prefill: number;
  readonly decode: number;
}

/** One program that can be measured. */
interface Contender {
  readonly name: string;
  measure(context: number, decode: number): Promise<Rates>;
  close(): Promise<void>;
}

const DECODED = 32;
const PEER = fileURLToPath(new URL('./peers/llama-cpp/', import.meta.url));
const PEER_ENV = { ...process.env, NODE_LLAMA_CPP_SKIP_DOWNLOAD: 'true', NODE_LLAMA_CPP_GPU: 'false' };

/**
 * Decoding and prefill of one sequence with a 4-bit base: ours, fast and exact, against llama.cpp. The contenders take turns, round by round, so that
 * a busy machine is busy for all of them, and each keeps its best round.
 */
export async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: { type: 'string', default: defaultModel() },
      threads: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '5' },
      contexts: { type: 'string', default: '256,2048' },
    },
  });
  const threads = Number(values.threads);
  installPeer();
  const contenders = [openOurs('fast', values.model, threads), await openPeer(values.model, threads)];
  contenders.push(openOurs('exact', values.model, threads));
  console.log(`${values.model}, ${threads} threads, best of ${values.rounds} rounds; tokens per second`);
  for (const context of values.contexts.split(',').map(Number)) {
    const best = new Map<string, Rates>();
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const contender of contenders) {
        const { prefill, decode } = await contender.measure(context, DECODED);
        const known = best.get(contender.name) ?? { prefill: 0, decode: 0 };
        best.set(contender.name, {
          prefill: Math.max(known.prefill, prefill),
          decode: Math.max(known.decode, decode),
        });
      }
    }
    report(context, best);
  }
  for (const contender of contenders) await contender.close();
}

function report(context: number, best: ReadonlyMap<string, Rates>): void {
  const peer = best.get('llama.cpp')!;
  console.log(`\ncontext ${context}      prefill  (ratio)    decode  (ratio)`);
  for (const [name, { prefill, decode }] of best) {
    const cell = (value: number, reference: number) =>
      `${value.toFixed(1).padStart(9)}  ${`(${(value / reference).toFixed(2)})`.padStart(7)}`;
    console.log(`  ${name.padEnd(14)}${cell(prefill, peer.prefill)} ${cell(decode, peer.decode)}`);
  }
}

function defaultModel(): string {
  const home = process.env.TUNESMITH_HOME ?? join(homedir(), '.cache', 'tunesmith');
  return join(home, 'models', 'smollm2-135m-instruct', 'SmolLM2-135M-Instruct.Q4_1.gguf');
}

function openOurs(precision: 'fast' | 'exact', path: string, threads: number): Contender {
  const source = openModelSource(path);
  const engine = openOrt({ device: 'cpu', threads, optimize: 'on' });
  const open = precision === 'fast' ? openStoredBase : uploadBase;
  const decoder = createDecoder({ engine, base: open(engine, source.config, source.tensors) });
  return {
    name: precision,
    async measure(context, decode) {
      const cache = decoder.allocate(1, capacityFor(context, decode + 1));
      const ids = Array.from({ length: context }, (_, i) => ((i * 37) % 40000) + 100);
      await warm(decoder, cache, context);
      let start = performance.now();
      let id = argmax(await decoder.prefill(cache, ids));
      const prefill = (1000 * context) / (performance.now() - start);
      const times: number[] = [];
      for (let i = 0; i < decode; i++) {
        start = performance.now();
        id = (await decoder.stepGreedy(cache, [{ id, position: context + i }]))[0]!;
        times.push(performance.now() - start);
      }
      decoder.release(cache);
      return { prefill, decode: 1000 / times.toSorted((a, b) => a - b)[decode >> 1]! };
    },
    close: () => engine.close(),
  };
}

const warmed = new Set<string>();

/** Programs are compiled when first run; llama.cpp has none to compile. */
async function warm(
  decoder: ReturnType<typeof createDecoder>,
  cache: ReturnType<ReturnType<typeof createDecoder>['allocate']>,
  context: number,
): Promise<void> {
  const key = `${JSON.stringify(cache.keys[0])}|${context}`;
  if (warmed.has(key)) return;
  warmed.add(key);
  await decoder.prefill(cache, new Array<number>(Math.min(context, 512)).fill(1));
  await decoder.stepGreedy(cache, [{ id: 1, position: 1 }]);
}

/** Brings node-llama-cpp and its prebuilt library through npm; nothing is built or downloaded besides. */
function installPeer(): void {
  if (existsSync(join(PEER, 'node_modules', 'node-llama-cpp'))) return;
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const flags = ['--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund', '--package-lock=false'];
  execFileSync(npm, ['install', ...flags], { cwd: PEER, env: PEER_ENV, stdio: 'inherit' });
}

async function openPeer(path: string, threads: number): Promise<Contender> {
  const child: ChildProcess = spawn(process.execPath, [join(PEER, 'run.mjs'), path, String(threads)], {
    env: PEER_ENV,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done === true) throw new Error('node-llama-cpp ended');
      if (String(value).startsWith('{')) return JSON.parse(String(value));
    }
  };
  await next();
  return {
    name: 'llama.cpp',
    async measure(context, decode) {
      child.stdin!.write(`${JSON.stringify({ context, decode })}\n`);
      return (await next()) as Rates;
    },
    close: async () => {
      child.stdin!.end();
    },
  };
}
