import type { Handle } from '../engine/index.ts';
import type { Network } from './network.ts';
import { type Place, trainedHandles, trainedPlaces } from './step.ts';
import { fileName } from './trained.ts';

/** Everything that trains, by its name in files. */
export function* trainedTensors(
  net: Network,
): Generator<{ readonly file: string; readonly place: Place; readonly name: string; readonly handle: Handle }> {
  for (const place of trainedPlaces(net)) {
    for (const [name, handle] of Object.entries(trainedHandles(net, place))) {
      yield { file: fileName(net.config, net.trained, place, name), place, name, handle };
    }
  }
}
