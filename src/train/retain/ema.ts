import { join } from 'node:path';
import type { Handle } from '../../engine/index.ts';
import { TunesmithError } from '../../errors/index.ts';
import { createBuilder, finishGraph } from '../../graph/index.ts';
import { fileExists, readSafetensorsHeader, type TensorToWrite, writeSafetensors } from '../../io/index.ts';
import { f32, sizeOf } from '../../tensor/tensor.ts';
import { readTrained } from '../checkpoint.ts';
import { type Network, refreshDerived } from '../network.ts';
import { cached } from '../programs.ts';
import { type Place, trainedHandles, trainedPlaces } from '../step.ts';
import { fileName } from '../trained.ts';

type Handles = Record<string, Handle>;

/** A running mean of what trains, which stands nearer to the start than what trains itself. */
export interface Ema {
  /** After each step. */
  update(step: number): void;
  /** Does something with the mean in the place of what trains. */
  during<T>(work: () => Promise<T>): Promise<T>;
  /** The mean, by its names in files. */
  tensors(): Promise<readonly TensorToWrite<'F32'>[]>;
  /** Writes the mean into a checkpoint, beside what trains. */
  write(folder: string, tensors: readonly TensorToWrite<'F32'>[]): void;
}

/** File of a checkpoint. */
const FILE = 'ema.safetensors';

/**
 * Exponential moving average of what trains (Polyak and Juditsky 1992; of networks in fine-tuning: Izmailov et al. 2018, arXiv:1803.05407). In the first
 * steps the mean forgets faster, so that it does not stay at what nothing had been learned for: min(decay, (1 + step) / (10 + step)).
 *
 * @param checkpoint to go on from
 * @throws RUN_CHECKPOINT where that holds no mean
 */
export function openEma(net: Network, decay: number, checkpoint: string | undefined): Ema {
  const { engine } = net;
  const means = new Map<Place, Handles>();
  const stored = checkpoint === undefined ? undefined : storedMeans(checkpoint);
  for (const place of trainedPlaces(net)) {
    const own: Handles = {};
    for (const [name, handle] of Object.entries(trainedHandles(net, place))) {
      const file = fileName(net.config, net.trained, place, name);
      const tensor = stored?.get(file);
      if (stored !== undefined && tensor === undefined) throw broken(checkpoint!);
      own[name] = tensor === undefined ? copyOf(net, handle) : engine.upload({ stored: [tensor], shape: handle.shape });
    }
    means.set(place, own);
  }
  const swap = () => {
    for (const [place, own] of means) {
      const target = place === 'outer' ? net.outer : net.layers[place]!;
      const trained = trainedHandles(net, place);
      Object.assign(target, own);
      means.set(place, trained);
    }
    refreshDerived(net);
  };
  const during: Ema['during'] = async (work) => {
    swap();
    try {
      return await work();
    } finally {
      swap();
    }
  };
  return {
    update(step) {
      const share = Math.min(decay, (1 + step) / (10 + step));
      for (const [place, own] of means) means.set(place, moved(net, own, trainedHandles(net, place), share));
    },
    during,
    tensors: () => during(() => readTrained(net)),
    write: (folder, tensors) => writeSafetensors(join(folder, FILE), tensors),
  };
}

function copyOf({ engine }: Network, handle: Handle): Handle {
  const copy = engine.allocate(handle.shape);
  engine.copy(handle, 0, copy, 0, sizeOf(handle.shape));
  return copy;
}

/** share * mean + (1 - share) * trained; the old mean is released. */
function moved(net: Network, mean: Handles, trained: Handles, share: number): Handles {
  const { engine } = net;
  const names = Object.keys(mean);
  const program = cached(net, `ema|${names.map((name) => mean[name]!.shape.join('x')).join(',')}`, () => {
    const g = createBuilder();
    const part = (kind: string, i: number) =>
      g.mul(g.input(`${kind}.${i}`, mean[names[i]!]!.shape), g.input(`share.${kind}`, [1]));
    return finishGraph(g, Object.fromEntries(names.map((_, i) => [`y.${i}`, g.add(part('mean', i), part('own', i))])));
  });
  const shares: Handles = {
    'share.mean': engine.upload(f32([share], [1])),
    'share.own': engine.upload(f32([1 - share], [1])),
  };
  const inputs: Handles = { ...shares };
  for (const [i, name] of names.entries()) {
    inputs[`mean.${i}`] = mean[name]!;
    inputs[`own.${i}`] = trained[name]!;
  }
  const out = engine.run(program, inputs);
  engine.release(...Object.values(shares), ...Object.values(mean));
  return Object.fromEntries(names.map((name, i) => [name, out[`y.${i}`]!]));
}

function storedMeans(checkpoint: string) {
  const file = join(checkpoint, FILE);
  if (!fileExists(file)) throw broken(checkpoint);
  return new Map(readSafetensorsHeader(file).tensors.map((tensor) => [tensor.name, tensor]));
}

function broken(checkpoint: string): TunesmithError {
  const message = 'holds no running mean of the weights, which the run keeps.';
  return new TunesmithError('RUN_CHECKPOINT', { file: checkpoint, message, fix: 'start the run anew' });
}
