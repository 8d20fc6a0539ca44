import { type Graph, inputTypes, outputTypes } from '../graph/index.ts';
import type { HostTensor } from '../tensor/tensor.ts';
import type { Engine, EngineStats, Handle, Handles, Program, StoredSource } from './engine.ts';
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
    gone = reason;
    for (const { reject } of pending.values()) reject(reason);
    pending.clear();
  });
  const send = (request: HostRequest) => {
    if (gone !== undefined) throw gone;
    transport.send(request);
  };
  const ask = <T>(make: (request: number) => HostRequest): Promise<T> =>
    new Promise<T>((resolve, reject) => {
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
      const program = { id: nextId++, inputs: inputTypes(graph), outputs: outputTypes(graph) };
      programs.set(key, program);
      send({ kind: 'compile', program: program.id, graph });
      return program;
    },
    upload(tensor: HostTensor | StoredSource): Handle {
      const dtype = 'stored' in tensor ? 'f32' : tensor.dtype;
      const handle = { id: nextId++, dtype, shape: tensor.shape };
      send({ kind: 'upload', handle: handle.id, tensor });
      return handle;
    },
    run(program: Program, inputs: Handles, into: Handles = {}): Record<string, Handle> {
      const outputs: Record<string, Handle> = {};
      for (const [output, type] of Object.entries(program.outputs))
        outputs[output] = into[output] ?? { id: nextId++, ...type };
      send({
        kind: 'run',
        program: program.id,
        inputs: Object.keys(program.inputs).map((input) => [input, inputOf(inputs, input, program).id]),
        outputs: Object.entries(outputs).map(([output, handle]) => [output, handle.id]),
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
  const type = program.inputs[name]!;
  if (handle === undefined) throw new Error(`internal: program ${program.id} needs input ${name}`);
  if (handle.dtype !== type.dtype || String(handle.shape) !== String(type.shape)) {
    throw new Error(`internal: input ${name} is ${handle.dtype}[${handle.shape}], not ${type.dtype}[${type.shape}]`);
  }
  return handle;
}
