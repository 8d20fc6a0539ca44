import type { RefTensor } from '../../graph/index.ts';
import type { HostTensor } from '../../tensor/tensor.ts';
import { createEngineClient } from '../client.ts';
import type { Engine } from '../engine.ts';
import { createHost, type Driver } from '../host.ts';
import { localTransport } from '../local.ts';
import { evaluate } from './evaluate.ts';

/** The slow, obviously right engine: float64 inside, in this process. */
export function openReference(): Engine {
  const driver: Driver = {
    compile: async (graph) => ({
      bytes: 0,
      run: async (inputs, outputs) => {
        const widened = Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, widen(tensor)]));
        for (const [name, result] of Object.entries(evaluate(graph, widened))) {
          (outputs[name]!.data as Float32Array | Uint8Array).set(result.data);
        }
      },
      dispose: async () => {},
    }),
  };
  return createEngineClient('reference', 'cpu', localTransport(createHost(driver)));
}

function widen(tensor: HostTensor): RefTensor {
  return { shape: tensor.shape, data: Float64Array.from(tensor.data, Number) };
}
