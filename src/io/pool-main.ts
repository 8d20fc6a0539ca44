import { parentPort, workerData } from 'node:worker_threads';
import { TunesmithError } from '../errors/index.ts';
import type { PoolReply, PoolTask, PoolWork } from './pool.ts';

/** What a thread of a pool does: the entry that openPool() starts. */
const { module, name, init } = workerData as PoolWork;
const open = ((await import(module)) as Record<string, (init: unknown) => (task: unknown) => unknown>)[name]!;
const handle = open(init);

parentPort?.on('message', ({ task }: PoolTask) => {
  parentPort?.postMessage(...replyTo(task));
});

function replyTo(task: unknown): [PoolReply, ArrayBuffer[]] {
  try {
    const result = handle(task);
    return [{ result }, buffersIn(result)];
  } catch (error) {
    if (error instanceof TunesmithError) {
      const { cause: _, ...details } = error.details;
      return [{ code: error.code, details }, []];
    }
    return [{ fault: error instanceof Error ? (error.stack ?? error.message) : String(error) }, []];
  }
}

/** Buffers of typed arrays are handed over, not copied. */
function buffersIn(result: unknown): ArrayBuffer[] {
  if (typeof result !== 'object' || result === null) return [];
  return Object.values(result).flatMap((value: unknown) =>
    ArrayBuffer.isView(value) ? [value.buffer as ArrayBuffer] : [],
  );
}
