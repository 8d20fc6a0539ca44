import { outputTypes } from '../../graph/index.ts';
import type { HostTensor } from '../../tensor/tensor.ts';
import type { Driver } from '../host.ts';
import { type CApi, loadCApi } from './c-api.ts';
import type { OrtOptions } from './driver.ts';
import { toOnnx } from './onnx.ts';

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
  const sessionOptions = createSessionOptions(api, options);
  return {
    async compile(graph) {
      const model = toOnnx(graph, options.device);
      const session = api.create('CreateSessionFromArray', env, model, model.length, sessionOptions);
      const inputNames = Object.keys(graph.inputs);
      const outputNames = Object.keys(outputTypes(graph));
      return {
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
        dispose: async () => api.call('ReleaseSession', session),
      };
    },
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
  api.call('EnableMemPattern', so);
  api.call('AddSessionConfigEntry', so, 'session.use_deterministic_compute', '1');
  if (profile !== undefined) api.call('EnableProfiling', so, `${profile}/ort`);
  return so;
}
