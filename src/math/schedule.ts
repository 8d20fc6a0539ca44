/** Course of the learning rate after the warm-up. */
export type Schedule = 'constant' | 'linear' | 'cosine';

/** What the rate at a step depends on. */
export interface ScheduleOptions {
  readonly peak: number;
  readonly warmupSteps: number;
  readonly totalSteps: number;
  /** Counts from 1. */
  readonly step: number;
}

/**
 * The rate used at a step.
 *
 * After the warm-up this is exactly transformers' get_{constant,linear,cosine}_schedule_with_warmup, whose counter stands at `step - 1`
 * when step `step` is taken. In the warm-up transformers multiplies by (step - 1) / warmup, which wastes the first step on a rate of 0;
 * here it is step / warmup. So no step has rate 0: the first has peak / warmup, steps `warmup` and `warmup + 1` have the peak, and the
 * last has what transformers' last step has, peak / (total - warmup) for linear.
 */
export function learningRate(schedule: Schedule, { peak, warmupSteps, totalSteps, step }: ScheduleOptions): number {
  if (step <= warmupSteps) return (peak * step) / warmupSteps;
  if (schedule === 'constant') return peak;
  const progress = (step - 1 - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
  if (schedule === 'linear') return peak * Math.max(0, 1 - progress);
  if (schedule === 'cosine') return peak * 0.5 * (1 + Math.cos(Math.PI * Math.min(1, progress)));
  return schedule satisfies never;
}

/** Steps of warm-up: `warmup` counts steps, or is a share of all steps below 1, rounded up. */
export function warmupSteps(warmup: number, totalSteps: number): number {
  // The tiny allowance keeps a product such as 0.07 * 100 from rounding up to 8.
  const steps = warmup < 1 ? Math.max(0, Math.ceil(warmup * totalSteps - 1e-9)) : Math.round(warmup);
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
