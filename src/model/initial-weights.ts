import { fillNormal } from '../math/random.ts';
import { type Shape, sizeOf } from '../tensor/tensor.ts';
import type { ModelConfig } from './config.ts';

/** Standard deviation of new weights where a config does not say, as GPT-2 and Llama have it. */
export const INITIAL_DEVIATION = 0.02;

/** Modules whose output is added to the residual stream. */
const RESIDUAL = /\.(?:o_proj|down_proj|c_proj)\.weight$/;

/**
 * New weights of a tensor, a function of its name and the seed: matrices are normal around 0, those that add to the residual stream (`o_proj`, `down_proj`,
 * `c_proj`) with the deviation divided by sqrt(2 layers), as GPT-2 does it (Radford et al. 2019) so that the stream keeps its size whatever the depth; biases
 * are 0 and norms 1.
 *
 * @param name by which a Hugging Face folder holds it
 */
export function initialWeight(
  { layers }: Pick<ModelConfig, 'layers'>,
  name: string,
  shape: Shape,
  { seed, deviation = INITIAL_DEVIATION }: { readonly seed: number; readonly deviation?: number | undefined },
): Float32Array {
  const values = new Float32Array(sizeOf(shape));
  if (name.endsWith('.bias')) return values;
  if (shape.length === 1) return values.fill(1);
  const scale = RESIDUAL.test(name) ? 1 / Math.sqrt(2 * layers) : 1;
  return fillNormal(values, 0, deviation * scale, { seed, purpose: `initial:${name}` });
}
