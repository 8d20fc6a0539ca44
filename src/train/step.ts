import type { MicroBatch } from '../data/index.ts';
import type { Handle } from '../engine/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { outerTensors } from '../model/architectures.ts';
import { type MicroStep, microStep, type Network, readLosses, sumInto, trainedNames } from './network.ts';
import { type GroupState, initialGroupState, type OptimizerOptions, squares, updateGroup } from './optimisers/index.ts';

type Handles = Record<string, Handle>;

/** Where a group of trained tensors lives: a layer, or the tensors outside the layers. */
export type Place = number | 'outer';

/** Optimiser state of a network, for each place that trains. Data, so that checkpointing it is easy. */
export type OptimizerState = Map<Place, GroupState>;

/** Places that train, in the order in which sums run over them. */
export function trainedPlaces(net: Network): Place[] {
  const layers = net.layers.map((_, layer) => layer).filter((layer) => trainedNames(net, layer).length > 0);
  return net.weights === 'full' ? [...layers, 'outer'] : layers;
}

/** The trained handles of a place, by name. */
export function trainedHandles(net: Network, place: Place): Handles {
  if (place !== 'outer') {
    return Object.fromEntries(trainedNames(net, place).map((name) => [name, net.layers[place]![name]!]));
  }
  return Object.fromEntries(outerTensors(net.config).map(({ name }) => [name, net.outer[name]!]));
}

/** The state that every run begins with, for everything that trains. */
export function initialState(net: Network, options: OptimizerOptions): OptimizerState {
  return new Map(
    trainedPlaces(net).map((place) => [place, initialGroupState(net.engine, trainedHandles(net, place), options)]),
  );
}

/** What one optimiser step is told. */
export interface StepOptions {
  readonly optimizer: OptimizerOptions;
  /** Counts from 1. */
  readonly step: number;
  readonly lr: number;
  /** Largest global gradient norm; 0 turns clipping off. */
  readonly clip: number;
  /** Named when the loss is not finite. */
  readonly describeRows: () => string;
}

/** What one optimiser step reports. */
export interface StepResult {
  /** Mean over the step's supervised tokens before the update, nats. */
  readonly loss: number;
  /** Before clipping. */
  readonly gradNorm: number;
  readonly tokens: number;
}

/**
 * One optimiser step: micro-batches, sum of gradients, one division by the supervised tokens of the whole step, clipping, the optimiser's update.
 * Losses are summed on the host in float64.
 *
 * @throws TRAIN_NOT_FINITE before anything is updated
 */
export async function trainStep(
  net: Network,
  state: OptimizerState,
  batches: readonly MicroBatch[],
  options: StepOptions,
): Promise<StepResult> {
  const reads: Promise<Float64Array>[] = [];
  let grads: Map<Place, Handles> | undefined;
  for (const batch of batches) {
    const part = microStep(net, batch, options.step);
    reads.push(readLosses(net.engine, part.nll, batch.lossTokens));
    grads = accumulate(net, grads, part);
  }
  if (grads === undefined) throw new Error('internal: a step without micro-batches');
  const losses = await Promise.all(reads);
  const tokens = losses.reduce((n, part) => n + part.length, 0);
  const lossSum = losses.reduce((sum, part) => sum + part.reduce((s, x) => s + x, 0), 0);
  const gradNorm = Math.sqrt(await sumOfSquares(net, grads)) / tokens;
  requireFinite(lossSum / tokens, gradNorm, options);
  update(net, state, grads, { ...options, gradNorm, tokens });
  return { loss: lossSum / tokens, gradNorm, tokens };
}

function accumulate(net: Network, sum: Map<Place, Handles> | undefined, part: MicroStep): Map<Place, Handles> {
  const grads = new Map<Place, Handles>();
  for (const place of trainedPlaces(net)) {
    const fresh = place === 'outer' ? part.outer : part.layers[place]!;
    const old = sum?.get(place);
    grads.set(place, old === undefined ? fresh : sumInto(net, 'gradients', old, fresh));
  }
  return grads;
}

async function sumOfSquares(net: Network, grads: ReadonlyMap<Place, Handles>): Promise<number> {
  const handles = [...grads.values()].map((group) => squares(net.engine, group));
  const parts = await Promise.all(handles.map((handle) => net.engine.read(handle)));
  net.engine.release(...handles);
  let sum = 0;
  for (const { data } of parts) for (const value of data) sum += Number(value);
  return sum;
}

function requireFinite(loss: number, gradNorm: number, { step, describeRows }: StepOptions): void {
  if (Number.isFinite(loss) && Number.isFinite(gradNorm)) return;
  const what = Number.isFinite(loss) ? `gradient norm is ${gradNorm}` : `loss is ${loss}`;
  throw new TunesmithError('TRAIN_NOT_FINITE', {
    message: `the ${what} at step ${step} (rows ${describeRows()}); the step was not applied.`,
    fix: 'lower --lr, lengthen --warmup, or look at these rows',
  });
}

function update(
  net: Network,
  state: OptimizerState,
  grads: ReadonlyMap<Place, Handles>,
  { gradNorm, tokens, ...options }: StepOptions & { readonly gradNorm: number; readonly tokens: number },
): void {
  // torch.nn.utils.clip_grad_norm_ divides by norm + 1e-6.
  const clipping = options.clip === 0 ? 1 : Math.min(1, options.clip / (gradNorm + 1e-6));
  for (const [place, group] of grads) {
    const step = { step: options.step, lr: options.lr, gradScale: clipping / tokens };
    const parameters = trainedHandles(net, place);
    const update = { parameters, grads: group, state: state.get(place)! };
    const next = updateGroup(net.engine, update, options.optimizer, step);
    state.set(place, next.state);
    if (place !== 'outer') Object.assign(net.layers[place]!, next.parameters);
    else {
      Object.assign(net.outer, next.parameters);
      if (net.config.tiedEmbeddings) net.outer.head = net.outer.embed!;
    }
  }
}
