import { type Graph, outputTypes, type TensorType } from '../graph/index.ts';
import { fillDropout, fillUniform } from '../math/random.ts';
import type { HostTensor } from '../tensor/tensor.ts';
import { createBuffers } from './buffers.ts';
import type { DropoutSource, EngineStats, UploadSource } from './engine.ts';
import type { HostReply, HostRequest } from './protocol.ts';
import { createWidener, type Held, heldBytes, isAtRest, pickRows, readWeights, viewRows, widenAll } from './weights.ts';

/** A compiled graph of a driver. Results are written into `outputs`. */
export interface Session {
  /** Memory that it holds, about, and that dropping it gives back; weights that sessions share are not counted. */
  readonly bytes: number;
  run(inputs: Readonly<Record<string, HostTensor>>, outputs: Readonly<Record<string, HostTensor>>): Promise<void>;
  dispose(): Promise<void>;
}

/** What differs between engines: how a graph is compiled and run. */
export interface Driver {
  compile(graph: Graph): Promise<Session>;
}

interface Entry {
  readonly graph: Graph;
  readonly outputs: Readonly<Record<string, TensorType>>;
  session: Session | undefined;
}

/** Sessions that are kept compiled, by number and by bytes; the least recently used are dropped, and compiled again when needed. */
export const SESSION_CAP = { count: 256, bytes: 256 * 2 ** 20 } as const;

