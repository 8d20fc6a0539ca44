import type { Handle } from '../engine/index.ts';
import { outerTensors } from '../model/architectures.ts';
import { layerTensor } from '../model/names.ts';
import { SCORE, SCORE_TENSOR } from './classify/head.ts';
import type { Network } from './network.ts';
import { type Place, trainedHandles, trainedPlaces } from './step.ts';

/** Name of a trained tensor in files: peft's for an adapter, Hugging Face's for full weights. */
export function fileName(net: Pick<Network, 'weights' | 'config'>, place: Place, name: string): string {
  if (place === 'outer' && name !== SCORE) return outerTensors(net.config).find((tensor) => tensor.name === name)!.hf;
  const own = place === 'outer' ? SCORE_TENSOR : layerTensor(net.config, place, name);
  return net.weights === 'lora' ? `base_model.model.${own}` : own;
}

/** Everything that trains, by its name in files. */
export function* trainedTensors(
  net: Network,
): Generator<{ readonly file: string; readonly place: Place; readonly name: string; readonly handle: Handle }> {
  for (const place of trainedPlaces(net)) {
    for (const [name, handle] of Object.entries(trainedHandles(net, place))) {
      yield { file: fileName(net, place, name), place, name, handle };
    }
  }
}
