import { type Graph, outputTypes } from '../../graph/index.ts';
import type { StoredTensor } from '../../io/stored.ts';
import type { HostTensor } from '../../tensor/tensor.ts';
import type { Driver } from '../host.ts';
import { type CApi, loadCApi } from './c-api.ts';
import { type OrtOptions, sessionBytes } from './driver.ts';
import { toOnnx } from './onnx.ts';
import { type Quantized, quantizeStored } from './quantize.ts';

const ELEM_TYPE = { f32: 1, u8: 2, i32: 6, i64: 7, bool: 9 } as const;
/** An error comes back as a status, and is told once, by us. */
const LOG_FATAL_ONLY = 4;
const OPTIMIZATION = { off: 0, on: 99 } as const;

/**
 * ONNX Runtime through its C API: results are written where they belong, where the Node binding would copy each of them into fresh
 * memory, and all sessions share one thread pool.
 *
 * @returns undefined where the API is not to be had; see {@link loadCApi}
 */
export async function openCDriver(options: OrtOptions): Promise<Driver | undefined> {
  process.env.ORT_DISABLE_TELEMETRY = '1';
  const api = options.device === 'cpu' ? await loadCApi() : undefined;
  if (api === undefined) return undefined;
  const threading = api.create('CreateThreadingOptions');
  api.call('SetGlobalIntraOpNumThreads', threading, options.threads);
  const env = api.create('CreateEnvWithGlobalThreadPools', LOG_FATAL_ONLY, 'tunesmith', threading);
  const memory = api.create('CreateCpuMemoryInfo', 0, 0);
  const open = sessionOpener(api, env, memory, options);
  return {
    async compile(graph) {
      const { session, bytes, release } = open(graph);
      const inputNames = Object.keys(graph.inputs);
      const outputNames = Object.keys(outputTypes(graph));
      return {
        bytes,
        async run(inputs, outputs) {
          const values: unknown[] = [];
          const wrap = (tensor: HostTensor) => {
            const value = wrapTensor(api, memory, tensor);
            values.push(value);
            return value;
          };
          try {
            const inputValues = inputNames.map((name) => wrap(inputs[name]!));
            const outputValues = outputNames.map((name) => wrap(outputs[name]!));
            const counts = [inputNames.length, outputNames.length] as const;
            api.call('Run', session, null, inputNames, inputValues, counts[0], outputNames, counts[1], outputValues);
          } finally {
            for (const value of values) api.call('ReleaseValue', value);
          }
        },
        dispose: async () => release(),
      };
    },
  };
}

/**
 * Makes sessions. Stored matrices are read once; all sessions that use one share its memory, and what ONNX Runtime packs from it.
 */
function sessionOpener(api: CApi, env: unknown, memory: unknown, options: OrtOptions) {
  const plain = createSessionOptions(api, options);
  const packed = api.create('CreatePrepackedWeightsContainer');
  const matrices = new Map<string, Quantized>();
  const quantized = (tensors: readonly StoredTensor[]) => {
    const key = JSON.stringify(tensors);
    const matrix = matrices.get(key) ?? quantizeStored(tensors);
    matrices.set(key, matrix);
    return matrix;
  };
  return (graph: Graph): { readonly session: unknown; readonly bytes: number; release(): void } => {
    const constants = new Map<string, HostTensor>();
    const model = toOnnx(graph, options.device, { quantized, add: (name, tensor) => constants.set(name, tensor) });
    const bytes = sessionBytes(graph, model);
    if (constants.size === 0) {
      const session = api.create('CreateSessionFromArray', env, model, model.length, plain);
      return { session, bytes, release: () => api.call('ReleaseSession', session) };
    }
    const own = createSessionOptions(api, options);
    const values: unknown[] = [];
    for (const [name, tensor] of constants) {
      const value = wrapTensor(api, memory, tensor);
      values.push(value);
      api.call('AddInitializer', own, name, value);
    }
    api.call('AddExternalInitializers', own, [...constants.keys()], values, values.length);
    const made = 'CreateSessionFromArrayWithPrepackedWeightsContainer';
    const session = api.create(made, env, model, model.length, own, packed);
    api.call('ReleaseSessionOptions', own);
    const release = () => {
      api.call('ReleaseSession', session);
      for (const value of values) api.call('ReleaseValue', value);
    };
    return { session, bytes, release };
  };
}

function wrapTensor(api: CApi, memory: unknown, tensor: HostTensor): unknown {
  // Reading `buffer` moves a small array out of V8's heap, where the collector could move it under ONNX Runtime's feet.
  const bytes = tensor.data.buffer.byteLength === 0 ? 0 : tensor.data.byteLength;
  const shape = BigInt64Array.from(tensor.shape, BigInt);
  const rank = tensor.shape.length;
  return api.create('CreateTensorWithDataAsOrtValue', memory, tensor.data, bytes, shape, rank, ELEM_TYPE[tensor.dtype]);
}

function createSessionOptions(api: CApi, { optimize, profile }: OrtOptions): unknown {
  const so = api.create('CreateSessionOptions');
  api.call('SetSessionGraphOptimizationLevel', so, OPTIMIZATION[optimize]);
  api.call('SetSessionLogSeverityLevel', so, LOG_FATAL_ONLY);
  api.call('DisablePerSessionThreads', so);
  api.call('DisableCpuMemArena', so);
  // A planned block is laid beside what the first, unplanned run left in the heap: twice the memory, and no faster.
  api.call('DisableMemPattern', so);
  api.call('AddSessionConfigEntry', so, 'session.use_deterministic_compute', '1');
  if (profile !== undefined) api.call('EnableProfiling', so, `${profile}/ort`);
  return so;
}
