import { argMax, type Calibration, classProbabilities, type Judged } from './calibrate.ts';

/** What a classifier makes of one input, classes by their numbers. */
export interface Decision {
  /** [K] calibrated; of one label they add up to 1. */
  readonly probabilities: readonly number[];
  /** The likeliest class, or of several labels those of at least one half; none where the input is none of these. */
  readonly chosen: readonly number[];
  /** Those of the chosen that reach their threshold; undefined without calibration. */
  readonly confident: readonly number[] | undefined;
  /** Whether the input is unlike what was trained; undefined without calibration. */
  readonly isNone: boolean | undefined;
}

/** Decides from the logits [K] of an input, and its distance from what trained. */
export function decide(
  logits: ArrayLike<number>,
  kind: Judged['kind'],
  calibration: Calibration | null,
  distance = 0,
): Decision {
  const probabilities = classProbabilities(logits, kind, calibration?.temperature ?? 1);
  const likely = likeliest(probabilities, kind);
  if (calibration === null) return { probabilities, chosen: likely, confident: undefined, isNone: undefined };
  const isNone = distance > calibration.distance;
  const chosen = isNone ? [] : likely;
  const confident = chosen.filter((k) => probabilities[k]! >= (calibration.thresholds[k] ?? Number.POSITIVE_INFINITY));
  return { probabilities, chosen, confident, isNone };
}

/** The classes that an input most likely has, whatever it is like. */
export function likeliest(probabilities: readonly number[], kind: Judged['kind']): number[] {
  return kind === 'single' ? [argMax(probabilities)] : probabilities.flatMap((p, k) => (p >= 0.5 ? [k] : []));
}
