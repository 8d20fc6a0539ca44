import { expect } from 'vitest';

/** A step as `train --json` prints it. */
interface StepLine {
  readonly step: number;
  readonly loss: number;
  readonly gradNorm: number;
}

/** What a reference says of each step. */
export interface Curve {
  readonly losses: readonly number[];
  readonly grad_norms: readonly number[];
}

/** The step lines of a run. */
export function stepLines(lines: readonly { readonly type: string }[]): StepLine[] {
  return lines.filter((line) => line.type === 'step') as unknown as StepLine[];
}

/** The losses of a run, one for each step from 1 on. */
export function lossesOf(lines: readonly { readonly type: string }[]): number[] {
  const steps = stepLines(lines);
  expect(steps.map(({ step }) => step)).toEqual(steps.map((_, i) => i + 1));
  return steps.map(({ loss }) => loss);
}

/** Every step of a run has the reference's loss and gradient norm, relatively. */
export function expectCurve(
  lines: readonly { readonly type: string }[],
  curve: Curve,
  tolerance: { readonly loss: number; readonly norm: number },
): void {
  expect(lossesOf(lines)).toHaveLength(curve.losses.length);
  for (const { step, loss, gradNorm } of stepLines(lines)) {
    expectClose(loss, curve.losses[step - 1], tolerance.loss);
    expectClose(gradNorm, curve.grad_norms[step - 1], tolerance.norm);
  }
}

/** Relative closeness. */
export function expectClose(actual: number, expected: number | undefined, tolerance: number): void {
  if (expected === undefined) throw new Error('nothing is expected here');
  const distance = Math.abs(actual - expected) / Math.abs(expected);
  expect(distance, `${actual} against ${expected}`).toBeLessThanOrEqual(tolerance);
}