/** The side that computes: keeps handles and programs, serves requests strictly in order. */
export function createHost(driver: Driver): { handle(request: HostRequest): Promise<HostReply | undefined> } {
  const buffers = createBuffers();
  const widen = createWidener(buffers);
  const handles = new Map<number, Held>();
  /** What shares the memory of another handle, which goes on with it. */
  const views = new WeakSet<Held>();
  const programs = new Map<number, Entry>();
  const runMs: Record<number, number> = {};
  let failure: string | undefined;
  let peakBytes = 0;

  const sessionOf = async (id: number): Promise<Session> => {
    const entry = programs.get(id)!;
    programs.delete(id);
    programs.set(id, entry); // most recently used stands last
    if (entry.session === undefined) {
      entry.session = await driver.compile(entry.graph);
      await dropSessions(entry);
    }
    return entry.session;
  };

  /** Drops the sessions that were used longest ago until the rest is within the cap. */
  async function dropSessions(needed: Entry): Promise<void> {
    const open = [...programs.values()].filter((p) => p.session !== undefined);
    let count = open.length;
    let bytes = open.reduce((sum, p) => sum + p.session!.bytes, 0);
    for (const entry of open) {
      if ((count <= SESSION_CAP.count && bytes <= SESSION_CAP.bytes) || entry === needed) return;
      count--;
      bytes -= entry.session!.bytes;
      await entry.session!.dispose();
      entry.session = undefined;
    }
  }

  async function run(request: Extract<HostRequest, { kind: 'run' }>): Promise<void> {
    const { graph, outputs: types } = programs.get(request.program)!;
    const inputs = inputsOf(graph, request.inputs.map(heldOf));
    const session = await sessionOf(request.program);
    const outputs: Record<string, HostTensor> = {};
    const fresh = new Map<number, HostTensor>();
    for (const [i, name] of Object.keys(types).entries()) {
      const id = request.outputs[i]!;
      const isNew = !handles.has(id);
      outputs[name] = isNew ? buffers.take(types[name]!) : tensorOf(id);
      if (isNew) fresh.set(id, outputs[name]);
    }
    const start = performance.now();
    try {
      await session.run(inputs, outputs);
    } catch (error) {
      for (const tensor of fresh.values()) buffers.give(tensor);
      throw error;
    }
    for (const [id, tensor] of fresh) handles.set(id, tensor); // only now: a failed run makes no handles
    runMs[request.program] = (runMs[request.program] ?? 0) + performance.now() - start;
  }

  function heldOf(id: number): Held {
    const held = handles.get(id);
    if (held === undefined) throw new Error(`internal: handle ${id} was released or never made`);
    return held;
  }

  function tensorOf(id: number): HostTensor {
    const held = heldOf(id);
    if (isAtRest(held)) throw new Error(`internal: handle ${id} is at rest and cannot be copied or written`);
    return held;
  }

  function inputsOf(graph: Graph, held: readonly Held[]): Record<string, HostTensor> {
    const widened = widen(held.filter(isAtRest));
    const inputs: Record<string, HostTensor> = {};
    for (const [i, name] of Object.keys(graph.inputs).entries()) {
      const given = held[i]!;
      inputs[name] = isAtRest(given) ? widened.get(given)! : given;
    }
    return inputs;
  }

  function materialise(source: UploadSource): Held {
    if ('dtype' in source) return source;
    if ('stored' in source || 'resting' in source) return readWeights(source);
    if ('rowsOf' in source)
      return pickRows(heldOf(source.rowsOf.id), source, buffers.take({ dtype: 'f32', shape: source.shape }));
    if ('viewOf' in source) {
      const view = viewRows(heldOf(source.viewOf.id), source);
      views.add(view);
      return view;
    }
    const tensor = buffers.take({ dtype: 'f32', shape: source.shape });
    if ('dropout' in source) return drawDropout(source, zeros(tensor));
    fillUniform(tensor.data as Float32Array, -source.uniform.bound, source.uniform.bound, source.uniform);
    return tensor;
  }

  function stats(): EngineStats {
    let handleBytes = 0;
    for (const held of handles.values()) handleBytes += heldBytes(held);
    const residentBytes = process.memoryUsage.rss();
    peakBytes = Math.max(peakBytes, residentBytes, process.resourceUsage().maxRSS * 1024);
    return { peakBytes, residentBytes, handleBytes, programs: programs.size, runMs: { ...runMs } };
  }

  async function serve(request: HostRequest): Promise<unknown> {
    switch (request.kind) {
      case 'compile':
        programs.set(request.program, {
          graph: request.graph,
          outputs: outputTypes(request.graph),
          session: undefined,
        });
        return undefined;
      case 'upload':
        handles.set(request.handle, materialise(request.source));
        return undefined;
      case 'allocate':
        handles.set(request.handle, zeros(buffers.take(request)));
        return undefined;
      case 'copy':
        return copyElements(request, tensorOf(request.source), tensorOf(request.target));
      case 'run':
        return run(request);
      case 'release':
        for (const id of request.handles) {
          const held = handles.get(id);
          if (held !== undefined && !isAtRest(held) && !views.has(held)) buffers.give(held);
          handles.delete(id);
        }
        return undefined;
      case 'read': {
        const held = heldOf(request.handle);
        return isAtRest(held) ? widenAll(held) : held;
      }
      case 'sync':
        return undefined;
      case 'stats':
        return stats();
      default:
        return request satisfies never;
    }
  }

  return {
    async handle(request) {
      const answers = 'request' in request;
      try {
        if (failure !== undefined && answers) throw new Error(failure);
        // What follows a failure is skipped, but programs and handles stay as the client believes them to be.
        if (failure !== undefined && (request.kind === 'run' || request.kind === 'copy')) return undefined;
        const value = await serve(request);
        return answers ? { request: request.request, value } : undefined;
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        if (!answers) {
          failure ??= message;
          return undefined;
        }
        failure = undefined;
        return { request: request.request, error: message };
      }
    },
  };
}

function zeros(tensor: HostTensor): HostTensor {
  (tensor.data as Float32Array | Uint8Array).fill(0);
  return tensor;
}

function copyElements(move: Extract<HostRequest, { kind: 'copy' }>, source: HostTensor, target: HostTensor): void {
  const { sourceOffset, targetOffset, count } = move;
  const fits = (t: HostTensor, offset: number) => offset >= 0 && count >= 0 && offset + count <= t.data.length;
  if (!fits(source, sourceOffset) || !fits(target, targetOffset)) {
    throw new Error(`internal: copy of ${count} elements from ${sourceOffset} to ${targetOffset} leaves a tensor`);
  }
  const from = source.data as Float32Array;
  (target.data as Float32Array).set(from.subarray(sourceOffset, sourceOffset + count), targetOffset);
}

function drawDropout({ dropout, spans, shape }: DropoutSource, tensor: HostTensor): HostTensor {
  const data = tensor.data as Float32Array;
  const width = data.length / shape[0]!;
  for (const { row, from, count } of spans) {
    fillDropout(data.subarray(from * width, (from + count) * width), dropout.share, { ...dropout, b: row });
  }
  return tensor;
}
