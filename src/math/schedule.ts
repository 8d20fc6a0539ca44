/** Course of the learning rate after the warm-up. */
export type Schedule = 'constant' | 'linear' | 'cosine' | 'wsd' | 'inverse-sqrt';

/** The schedules that end at a share of the peak that can be chosen. */
export const FLOORED: readonly Schedule[] = ['linear', 'cosine', 'wsd'];

/** What the rate at a step depends on. */
export interface ScheduleOptions {
  readonly peak: number;
  readonly warmupSteps: number;
  readonly totalSteps: number;
  /** Counts from 1. */
  readonly step: number;
  /** Share of the peak that a falling rate goes towards; default 0. */
  readonly floor?: number | undefined;
  /** For wsd: the last steps, in which the rate falls; default 0. */
  readonly decaySteps?: number | undefined;
}

/** transformers' timescale of the inverse square root where there is no warm-up. */
const TIMESCALE = 10_000;

/**
 * The rate used at a step.
 *
 * After the warm-up this is exactly transformers' get_{constant,linear,cosine,cosine_with_min_lr,wsd,inverse_sqrt}_schedule (of wsd with the decay
 * "1-sqrt"), whose counter stands at `step - 1` when step `step` is taken. In the warm-up transformers multiplies by (step - 1) / warmup, which
 * wastes the first step on a rate of 0; here it is step / warmup. So no step has rate 0: the first has peak / warmup, steps `warmup` and
 * `warmup + 1` have the peak, and the last has what transformers' last step has, peak / (total - warmup) for linear.
 *
 * Warm-up, stable, decay (wsd): Hu et al. 2024, arXiv:2404.06395, with the decay 1 - sqrt(progress) that Hägele et al. 2024, arXiv:2405.18392,
 * found best. Inverse square root: Vaswani et al. 2017, arXiv:1706.03762.
 */
export function learningRate(schedule: Schedule, options: ScheduleOptions): number {
  const { peak, warmupSteps, step, floor = 0 } = options;
  if (step <= warmupSteps) return (peak * step) / warmupSteps;
  const share = courseOf(schedule, options);
  return peak * (FLOORED.includes(schedule) ? share * (1 - floor) + floor : share);
}

/** Share of the peak after the warm-up, before a floor lifts it. */
function courseOf(schedule: Schedule, { warmupSteps, totalSteps, step, decaySteps = 0 }: ScheduleOptions): number {
  const done = step - 1 - warmupSteps;
  const progress = Math.min(1, done / Math.max(1, totalSteps - warmupSteps));
  switch (schedule) {
    case 'constant':
      return 1;
    case 'linear':
      return 1 - progress;
    case 'cosine':
      return 0.5 * (1 + Math.cos(Math.PI * progress));
    case 'wsd': {
      const falling = Math.min(decaySteps, totalSteps - warmupSteps);
      const fallen = done - (totalSteps - warmupSteps - falling);
      return fallen <= 0 ? 1 : 1 - Math.sqrt(Math.min(1, fallen / falling));
    }
    case 'inverse-sqrt': {
      const timescale = warmupSteps === 0 ? TIMESCALE : warmupSteps;
      return Math.sqrt(timescale / (done + timescale));
    }
    default:
      return schedule satisfies never;
  }
}

/** Steps of a part of the run, such as the warm-up: `part` counts steps, or is a share of all steps below 1, rounded up. */
export function stepsOf(part: number, totalSteps: number): number {
  // The tiny allowance keeps a product such as 0.07 * 100 from rounding up to 8.
  const steps = part < 1 ? Math.max(0, Math.ceil(part * totalSteps - 1e-9)) : Math.round(part);
  return Math.min(steps, totalSteps);
}

/**
 * The automatic peak rate: 5e-4 * (2000 / width)^0.78 for LoRA, the fit of tinker-cookbook's sweep over models, and a tenth of it when all
 * weights train.
 *
 * @param hiddenSize width of the model
 */
export function automaticPeakRate(weights: 'lora' | 'full', hiddenSize: number): number {
  const lora = 5e-4 * (2000 / hiddenSize) ** 0.78;
  return weights === 'lora' ? lora : lora / 10;
}
