import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PEER = fileURLToPath(new URL('../../bench/peers/transformers-js/', import.meta.url));

/** A label with its probability. */
export interface Labelled {
  readonly label: string;
  readonly score: number;
}

/** A process with transformers.js, which opens folders. */
export interface TransformersJs {
  /** The most likely answers to conversations, or continuations of texts, in at most so many tokens. */
  generate(folder: string, prompts: readonly unknown[], count: number): Promise<string[]>;
  /** All labels of each text. */
  classify(folder: string, texts: readonly string[]): Promise<Labelled[][]>;
  close(): void;
}

/** Whether transformers.js is here: brought once through npm, over the project's own ONNX Runtime. */
export function hasTransformersJs(): boolean {
  if (existsSync(path.join(PEER, 'node_modules', '@huggingface', 'transformers'))) return true;
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--package-lock=false'];
  try {
    execFileSync('npm', ['install', ...flags], {
      cwd: PEER,
      stdio: 'ignore',
      timeout: 180_000,
      shell: process.platform === 'win32',
    });
    return true;
  } catch {
    console.warn('transformers.js could not be installed: exports are not held against it.');
    return false;
  }
}

/** Starts transformers.js. Each folder says itself which kind of numbers it has. */
export function openTransformersJs(): TransformersJs {
  const env = { ...process.env, ORT_DISABLE_TELEMETRY: '1' };
  const child: ChildProcess = spawn(process.execPath, [path.join(PEER, 'evaluate.mjs')], {
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const complaints: string[] = [];
  child.stderr?.on('data', (chunk) => complaints.push(String(chunk)));
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const next = async (): Promise<Record<string, unknown>> => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done === true) throw new Error(`transformers.js ended: ${complaints.join('')}`);
      if (String(value).startsWith('{')) return JSON.parse(String(value)) as Record<string, unknown>;
    }
  };
  const ask = async (request: unknown) => {
    child.stdin?.write(`${JSON.stringify(request)}\n`);
    return next();
  };
  return {
    generate: async (folder, generate, count) => (await ask({ folder, generate, count })).texts as string[],
    classify: async (folder, classify) => (await ask({ folder, classify })).labels as Labelled[][],
    close: () => void child.kill(),
  };
}
