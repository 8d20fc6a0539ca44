import { type Engine, evaluate, openOrt } from '../engine/index.ts';
import { ortVersion } from '../engine/ort/version.ts';
import { backward, createBuilder, finishGraph, type Graph } from '../graph/index.ts';
import { fillUniform } from '../math/random.ts';
import { f32 } from '../tensor/tensor.ts';
import type { Check, Domain } from './domain.ts';

// Shape legend: T token, D model width, F width of the feed-forward part
const [T, D, F] = [24, 48, 96];
/** Largest difference that is let pass, relative to the largest entry: float32 against float64. */
const TOLERANCE = 1e-4;

/** Devices, and a small feed-forward layer with its gradients against the float64 evaluation. */
export const checkEngine: Domain['checkEngine'] = async function* (signal) {
  yield { name: 'onnxruntime', status: 'ok', detail: ortVersion() };
  for (const device of ['cpu', 'webgpu'] as const) {
    signal.throwIfAborted();
    yield await checkDevice(device);
  }
};

async function checkDevice(device: 'cpu' | 'webgpu'): Promise<Check> {
  const engine = openOrt({ device, threads: 1, optimize: 'on' });
  try {
    const error = await worstError(engine);
    const detail = `forward and gradients within ${error.toExponential(1)} of the exact values`;
    return { name: device, status: error <= TOLERANCE ? 'ok' : 'failed', detail };
  } catch (error) {
    // Training runs on the CPU; a machine without a GPU is no fault. What native code says of it helps nobody.
    if (device === 'webgpu')
      return { name: device, status: 'warning', detail: 'not available: no device with a driver' };
    const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    return { name: device, status: 'failed', detail: why };
  } finally {
    await engine.close();
  }
}

async function worstError(engine: Engine): Promise<number> {
  const graph = layerWithGradients();
  const inputs = Object.entries({ x_TD: [T, D], up_FD: [F, D], down_DF: [D, F] }).map(([name, shape], a) => {
    const data = new Float32Array(shape.reduce((n, size) => n * size, 1));
    fillUniform(data, -0.5, 0.5, { seed: 1, purpose: 'self-test', a });
    return { name, shape, data };
  });
  const exact = evaluate(
    graph,
    Object.fromEntries(inputs.map(({ name, shape, data }) => [name, { shape, data: Float64Array.from(data) }])),
  );
  const uploaded = Object.fromEntries(inputs.map(({ name, shape, data }) => [name, engine.upload(f32(data, shape))]));
  const outputs = engine.run(engine.compile(graph), uploaded);
  let worst = 0;
  for (const [name, handle] of Object.entries(outputs)) {
    const got = await engine.read(handle);
    const want = exact[name]?.data ?? [];
    const largest = Math.max(...Array.from(want, (v) => Math.abs(Number(v))));
    for (const [i, value] of Array.from(want, Number).entries()) {
      const difference = Math.abs(Number(got.data[i]) - value) / largest;
      // A NaN is the worst of all, and compares as nothing.
      worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(worst, difference);
    }
  }
  return worst;
}

/** softmax(silu(rms(x) up^T) down^T) and what it gives back. */
function layerWithGradients(): Graph {
  const g = createBuilder();
  const [x_TD, up_FD, down_DF] = [g.input('x_TD', [T, D]), g.input('up_FD', [F, D]), g.input('down_DF', [D, F])];
  const normed_TD = g.mul(x_TD, g.rmsScale(x_TD, 1e-5));
  const hidden_TF = g.silu(g.matMul(normed_TD, up_FD, { transB: true }));
  const y_TD = g.softmax(g.matMul(hidden_TF, down_DF, { transB: true }));
  const [dx, dUp, dDown] = backward(g, [[y_TD, x_TD]], [x_TD, up_FD, down_DF]);
  if (dx === undefined || dUp === undefined || dDown === undefined) throw new Error('internal: a gradient is missing');
  return finishGraph(g, { y: y_TD, dx, dUp, dDown });
}
