import type { Engine, Handle } from '../engine/index.ts';
import type { StoredTensor } from '../io/index.ts';
import { layerVectors, linearModules, outerTensors } from './architectures.ts';
import type { BaseWeights } from './base-forms.ts';
import { restingMatrices } from './base-weights.ts';
import type { ModelConfig } from './config.ts';
import { layerTensor } from './names.ts';

/** The weights of a model in an engine. Layer records are keyed by the input names of the layer programs. */
export interface BaseHandles {
  readonly config: ModelConfig;
  /** Matrices rest as they are stored, and are widened for the programs that read them. */
  readonly isAtRest: boolean;
  /** By {@link OuterName}; of tied embeddings `head` is the same handle as `embed`. */
  readonly outer: Readonly<Record<string, Handle>>;
  readonly layers: readonly Readonly<Record<string, Handle>>[];
}

/** Names of a layer's weights, as its programs call them. */
export function layerWeightNames(config: ModelConfig, layer: number): string[] {
  return [
    ...layerVectors(config, layer).map(({ name }) => name),
    ...linearModules(config, layer).map((m) => `${m.module}.weight`),
  ];
}

/** Queues the loading of all weights, widened to float32 or, for any other {@link BaseWeights}, at rest. The engine's process reads the files itself. */
export function uploadBase(
  engine: Engine,
  config: ModelConfig,
  tensors: ReadonlyMap<string, StoredTensor>,
  weights: BaseWeights = 'f32',
): BaseHandles {
  const isAtRest = weights !== 'f32';
  const resting = isAtRest ? restingMatrices(config) : new Set<string>();
  const placed = placeBase(config, (name) => {
    const stored = tensors.get(name);
    if (stored === undefined) throw new Error(`internal: no tensor ${name}`);
    const { shape } = stored;
    return engine.upload(
      resting.has(name) && stored.changed === undefined ? { resting: stored, shape } : { stored: [stored], shape },
    );
  });
  return { ...placed, isAtRest };
}

/** Loads all weights by their Hugging Face names, from wherever they come. */
export function placeBase(config: ModelConfig, upload: (name: string) => Handle): BaseHandles {
  const outer = Object.fromEntries(outerTensors(config).map(({ name, hf }) => [name, upload(hf)]));
  const layers = Array.from({ length: config.layers }, (_, layer) =>
    Object.fromEntries(layerWeightNames(config, layer).map((name) => [name, upload(layerTensor(config, layer, name))])),
  );
  return { config, isAtRest: false, outer: { head: outer.embed!, ...outer }, layers };
}
