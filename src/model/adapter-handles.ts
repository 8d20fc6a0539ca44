import type { Engine, Handle } from '../engine/index.ts';
import type { StoredTensor } from '../io/index.ts';
import { fillUniform } from '../math/random.ts';
import { f32, sizeOf } from '../tensor/tensor.ts';
import type { AdapterSpec } from './adapter.ts';
import type { ModelConfig } from './config.ts';
import { layerOfTensor } from './names.ts';
import { adapterTensors } from './peft.ts';

/** An adapter in an engine. Layer records are keyed by the input names of the layer programs. */
export interface AdapterHandles {
  readonly spec: AdapterSpec;
  readonly layers: readonly Readonly<Record<string, Handle>>[];
}

/** `base_model.model.model.layers.3.mlp.up_proj.lora_A.weight` to layer 3, `mlp.up_proj.lora_A.weight`. */
export function adapterInput(
  config: ModelConfig,
  peftTensor: string,
): { readonly layer: number; readonly input: string } {
  const place = layerOfTensor(config, peftTensor.replace(/^base_model\.model\./, ''));
  if (place === undefined) throw new Error(`internal: ${peftTensor} is no adapter tensor`);
  return { layer: place.layer, input: place.name };
}

/** Loads the tensors of an adapter file. */
export function uploadAdapter(
  engine: Engine,
  config: ModelConfig,
  spec: AdapterSpec,
  tensors: ReadonlyMap<string, StoredTensor>,
): AdapterHandles {
  return placeAdapter(config, spec, (name) => {
    const stored = tensors.get(name);
    if (stored === undefined) throw new Error(`internal: no tensor ${name}`);
    return engine.upload({ stored: [stored], shape: stored.shape });
  });
}

/** A new adapter: A Kaiming-uniform as in peft (a bound of 1 / sqrt(in)), B zero, so that it begins as the base model. */
export function initialAdapter(engine: Engine, config: ModelConfig, spec: AdapterSpec, seed: number): AdapterHandles {
  let index = 0;
  return placeAdapter(config, spec, (name, shape) => {
    const data = new Float32Array(sizeOf(shape));
    const bound = 1 / Math.sqrt(shape[1]!);
    if (name.endsWith('lora_A.weight')) fillUniform(data, -bound, bound, { seed, purpose: 'lora_A', a: index });
    index++;
    return engine.upload(f32(data, shape));
  });
}

function placeAdapter(
  config: ModelConfig,
  spec: AdapterSpec,
  upload: (name: string, shape: readonly number[]) => Handle,
): AdapterHandles {
  const layers: Record<string, Handle>[] = spec.modules.map(() => ({}));
  for (const [name, shape] of adapterTensors(config, spec)) {
    const { layer, input } = adapterInput(config, name);
    layers[layer]![input] = upload(name, shape);
  }
  return { spec, layers };
}
