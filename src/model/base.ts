import type { Engine, Handle } from '../engine/index.ts';
import type { StoredTensor } from '../io/index.ts';
import type { ModelConfig } from './config.ts';
import { LLAMA_NORMS, llamaModules } from './llama.ts';
import { EMBED, FINAL_NORM, HEAD, layerTensor } from './names.ts';

/** The weights of a model in an engine. Layer records are keyed by the input names of the layer programs. */
export interface BaseHandles {
  readonly config: ModelConfig;
  /** [V, D] */
  readonly embed: Handle;
  /** [D] */
  readonly norm: Handle;
  /** [V, D]; the embedding itself where the two are tied. */
  readonly head: Handle;
  readonly layers: readonly Readonly<Record<string, Handle>>[];
}

/** Names of a layer's weights, as its programs call them. */
export function layerWeightNames(config: ModelConfig): string[] {
  return [...LLAMA_NORMS.map((norm) => `${norm}.weight`), ...llamaModules(config).map((m) => `${m.module}.weight`)];
}

/** Queues the loading of all weights, widened to float32. The engine's process reads the files itself. */
export function uploadBase(
  engine: Engine,
  config: ModelConfig,
  tensors: ReadonlyMap<string, StoredTensor>,
): BaseHandles {
  return placeBase(config, (name) => {
    const stored = tensors.get(name);
    if (stored === undefined) throw new Error(`internal: no tensor ${name}`);
    return engine.upload({ stored: [stored], shape: stored.shape });
  });
}

/** Loads all weights by their Hugging Face names, from wherever they come. */
export function placeBase(config: ModelConfig, upload: (name: string) => Handle): BaseHandles {
  const embed = upload(EMBED);
  const layers = Array.from({ length: config.layers }, (_, layer) =>
    Object.fromEntries(layerWeightNames(config).map((name) => [name, upload(layerTensor(layer, name))])),
  );
  return { config, embed, norm: upload(FINAL_NORM), head: config.tiedEmbeddings ? embed : upload(HEAD), layers };
}
