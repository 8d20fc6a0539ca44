import { TunesmithError } from '../errors/index.ts';
import { type Rounding, restBytes, type StoredTensor, type StoredType } from '../io/index.ts';
import { sizeOf } from '../tensor/tensor.ts';
import { linearModules, outerTensors } from './architectures.ts';
import type { BaseWeights } from './base-forms.ts';
import type { ModelConfig } from './config.ts';
import { layerTensor } from './names.ts';
import type { ModelSource } from './source.ts';

/** Types whose values lie one by one. */
const PLAIN: readonly StoredType[] = ['F32', 'F16', 'BF16'];

/** Hugging Face names of the matrices of a model's linear modules. */
function moduleWeights(config: ModelConfig): string[] {
  return Array.from({ length: config.layers }, (_, layer) =>
    linearModules(config, layer).map(({ module }) => layerTensor(config, layer, `${module}.weight`)),
  ).flat();
}

/** Hugging Face names of the matrices that may rest: those of the linear modules, the embedding and the head. */
export function restingMatrices(config: ModelConfig): ReadonlySet<string> {
  const outer = outerTensors(config).flatMap(({ name, hf }) => (name === 'embed' || name === 'head' ? [hf] : []));
  return new Set([...moduleWeights(config), ...outer]);
}

/** Whether the matrices of the layers are stored in few bits already. */
export function isQuantised({ config, tensors }: ModelSource): boolean {
  return moduleWeights(config).some((name) => !PLAIN.includes(tensors.get(name)!.type));
}

/**
 * The model that these base weights make: wherever a tensor is read from, to train, to score, to generate or to merge, it comes rounded.
 *
 * @throws BASE_WEIGHTS where it is quantised already
 */
export function withBaseWeights(source: ModelSource, weights: BaseWeights): ModelSource {
  if (weights === 'f32' || weights === 'as-stored') return source;
  if (isQuantised(source)) {
    throw new TunesmithError('BASE_WEIGHTS', {
      file: source.path,
      message: `is quantised already, and --base-weights ${weights} would round it a second time.`,
      fix: 'use --base-weights as-stored, or a base in f32, f16 or bf16',
    });
  }
  const tensors = new Map(source.tensors);
  for (const name of moduleWeights(source.config)) tensors.set(name, rounded(tensors.get(name)!, weights));
  return { ...source, tensors };
}

function rounded(tensor: StoredTensor, rounding: Rounding): StoredTensor {
  return { ...tensor, rounded: rounding };
}

/** Bytes of a model's weights in memory. */
export function baseBytes({ config, tensors }: ModelSource, weights: BaseWeights): number {
  const resting = weights === 'f32' ? new Set<string>() : restingMatrices(config);
  let bytes = 0;
  for (const [name, tensor] of tensors)
    bytes += resting.has(name) && tensor.changed === undefined ? restBytes(tensor) : 4 * sizeOf(tensor.shape);
  return bytes;
}
