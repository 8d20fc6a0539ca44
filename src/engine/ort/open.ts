import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { TunesmithError } from '../../errors/index.ts';
import type { HostTensor } from '../../tensor/tensor.ts';
import { createEngineClient, type Transport } from '../client.ts';
import type { Engine } from '../engine.ts';
import { createHost } from '../host.ts';
import { localTransport } from '../local.ts';
import type { HostReply, HostRequest } from '../protocol.ts';
import type { OrtOptions } from './driver.ts';
import { openDriver } from './drivers.ts';

/** ONNX Runtime in this process: for tests; its runs block the event loop. */
export async function openOrtHere(options: OrtOptions): Promise<Engine> {
  return createEngineClient('ort', options.device, localTransport(createHost(await openDriver(options))));
}

/** ONNX Runtime in a process of its own, so that the caller's event loop stays free and a crash of native code is an error. */
export function openOrt(options: OrtOptions): Engine {
  const here = import.meta.url;
  const main = new URL(here.endsWith('.ts') ? './host-main.ts' : './host-main.js', here);
  const child = fork(fileURLToPath(main), [JSON.stringify(options)], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: { ...process.env, ...ALLOCATOR },
    // A terminal's Ctrl-C goes to a whole process group; out of it, the engine cannot be hit before it listens.
    detached: process.platform !== 'win32',
  });
  return createEngineClient('ort', options.device, processTransport(child));
}

/**
 * glibc hands large blocks back to the system at once and faults them in again at the next run; these settings make it keep them.
 * 32 MiB is the highest threshold that it takes. One arena, because the runs are one after the other.
 */
const ALLOCATOR = {
  ORT_DISABLE_TELEMETRY: '1',
  MALLOC_MMAP_THRESHOLD_: String(32 * 2 ** 20),
  MALLOC_TRIM_THRESHOLD_: String(2 ** 30),
  MALLOC_ARENA_MAX: '1',
};

/** Uploads up to this size are copied and wait in the queue; larger ones leave at once. Either way the caller may change the array afterwards. */
const COPIED_BYTES = 65_536;

function copyOf(tensor: HostTensor): HostTensor {
  return { ...tensor, data: tensor.data.slice() };
}

/** Native code that fails takes its process with it, and so does a system that runs out of memory. */
function engineGone(code: number | null, signal: NodeJS.Signals | null): TunesmithError {
  const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
  const likely: Readonly<Record<string, string>> = {
    SIGKILL: ', most likely because the machine ran out of memory',
    SIGABRT: ', most likely because it got no more memory',
  };
  const why = likely[signal ?? ''] ?? '';
  return new TunesmithError('ENGINE_GONE', { message: `the engine's process ${how}${why}.` });
}

function processTransport(child: ChildProcess): Transport {
  let closing = false;
  let queue: HostRequest[] = [];
  // What is queued in one go is sent in one message: a step of generation is eight requests.
  const flush = () => {
    const batch = queue;
    queue = [];
    // With a callback a lost process is no unhandled 'error' event; 'exit' tells of it.
    if (batch.length > 0 && child.connected) child.send(batch, () => {});
  };
  return {
    send: (request) => {
      if (queue.length === 0) queueMicrotask(flush);
      if (request.kind !== 'upload' || !('data' in request.source)) queue.push(request);
      else if (request.source.data.byteLength <= COPIED_BYTES)
        queue.push({ ...request, source: copyOf(request.source) });
      else {
        queue.push(request);
        flush();
      }
    },
    onReply: (listener) => {
      child.on('message', (reply) => listener(reply as HostReply));
    },
    onGone: (listener) => {
      child.on('error', (cause) => {
        listener(new TunesmithError('ENGINE_GONE', { message: `the engine's process: ${cause.message}.`, cause }));
      });
      child.on('exit', (code, signal) => {
        listener(closing ? new Error('internal: the engine was closed') : engineGone(code, signal));
      });
    },
    close: () =>
      new Promise((resolve) => {
        flush();
        closing = true;
        if (child.exitCode !== null || child.signalCode !== null) return resolve();
        child.once('exit', () => resolve());
        if (child.connected) child.disconnect();
      }),
  };
}
