import { TunesmithError } from '../errors/index.ts';
import type { StoredTensor } from '../io/index.ts';
import type { Shape } from '../tensor/tensor.ts';
import { architectureOf, layerVectors, linearModules, outerTensors } from './architectures.ts';
import type { ModelConfig } from './config.ts';
import { layerTensor } from './names.ts';

/** Every tensor that a model of this configuration has, by its Hugging Face name. */
export function expectedTensors(config: ModelConfig): Map<string, Shape> {
  const expected = new Map<string, Shape>(outerTensors(config).map(({ hf, shape }) => [hf, shape]));
  for (let layer = 0; layer < config.layers; layer++) {
    for (const { name, shape } of layerVectors(config, layer)) expected.set(layerTensor(config, layer, name), shape);
    for (const m of linearModules(config, layer)) {
      expected.set(layerTensor(config, layer, `${m.module}.weight`), [m.out, m.in]);
    }
  }
  return expected;
}

/**
 * Holds the tensors of the weight files against the configuration.
 *
 * @throws MODEL_WEIGHTS for a missing tensor or one of another shape
 */
export function checkWeights(config: ModelConfig, tensors: ReadonlyMap<string, StoredTensor>, file: string): void {
  for (const [name, shape] of expectedTensors(config)) {
    const tensor = tensors.get(name);
    if (tensor === undefined) {
      throw new TunesmithError('MODEL_WEIGHTS', {
        file,
        message: `has no tensor ${name}.`,
        fix: 'get the whole model again',
      });
    }
    if (String(tensor.shape) !== String(shape)) {
      throw new TunesmithError('MODEL_WEIGHTS', {
        file,
        message: `tensor ${name} is [${tensor.shape}], its config says [${shape}].`,
        fix: 'get config and weights of the same model',
      });
    }
  }
}

/**
 * Refuses layer tensors that the model's graph has no place for, such as biases: leaving them out would give wrong numbers.
 *
 * @throws MODEL_UNSUPPORTED
 */
export function checkNoOthers(config: ModelConfig, names: Iterable<string>, file: string): void {
  const expected = expectedTensors(config);
  const prefix = `${architectureOf(config).layersPrefix}.`;
  for (const name of names) {
    if (!name.startsWith(prefix) || expected.has(name)) continue;
    throw new TunesmithError('MODEL_UNSUPPORTED', {
      file,
      message: `tensor ${name} has no place in a ${config.modelType} model here.`,
    });
  }
}

/** Number of weights. */
export function parameterCount(config: ModelConfig): number {
  let count = 0;
  for (const shape of expectedTensors(config).values()) count += shape.reduce((n, d) => n * d, 1);
  return count;
}
