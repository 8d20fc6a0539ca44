import { f32State, type UpdateRule } from './rule.ts';

/** Constants of {@link sgd}. */
export interface SgdOptions {
  /** Share of the last update that is kept; 0 keeps no state. */
  readonly momentum: number;
  readonly nesterov: boolean;
}

/**
 * Stochastic gradient descent with momentum, as torch.optim.SGD writes it (Sutskever et al. 2013, "On the importance of initialization and momentum
 * in deep learning", also for Nesterov's variant). Weight decay is added to the gradient.
 */
export function sgd({ momentum, nesterov }: SgdOptions): UpdateRule {
  return {
    state: (shape) => (momentum === 0 ? {} : { m: f32State(shape) }),
    scalars: ({ lr, weightDecay }) => ({ lr, weightDecay }),
    update(g, { parameter, grad, state, decays, scalar }) {
      const whole = decays ? g.add(grad, g.mul(parameter, scalar('weightDecay'))) : grad;
      const { m } = state;
      if (m === undefined) return { parameter: g.sub(parameter, g.mul(whole, scalar('lr'))), state: {} };
      const m2 = g.add(g.mul(m, g.scalar(momentum)), whole);
      const direction = nesterov ? g.add(whole, g.mul(m2, g.scalar(momentum))) : m2;
      return { parameter: g.sub(parameter, g.mul(direction, scalar('lr'))), state: { m: m2 } };
    },
  };
}
