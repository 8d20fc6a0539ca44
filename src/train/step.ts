import type { MicroBatch } from '../data/index.ts';
import type { Handle } from '../engine/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { type MicroStep, microStep, type Network, readLosses, refreshDerived } from './network.ts';
import { type GroupState, initialGroupState, type OptimizerOptions, squares, updateGroup } from './optimisers/index.ts';
import { sumInto } from './programs.ts';
import { lossesOfRows, type RowLoss } from './row-losses.ts';

type Handles = Record<string, Handle>;

/** Where a group of trained tensors lives: a layer, or the tensors outside the layers. */
export type Place = number | 'outer';

/** Optimiser state of a network, for each place that trains. Data, so that checkpointing it is easy. */
export type OptimizerState = Map<Place, GroupState>;

/** Places that train, in the order in which sums run over them. */
export function trainedPlaces({ trained }: Pick<Network, 'trained'>): Place[] {
  const layers = [...trained.layers.keys()].filter((layer) => trained.layers[layer]!.length > 0);
  return trained.outer.length > 0 ? [...layers, 'outer'] : layers;
}

/** The trained handles of a place, by name. */
export function trainedHandles(net: Network, place: Place): Handles {
  const [names, handles] =
    place === 'outer' ? [net.trained.outer, net.outer] : [net.trained.layers[place]!, net.layers[place]!];
  return Object.fromEntries(names.map((name) => [name, handles[name]!]));
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
  readonly metrics?: Readonly<Record<string, number>>;
  /** Of each example, where the loss is that of its tokens. */
  readonly rows?: readonly RowLoss[] | undefined;
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
  let sums: StepSums | undefined;
  for (const batch of batches) sums = reduce(net, sums, microStep(net, batch, options.step));
  if (sums === undefined) throw new Error('internal: a step without micro-batches');
  const { loss, tokens } = await meanOfStep(sums);
  const gradNorm = await clippedUpdate(net, state, sums, loss, options);
  const losses = await Promise.all(sums.losses);
  return { loss, gradNorm, tokens, rows: batches.flatMap((batch, i) => lossesOfRows(batch, losses[i]!)) };
}

/**
 * The end of a step: clipping and the update.
 *
 * @returns the norm of the gradient of the mean loss before clipping
 * @throws TRAIN_NOT_FINITE before anything is updated
 */
export async function clippedUpdate(
  net: Network,
  state: OptimizerState,
  sums: StepSums,
  loss: number,
  options: StepOptions,
): Promise<number> {
  const gradNorm = await gradientNorm(net, sums);
  requireFinite(loss, gradNorm, options);
  // torch.nn.utils.clip_grad_norm_ divides by norm + 1e-6.
  const clipping = options.clip === 0 ? 1 : Math.min(1, options.clip / (gradNorm + 1e-6));
  applyUpdate(net, state, sums, { ...options, gradScale: clipping / sums.tokens });
  return gradNorm;
}

/** What a step's micro-batches add up to. Nothing is divided yet. */
export interface StepSums {
  /** Losses of each micro-batch's tokens, in nats, on their way from the engine. */
  readonly losses: readonly Promise<Float64Array>[];
  /** Tokens with loss. */
  readonly tokens: number;
  /** Gradients of the summed loss. */
  readonly gradients: ReadonlyMap<Place, Handles>;
}

/** Adds a micro-batch to a step. The gradients of both go into the sum, and are released. */
export function reduce(net: Network, sums: StepSums | undefined, part: MicroStep): StepSums {
  const losses = [...(sums?.losses ?? []), readLosses(net.engine, part.nll, part.tokens)];
  const gradients = new Map<Place, Handles>();
  for (const place of trainedPlaces(net)) {
    const fresh = place === 'outer' ? part.outer : part.layers[place]!;
    const old = sums?.gradients.get(place);
    gradients.set(place, old === undefined ? fresh : sumInto(net, 'gradients', old, fresh));
  }
  return { losses, tokens: (sums?.tokens ?? 0) + part.tokens, gradients };
}

/** The mean loss over a step's supervised tokens, in nats, summed in float64. */
export async function meanOfStep(sums: StepSums): Promise<{ readonly loss: number; readonly tokens: number }> {
  const losses = await Promise.all(sums.losses);
  const sum = losses.reduce((total, part) => total + part.reduce((s, x) => s + x, 0), 0);
  return { loss: sum / sums.tokens, tokens: sums.tokens };
}

/** The global norm of the gradient of a step's mean loss. */
export async function gradientNorm(net: Network, { gradients, tokens }: StepSums): Promise<number> {
  const handles = [...gradients.values()].map((group) => squares(net.engine, group));
  const parts = await Promise.all(handles.map((handle) => net.engine.read(handle)));
  net.engine.release(...handles);
  let sum = 0;
  for (const { data } of parts) for (const value of data) sum += Number(value);
  return Math.sqrt(sum) / tokens;
}

function requireFinite(loss: number, gradNorm: number, { step, describeRows }: StepOptions): void {
  if (Number.isFinite(loss) && Number.isFinite(gradNorm)) return;
  const what = Number.isFinite(loss) ? `gradient norm is ${gradNorm}` : `loss is ${loss}`;
  throw new TunesmithError('TRAIN_NOT_FINITE', {
    message: `the ${what} at step ${step} (rows ${describeRows()}); the step was not applied.`,
    fix: 'lower --lr, lengthen --warmup, or look at these rows',
  });
}

/** What an update is told. */
export interface UpdateOptions {
  readonly optimizer: OptimizerOptions;
  /** Counts from 1. */
  readonly step: number;
  readonly lr: number;
  /** The summed gradients are multiplied by it: clipping and the one division by the step's tokens. */
  readonly gradScale: number;
}

/** Updates everything that trains and the optimiser's state, in place. The gradients are released. */
export function applyUpdate(
  net: Network,
  state: OptimizerState,
  { gradients }: StepSums,
  { optimizer, step, lr, gradScale }: UpdateOptions,
): void {
  for (const [place, grads] of gradients) {
    const group = { parameters: trainedHandles(net, place), grads, state: state.get(place)! };
    const next = updateGroup(net.engine, group, optimizer, { step, lr, gradScale });
    state.set(place, next.state);
    Object.assign(place === 'outer' ? net.outer : net.layers[place]!, next.parameters);
  }
  refreshDerived(net);
}
