import { TunesmithError } from '../errors/index.ts';
import type { BaseWeights } from '../model/base-forms.ts';
import { baseBytes, isQuantised } from '../model/base-weights.ts';
import type { ModelSource } from '../model/source.ts';
import type { RunConfig } from './config.ts';

/** Share of the memory that a run may use which float32 weights may take before they stay as they are stored. */
const COMFORTABLE = 0.4;
/** Share that weights as stored may take before they are rounded, which changes the model. */
const TOLERABLE = 0.6;

/** How the base lies in memory, and why where that was chosen automatically. */
export interface BaseChoice {
  readonly weights: BaseWeights;
  readonly why: string | undefined;
}

/** Whether the weights in float32 leave most of the memory to other things. */
export function fitsWidened(source: ModelSource, budget: number): boolean {
  return baseBytes(source, 'f32') <= COMFORTABLE * budget;
}

/**
 * What `--base-weights` says or, for auto: float32, which is fastest, where it leaves room; else as stored, which gives the same numbers; else NF4.
 *
 * @param budget bytes that the run may use
 * @throws BASE_WEIGHTS for weights at rest that shall train
 */
export function chooseBaseWeights(
  { compute: { baseWeights }, weights }: Pick<RunConfig, 'compute' | 'weights'>,
  source: ModelSource,
  budget: number,
): BaseChoice {
  if (weights.kind === 'full') {
    if (baseWeights === 'auto' || baseWeights === 'f32') return { weights: 'f32', why: undefined };
    throw new TunesmithError('BASE_WEIGHTS', {
      message: `--weights full trains all weights, and with --base-weights ${baseWeights} they are frozen.`,
      fix: 'use --weights lora, or leave --base-weights out',
    });
  }
  if (baseWeights !== 'auto') return { weights: baseWeights, why: undefined };
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;
  const widened = `${gigabytes(baseBytes(source, 'f32'))} in float32 of the ${gigabytes(budget)} that the run may use`;
  if (fitsWidened(source, budget)) return { weights: 'f32', why: widened };
  const stored = `${gigabytes(baseBytes(source, 'as-stored'))} as stored, ${widened}`;
  const rests = isQuantised(source) || baseBytes(source, 'as-stored') <= TOLERABLE * budget;
  return { weights: rests ? 'as-stored' : 'nf4', why: stored };
}
