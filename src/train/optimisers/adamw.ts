// AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101), in the order of operations of torch.optim.AdamW
import type { Builder, Value } from '../../graph/index.ts';
import { f32State, mix, type UpdateInputs, type UpdateRule } from './rule.ts';

/** Constants of AdamW. */
export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
}

/** AdamW with both moments in float32. */
export function adamW(options: AdamWOptions): UpdateRule {
  return {
    state: (shape) => ({ m: f32State(shape), v: f32State(shape) }),
    scalars: ({ step, lr, weightDecay }) => ({
      stepSize: lr / (1 - options.beta1 ** step),
      rootCorrection: 1 / Math.sqrt(1 - options.beta2 ** step),
      keep: 1 - lr * weightDecay,
    }),
    update(g, inputs) {
      const { m, v } = inputs.state as { m: Value; v: Value };
      const next = adamWStep(g, inputs, { m, v }, options);
      return { parameter: next.parameter, state: { m: next.m, v: next.v } };
    },
  };
}

/** One step from float32 moments of the parameter's shape to the next ones. */
export function adamWStep(
  g: Builder,
  { parameter, grad, decays, scalar }: UpdateInputs,
  { m, v }: { readonly m: Value; readonly v: Value },
  { beta1, beta2, eps }: AdamWOptions,
): { readonly parameter: Value; readonly m: Value; readonly v: Value } {
  const m2 = mix(g, m, grad, beta1);
  const v2 = mix(g, v, g.mul(grad, grad), beta2);
  const denominator = g.add(g.mul(g.sqrt(v2), scalar('rootCorrection')), g.scalar(eps));
  const decayed = decays ? g.mul(parameter, scalar('keep')) : parameter;
  return { parameter: g.sub(decayed, g.mul(g.div(m2, denominator), scalar('stepSize'))), m: m2, v: v2 };
}
