// Shape legend: N tokens, E experts
import type { MicroBatch } from '../data/index.ts';
import type { Engine, Handle } from '../engine/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { type Beside, type Builder, createBuilder, finishGraph } from '../graph/index.ts';
import type { Routing } from '../model/architecture.ts';
import type { ModelConfig } from '../model/config.ts';
import { f32 } from '../tensor/tensor.ts';
import { cached, type ProgramCache } from './programs.ts';

type Handles = Record<string, Handle>;

/** The output of a layer's forward program that says how often each expert was chosen: [1, E]. */
export const ROUTER_LOAD = 'router.load';
/** Inputs: which tokens are no padding [N, 1], and what the loss grows by with a token's share of each expert [1, E]. */
const VALID = 'router.valid';
const SLOPE = 'router.slope';

/**
 * The auxiliary loss of routers (Fedus et al. 2021, arXiv:2101.03961): E times the sum over experts of the part of tokens that chose it and its mean share, all
 * layers taken together. The first factor is a count, so the gradient of each share is known once all layers have counted.
 */
export function routerLossOf(g: Builder, beside: Beside): (routing: Routing) => void {
  return ({ share_NE, chosen_NE }) => {
    const [tokens, experts] = share_NE.shape as [number, number];
    const valid_N1 = g.input(VALID, [tokens, 1]);
    beside.output(ROUTER_LOAD, g.reduceSum(g.mul(chosen_NE, valid_N1), [0]));
    beside.seed(share_NE, () => g.mul(valid_N1, g.input(SLOPE, [1, experts])));
  };
}

/** The inputs of layers that know before they run. */
export function routerInputs(engine: Engine, { ids, spans }: MicroBatch): Handles {
  const valid = new Float32Array(ids.length);
  for (const { from, count } of spans) valid.fill(1, from, from + count);
  return { [VALID]: engine.upload(f32(valid, [ids.length, 1])) };
}

/**
 * The inputs that backward programs take beside, from the counts of all layers, which are released. The step divides by its tokens with loss what it
 * sums, so each micro-batch counts as much as it has of them.
 */
export function routerSlope(
  net: ProgramCache & { readonly config: ModelConfig },
  loads: readonly Handle[],
  batch: MicroBatch,
  coefficient: number,
): Handles {
  const experts = net.config.experts?.count ?? 0;
  const program = cached(net, `router-slope|${loads.length}`, () => {
    const g = createBuilder();
    const sum = loads.map((_, i) => g.input(`load.${i}`, [1, experts])).reduce((a, b) => g.add(a, b));
    return finishGraph(g, { slope: g.mul(sum, g.input('scale', [1, 1])) });
  });
  const places = loads.length * batch.realTokens;
  const scale = net.engine.upload(f32([(coefficient * experts * batch.lossTokens) / places ** 2], [1, 1]));
  const inputs = Object.fromEntries(loads.map((load, i) => [`load.${i}`, load]));
  const { slope } = net.engine.run(program, { ...inputs, scale });
  net.engine.release(scale, ...loads);
  return { [SLOPE]: slope! };
}

/** @throws CLI_OPTION_CONFLICT where there is no router to lose anything */
export function requireExperts(coefficient: number | undefined, { experts }: ModelConfig): void {
  if (coefficient === undefined || experts !== undefined) return;
  throw new TunesmithError('CLI_OPTION_CONFLICT', {
    message: '--router-loss has no effect on a model without experts.',
    fix: 'leave it out',
  });
}
