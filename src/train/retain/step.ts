import { buildMicroBatch, type MicroBatch, planMicroBatches, type SoftTargets, tokenAt } from '../../data/index.ts';
import { type Example, supervisedTokens } from '../../text/example.ts';
import type { LoopOptions } from '../loop.ts';
import { microStep, type Network, readLosses } from '../network.ts';
import type { AlignedStep } from '../objective.ts';
import { lossesOfRows } from '../row-losses.ts';
import { clippedUpdate, type OptimizerState, reduce, type StepOptions, type StepSums } from '../step.ts';
import { negativeEntropy, type RowTargets } from './targets.ts';

/** An example of a step, and what it is held to. */
export interface HeldExample {
  /** Labels of -100 everywhere for what is held to distributions alone. */
  readonly example: Example;
  readonly hold?: {
    /** What the divergence is reported as. */
    readonly kind: 'prompts' | 'replay';
    readonly positions: readonly number[];
    readonly targets: RowTargets;
    /** Whether its positions count as tokens with loss do, beside the penalty. */
    readonly asLoss: boolean;
  };
}

/**
 * One optimiser step that keeps the model near what it was: to the mean loss over labels (and distributions that count as labels) comes `klWeight`
 * times the mean of KL(start || now) over prompts, and as much of the mean over what is replayed, which would drown among the many tokens of prompts.
 *
 * @throws TRAIN_NOT_FINITE before anything is updated
 */
export async function heldStep(
  net: Network,
  state: OptimizerState,
  examples: readonly HeldExample[],
  options: StepOptions & { readonly microBatch: LoopOptions['microBatch']; readonly klWeight: number },
): Promise<AlignedStep> {
  const rows = examples.map(({ example }) => example);
  const labelled = rows.reduce((n, row) => n + supervisedTokens(row), 0);
  const count = (counts: (hold: NonNullable<HeldExample['hold']>) => boolean) =>
    examples.reduce((n, { hold }) => n + (hold !== undefined && counts(hold) ? hold.positions.length : 0), 0);
  const tokens = labelled + count(({ asLoss }) => asLoss);
  const weightOf = (kind: Kind) =>
    (options.klWeight * tokens) /
    Math.max(
      1,
      count((hold) => hold.kind === kind),
    );
  const weights = { prompts: weightOf('prompts'), replay: weightOf('replay') };
  let sums: StepSums | undefined;
  let realTokens = 0;
  const divergences: Promise<Divergence[]>[] = [];
  const batches: MicroBatch[] = [];
  for (const plan of planMicroBatches(
    rows.map(({ ids }) => ids.length),
    options.microBatch,
  )) {
    const laid = buildMicroBatch(rows, plan);
    const { soft, entropies } = softTargets(laid, examples, weights);
    const { soft: losses = [], ...part } = microStep(net, soft === undefined ? laid : { ...laid, soft }, options.step);
    divergences.push(
      readLosses(net.engine, losses, entropies.length).then((found) =>
        entropies.map(({ kind, sum }, i) => ({ kind, kl: found[i]! + sum })),
      ),
    );
    sums = reduce(net, sums, part);
    batches.push(laid);
    realTokens += laid.realTokens;
  }
  if (sums === undefined) throw new Error('internal: a step without micro-batches');
  const losses = await Promise.all(sums.losses);
  const loss = losses.reduce((n, part) => n + part.reduce((s, x) => s + x, 0), 0) / labelled;
  const metrics = meansOf((await Promise.all(divergences)).flat());
  const gradNorm = await clippedUpdate(net, state, { ...sums, tokens }, loss, options);
  const found = batches.flatMap((batch, i) => lossesOfRows(batch, losses[i]!));
  return { loss, gradNorm, tokens: labelled, realTokens, metrics, rows: found, warnings: [] };
}

type Kind = NonNullable<HeldExample['hold']>['kind'];

interface Divergence {
  readonly kind: Kind;
  /** Nats. */
  readonly kl: number;
}

/** `kl/prompts` and `kl/replay`, as far as there are such positions. */
function meansOf(found: readonly Divergence[]): Readonly<Record<string, number>> {
  const means: Record<string, number> = {};
  for (const kind of ['prompts', 'replay'] as const) {
    const own = found.filter((one) => one.kind === kind);
    if (own.length > 0) means[`kl/${kind}`] = own.reduce((n, { kl }) => n + kl, 0) / own.length;
  }
  return means;
}

/** The positions of a micro-batch that are held, and what their cross entropies are more than divergences, negated. */
function softTargets(batch: MicroBatch, examples: readonly HeldExample[], weights: Readonly<Record<Kind, number>>) {
  const held = batch.spans.flatMap(({ row }, i) => {
    const { hold } = examples[row]!;
    return hold === undefined ? [] : [{ ...hold, at: hold.positions.map((position) => tokenAt(batch, i, position)) }];
  });
  const entropies = held.flatMap(({ kind, targets, positions }) =>
    positions.map((_, i) => ({ kind, sum: negativeEntropy(targets, i) })),
  );
  if (entropies.length === 0) return { soft: undefined, entropies };
  const kept = held[0]!.targets.kept;
  const soft: SoftTargets = {
    kept,
    positions: Int32Array.from(held.flatMap(({ at }) => at)),
    ids: Int32Array.from(held.flatMap(({ targets }) => [...targets.ids])),
    shares: Float32Array.from(held.flatMap(({ targets }) => [...targets.shares])),
    rest: Float32Array.from(held.flatMap(({ targets }) => [...targets.rest])),
    weights: Float32Array.from(
      held.flatMap(({ kind, positions, asLoss }) => positions.map(() => weights[kind] + (asLoss ? 1 : 0))),
    ),
  };
  return { soft, entropies };
}
