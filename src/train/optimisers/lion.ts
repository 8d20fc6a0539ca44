import { f32State, mix, type UpdateRule } from './rule.ts';

/** Constants of {@link lion}. */
export interface LionOptions {
  /** Weight of the momentum in the update. */
  readonly beta1: number;
  /** Decay of the momentum. */
  readonly beta2: number;
}

/** Lion (Chen et al. 2023, arXiv:2302.06675): the sign of a mean of momentum and gradient; one state. Weight decay is decoupled. */
export function lion({ beta1, beta2 }: LionOptions): UpdateRule {
  return {
    state: (shape) => ({ m: f32State(shape) }),
    scalars: ({ lr, weightDecay }) => ({ lr, keep: 1 - lr * weightDecay }),
    update(g, { parameter, grad, state, decays, scalar }) {
      const decayed = decays ? g.mul(parameter, scalar('keep')) : parameter;
      const direction = g.sign(mix(g, state.m!, grad, beta1));
      return {
        parameter: g.sub(decayed, g.mul(direction, scalar('lr'))),
        state: { m: mix(g, state.m!, grad, beta2) },
      };
    },
  };
}
