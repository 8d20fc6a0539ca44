import { Worker } from 'node:worker_threads';
import { type ErrorCode, type ErrorDetails, TunesmithError } from '../errors/index.ts';

/** Threads that do the same kind of task. */
export interface Pool<T, R> {
  readonly size: number;
  /** Tasks begin in the order in which they are given. What is transferred is gone afterwards. */
  run(task: T, transfer?: readonly ArrayBuffer[]): Promise<R>;
  /** Gives a task to each thread, behind those that it has. */
  runOnEach(task: T): Promise<R[]>;
  close(): Promise<void>;
}

/** What each thread does. */
export interface PoolWork {
  /** Address of a module, and the name of its function that takes `init` and returns a function from tasks to results. */
  readonly module: string;
  readonly name: string;
  readonly init: unknown;
}

/** A task on its way to a thread. */
export interface PoolTask {
  readonly task: unknown;
}

/** A thread's answer. */
export type PoolReply =
  | { readonly result: unknown }
  | { readonly code: ErrorCode; readonly details: ErrorDetails }
  | { readonly fault: string };

interface Waiting {
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Starts threads. Results come back as copies; typed arrays at the top of a result are handed over.
 *
 * @param size threads, at least 1
 */
export function openPool<T, R>(work: PoolWork, size: number): Pool<T, R> {
  const threads = Array.from({ length: Math.max(1, size) }, () => openThread<T, R>(work));
  return {
    size: threads.length,
    run: (task, transfer = []) => {
      const idlest = threads.reduce((a, b) => (b.queued() < a.queued() ? b : a));
      return idlest.run(task, transfer);
    },
    runOnEach: (task) => Promise.all(threads.map((thread) => thread.run(task, []))),
    close: async () => {
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}

function openThread<T, R>(work: PoolWork) {
  const here = import.meta.url;
  const worker = new Worker(new URL(here.endsWith('.ts') ? './pool-main.ts' : './pool-main.js', here), {
    workerData: work,
    // What a task leaves behind is collected early, or each thread would hold a heap of its own.
    resourceLimits: { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 512 },
  });
  const waiting: Waiting[] = [];
  let gone: Error | undefined;
  const end = (error: Error) => {
    gone ??= error;
    for (const { reject } of waiting.splice(0)) reject(gone);
  };
  worker.on('message', (reply: PoolReply) => {
    const next = waiting.shift();
    if ('result' in reply) next?.resolve(reply.result as never);
    else if ('code' in reply) next?.reject(new TunesmithError(reply.code, reply.details));
    else next?.reject(new Error(`internal: a thread failed: ${reply.fault}`));
  });
  worker.on('error', (error) => end(new Error(`internal: a thread ended: ${String(error)}`, { cause: error })));
  worker.on('exit', () => end(new Error('internal: a thread was closed')));
  // A pool that nobody waits for holds no process.
  worker.unref();
  return {
    queued: () => waiting.length,
    run: (task: T, transfer: readonly ArrayBuffer[]) =>
      new Promise<R>((resolve, reject) => {
        if (gone !== undefined) return reject(gone);
        worker.ref();
        waiting.push({ resolve: resolve as Waiting['resolve'], reject });
        worker.postMessage({ task } satisfies PoolTask, [...transfer]);
      }).finally(() => {
        if (waiting.length === 0) worker.unref();
      }),
    close: () => worker.terminate(),
  };
}
