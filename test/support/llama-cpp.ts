import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PEER = fileURLToPath(new URL('../../bench/peers/llama-cpp/', import.meta.url));
const PEER_ENV = { ...process.env, NODE_LLAMA_CPP_SKIP_DOWNLOAD: 'true', NODE_LLAMA_CPP_GPU: 'false' };

/** A model in llama.cpp. */
export interface LlamaCpp {
  /** Special tokens are parsed, nothing is added. */
  tokenize(text: string): Promise<number[]>;
  /** The distribution after each id, [ids, vocabulary]. */
  probabilities(ids: readonly number[]): Promise<Float32Array>;
  greedy(ids: readonly number[], count: number): Promise<number[]>;
  close(): void;
}

/**
 * Whether llama.cpp is here: brought once through npm, as a prebuilt library, if it is not. It is no dependency of the project, for its packages
 * for graphics cards would come with it, some 700 MB.
 */
export function hasLlamaCpp(): boolean {
  if (process.platform !== 'linux' || process.arch !== 'x64') return false;
  if (existsSync(path.join(PEER, 'node_modules', 'node-llama-cpp'))) return true;
  const flags = ['--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund', '--package-lock=false'];
  try {
    execFileSync('npm', ['install', ...flags], { cwd: PEER, env: PEER_ENV, stdio: 'ignore', timeout: 180_000 });
    return true;
  } catch {
    console.warn('llama.cpp could not be installed: exports are not held against it.');
    return false;
  }
}

/** Loads a GGUF file, with a GGUF adapter if one is given. `scratch` is a folder for large answers. */
export async function openLlamaCpp(model: string, scratch: string, adapter?: string): Promise<LlamaCpp> {
  const words = [path.join(PEER, 'evaluate.mjs'), model, ...(adapter === undefined ? [] : [adapter])];
  const child: ChildProcess = spawn(process.execPath, words, { env: PEER_ENV, stdio: ['pipe', 'pipe', 'pipe'] });
  const complaints: string[] = [];
  child.stderr?.on('data', (chunk) => complaints.push(String(chunk)));
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const next = async (): Promise<Record<string, unknown>> => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done === true) throw new Error(`llama.cpp ended: ${complaints.join('')}`);
      if (String(value).startsWith('{')) return JSON.parse(String(value)) as Record<string, unknown>;
    }
  };
  const ask = async (request: unknown) => {
    child.stdin?.write(`${JSON.stringify(request)}\n`);
    return next();
  };
  await next();
  return {
    tokenize: async (text) => (await ask({ tokenize: text })).ids as number[],
    async probabilities(ids) {
      const to = path.join(scratch, 'probabilities.f32');
      await ask({ probabilities: ids, to });
      const bytes = readFileSync(to);
      return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    },
    greedy: async (ids, count) => (await ask({ greedy: ids, count })).ids as number[],
    close: () => void child.kill(),
  };
}
