import { availableParallelism } from 'node:os';
import type { LineBlock } from '../../io/lines.ts';
import { openPool } from '../../io/pool.ts';
import { badLine } from '../read-json.ts';
import type { RawRecord } from '../records.ts';
import { type BatchInit, type BatchResult, type BatchTask, type Inspect, openBatches } from './batch.ts';

/** Whoever looks at batches: this thread, or several others. */
export interface Share {
  /** Batches that may be under way. */
  readonly size: number;
  run(task: BatchTask): BatchResult | Promise<BatchResult>;
  counts(): Promise<BatchResult[]>;
  close(): Promise<void>;
}

/** Bytes from which threads pay for their start. */
const THREADED = 8 * 2 ** 20;
/** More of them wait for the thread that gathers. */
const MOST_THREADS = 8;

/** How rows are divided among threads. */
export interface ShareOptions {
  /** Bytes of all files. */
  readonly bytes: number;
  /** Threads; 0 for this one alone. If not given, as many as there are processors where files are large. */
  readonly threads: number | undefined;
  readonly inspect: Inspect | undefined;
}

/** Opens what looks at rows. A model's tokenizer stays in this thread. */
export function openShare(init: BatchInit, { bytes, threads, inspect }: ShareOptions): Share {
  const wanted = threads ?? (bytes < THREADED ? 0 : Math.min(MOST_THREADS, availableParallelism()));
  if (wanted === 0 || inspect !== undefined) {
    const run = openBatches(init, inspect);
    return { size: 1, run, counts: async () => [run({ kind: 'counts' })], close: async () => {} };
  }
  const here = import.meta.url;
  const module = new URL(here.endsWith('.ts') ? './batch.ts' : './batch.js', here).href;
  const pool = openPool<BatchTask, BatchResult>({ module, name: 'openBatches', init }, wanted);
  return {
    size: 2 * pool.size,
    run: (task) => (task.kind === 'lines' ? pool.run(task, [task.bytes.buffer as ArrayBuffer]) : pool.run(task)),
    counts: () => pool.runOnEach({ kind: 'counts' }),
    close: pool.close,
  };
}

/** Bytes and records of a batch. */
const BATCH = { bytes: 2 ** 19, records: 1000 };

/** The lines of a file as batches of about the same size. */
export async function* lineBatches(file: string, blocks: AsyncIterable<LineBlock>): AsyncGenerator<BatchTask> {
  let held: Buffer[] = [];
  let size = 0;
  let line = 1;
  const take = (): BatchTask => {
    // A copy of its own, which may be handed over.
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const part of held) {
      bytes.set(part, at);
      at += part.length;
    }
    held = [];
    size = 0;
    return { kind: 'lines', file, line, bytes };
  };
  try {
    for await (const block of blocks) {
      if ('problem' in block) {
        if (size > 0) yield take();
        yield { kind: 'records', file, records: [badLine(block)] };
        continue;
      }
      if (size === 0) line = block.line;
      held.push(block.bytes);
      size += block.bytes.length;
      if (size >= BATCH.bytes) yield take();
    }
  } catch (error) {
    // What was read before the file failed counts too.
    if (size > 0) yield take();
    throw error;
  }
  if (size > 0) yield take();
}

/** The records of a file as batches. */
export async function* recordBatches(file: string, all: AsyncIterable<RawRecord>): AsyncGenerator<BatchTask> {
  let records: RawRecord[] = [];
  try {
    for await (const record of all) {
      records.push(record);
      if (records.length < BATCH.records) continue;
      yield { kind: 'records', file, records };
      records = [];
    }
  } catch (error) {
    if (records.length > 0) yield { kind: 'records', file, records };
    throw error;
  }
  if (records.length > 0) yield { kind: 'records', file, records };
}
