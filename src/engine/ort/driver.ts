import type { InferenceSession, OnnxValue, Tensor } from 'onnxruntime-node';
import type { Emitter, Graph } from '../../graph/index.ts';
import type { HostTensor } from '../../tensor/tensor.ts';
import type { Driver } from '../host.ts';
import { toOnnx } from './onnx.ts';

/** How sessions are opened. */
export interface OrtOptions {
  readonly device: Emitter['device'];
  readonly threads: number;
  /** ONNX Runtime's graph optimisation; gradients are checked with it off and on. */
  readonly optimize: 'off' | 'on';
  /** The way to the library; default: its C API where koffi and the device allow it, else the Node binding. */
  readonly driver?: 'c-api' | 'binding';
  /** Folder that profiles of every session are written to. */
  readonly profile?: string;
}

/** Names of element types in the Node binding. */
export const ONNX_TYPE = { f32: 'float32', i32: 'int32', i64: 'int64', u8: 'uint8', bool: 'bool' } as const;

/** ONNX Runtime through its Node binding. Sets ORT_DISABLE_TELEMETRY before the library loads. */
export async function openOrtDriver(options: OrtOptions): Promise<Driver> {
  process.env.ORT_DISABLE_TELEMETRY = '1';
  const ort = await import('onnxruntime-node');
  const wrap = (tensor: HostTensor): Tensor =>
    new ort.Tensor(ONNX_TYPE[tensor.dtype], tensor.data as Float32Array, [...tensor.shape]);
  return {
    async compile(graph) {
      const model = toOnnx(graph, options.device);
      const session = await ort.InferenceSession.create(model, sessionOptions(options));
      return {
        bytes: sessionBytes(graph, model),
        async run(inputs, outputs) {
          const results = await session.run(wrapAll(inputs, wrap), wrapAll(outputs, wrap));
          for (const result of Object.values(results)) (result as OnnxValue & Tensor).dispose();
        },
        dispose: () => session.release(),
      };
    },
  };
}

/** What ONNX Runtime makes of a node: measured 0.9 to 1.4 MB for a layer's program of 125 to 260 nodes. */
const NODE_BYTES = 6_000;

/** Memory of a session, about: it keeps the constants of its model beside what it makes of the nodes. */
export function sessionBytes(graph: Graph, model: Uint8Array): number {
  return model.length + NODE_BYTES * graph.nodes.length;
}

function wrapAll(
  tensors: Readonly<Record<string, HostTensor>>,
  wrap: (t: HostTensor) => Tensor,
): Record<string, Tensor> {
  const wrapped: Record<string, Tensor> = {};
  for (const [name, tensor] of Object.entries(tensors)) wrapped[name] = wrap(tensor);
  return wrapped;
}

function sessionOptions({ device, threads, optimize, profile }: OrtOptions): InferenceSession.SessionOptions {
  return {
    executionProviders: [device],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: optimize === 'on' ? 'all' : 'disabled',
    // An arena for each session would hold its memory for ever, and a planned block costs as much again as the runs themselves.
    enableCpuMemArena: false,
    enableMemPattern: false,
    logSeverityLevel: 4, // an error comes back as an exception, and is told once, by us
    ...(profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: `${profile}/ort` }),
    extra: {
      session: {
        use_deterministic_compute: '1',
        ...(device === 'webgpu' ? { disable_cpu_ep_fallback: '1' } : {}),
      },
    },
  };
}
