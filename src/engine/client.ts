import { type Graph, inPlaceOutputs, inputTypes, outputTypes, sameShape, type TensorType } from '../graph/index.ts';
import type { HostTensor } from '../tensor/tensor.ts';
import type { Engine, EngineStats, Handle, Handles, Program, UploadSource } from './engine.ts';
import type { HostReply, HostRequest } from './protocol.ts';

/** A way to a host: another process, or an object in this one. */
export interface Transport {
  send(request: HostRequest): void;
  onReply(listener: (reply: HostReply) => void): void;
  /** Called once with the reason when the host is gone. */
  onGone(listener: (reason: Error) => void): void;
  close(): Promise<void>;
}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: Error) => void;
}

/** The engine interface over a transport. The client hands out the ids, so that nothing waits for an answer but reads. */
export function createEngineClient(name: Engine['name'], device: Engine['device'], transport: Transport): Engine {
  let nextId = 1;
  let gone: Error | undefined;
  const programs = new Map<string, Program>();
  const pending = new Map<number, Pending>();

  transport.onReply((reply) => {
    const waiting = pending.get(reply.request);
    pending.delete(reply.request);
    if (reply.error !== undefined) waiting?.reject(new Error(reply.error));
    else waiting?.resolve(reply.value);
  });
  transport.onGone((reason) => {
    gone ??= reason;
    for (const { reject } of pending.values()) reject(reason);
    pending.clear();
  });
  // What is queued for a host that is gone is dropped in silence: the next read or sync says why.
  const send = (request: HostRequest) => {
    if (gone === undefined) transport.send(request);
  };
  const ask = <T>(make: (request: number) => HostRequest): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (gone !== undefined) return reject(gone);
      const request = nextId++;
      pending.set(request, { resolve: resolve as (value: unknown) => void, reject });
      send(make(request));
    });

  return {
    name,
    device,
    compile(graph: Graph): Program {
      const key = JSON.stringify(graph);
      const known = programs.get(key);
      if (known !== undefined) return known;
      const program = {
        id: nextId++,
        inputs: inputTypes(graph),
        outputs: outputTypes(graph),
        inPlace: inPlaceOutputs(graph),
      };
      programs.set(key, program);
      send({ kind: 'compile', program: program.id, graph });
      return program;
    },
    upload(source: UploadSource): Handle {
      const dtype = 'dtype' in source ? source.dtype : 'f32';
      const handle = { id: nextId++, dtype, shape: source.shape };
      send({ kind: 'upload', handle: handle.id, source });
      return handle;
    },
    allocate(shape, dtype = 'f32') {
      const handle: Handle = { id: nextId++, dtype, shape };
      send({ kind: 'allocate', handle: handle.id, shape, dtype });
      return handle;
    },
    copy(source, sourceOffset, target, targetOffset, count) {
      send({ kind: 'copy', source: source.id, sourceOffset, target: target.id, targetOffset, count });
    },
    run(program: Program, inputs: Handles, into: Handles = {}): Record<string, Handle> {
      const taken = Object.keys(program.inputs).map((input) => inputOf(inputs, input, program).id);
      const used = new Set(taken);
      const outputs: Record<string, Handle> = {};
      for (const [output, type] of Object.entries(program.outputs)) {
        const over = program.inPlace[output];
        if (over !== undefined && into[output] === inputs[over]) used.delete(inputs[over]!.id);
        outputs[output] = target(into[output], output, type, used) ?? { id: nextId++, ...type };
      }
      send({
        kind: 'run',
        program: program.id,
        inputs: taken,
        outputs: Object.values(outputs).map((handle) => handle.id),
      });
      return outputs;
    },
    read: (handle) => ask<HostTensor>((request) => ({ kind: 'read', request, handle: handle.id })),
    release(...handles) {
      if (handles.length > 0) send({ kind: 'release', handles: handles.map((h) => h.id) });
    },
    sync: () => ask<void>((request) => ({ kind: 'sync', request })),
    stats: () => ask<EngineStats>((request) => ({ kind: 'stats', request })),
    close: () => transport.close(),
  };
}

function inputOf(inputs: Handles, name: string, program: Program): Handle {
  const handle = inputs[name];
  if (handle === undefined) throw new Error(`internal: program ${program.id} needs input ${name}`);
  expectType(`input ${name}`, handle, program.inputs[name]!);
  return handle;
}

/** A handle to write into must fit, and be neither read nor written a second time by the same run. */
function target(handle: Handle | undefined, name: string, type: TensorType, used: Set<number>): Handle | undefined {
  if (handle === undefined) return undefined;
  expectType(`output ${name}`, handle, type);
  if (used.has(handle.id))
    throw new Error(`internal: output ${name} is written into a handle that the run already uses`);
  used.add(handle.id);
  return handle;
}

function expectType(what: string, given: TensorType, type: TensorType): void {
  if (given.dtype !== type.dtype || !sameShape(given.shape, type.shape)) {
    throw new Error(`internal: ${what} is ${given.dtype}[${given.shape}], not ${type.dtype}[${type.shape}]`);
  }
}
