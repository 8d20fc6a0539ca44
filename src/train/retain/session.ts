import { supervisedTokens } from '../../text/example.ts';
import type { RunContext } from '../context.ts';
import type { Dataset } from '../dataset.ts';
import type { AlignedSession } from '../objective.ts';
import { stepExamples, trainedExamples } from '../pretrain/pretraining.ts';
import type { OptimizerState } from '../step.ts';
import type { Guard } from './guard.ts';
import { type Held, type StartTargets, startTargets } from './start.ts';
import { type HeldExample, heldStep } from './step.ts';
import { allPositions, promptPositions } from './targets.ts';

/** The steps of a run that is kept near its start; undefined where nothing keeps it. */
export type HeldSteps = AlignedSession['takeStep'];

/** The weight of the penalty, where a method has one. */
export function klWeightOf({ frozen: { config } }: Pick<RunContext, 'frozen'>): number | undefined {
  return 'klWeight' in config.method ? config.method.klWeight : undefined;
}

/**
 * Sets a run to work that is held to its start: the KL penalty on prompts and on what is replayed.
 *
 * @throws RUN_CHECKPOINT if a resumed run of full weights lacks what its start predicts
 */
export async function beginHolding(
  run: RunContext,
  state: OptimizerState,
  guard: Pick<Guard, 'replays' | 'klWeight'> | undefined,
  signal: AbortSignal,
): Promise<HeldSteps | undefined> {
  const { net, dataset, frozen } = run;
  const given = klWeightOf(run);
  const isSelf = dataset.replay?.self !== undefined;
  if (given === undefined && !isSelf && guard === undefined) return undefined;
  const held = heldExamples(dataset, { prompts: given !== undefined || guard !== undefined, replay: true });
  const tell = (done: number, total: number) => run.onActivity({ kind: 'reference', done, total, unit: 'rows' });
  const targets = await startTargets(run, held, tell, signal);
  const [ownOf, withReplayOf] = [{ ...dataset, replay: undefined }, dataset].map((part) =>
    stepExamples(part, frozen.loop.order),
  ) as [ReturnType<typeof stepExamples>, ReturnType<typeof stepExamples>];
  const all = trainedExamples(dataset);
  return async (rows, options) => {
    const examples: HeldExample[] = [];
    const klWeight = guard?.klWeight() ?? given ?? 0;
    const examplesOf = guard?.replays() === false ? ownOf : withReplayOf;
    const indices = examplesOf(options.step, rows);
    for (const index of indices) {
      const { example } = all[index]!;
      const isHeld = klWeight > 0 || (isSelf && index >= dataset.train.length);
      const hold = isHeld ? await holdOf(index, { held, targets, ownRows: dataset.train.length, isSelf }) : undefined;
      examples.push(hold === undefined ? { example } : { example, hold });
    }
    const step = await heldStep(net, state, examples, { ...options, microBatch: frozen.loop.microBatch, klWeight });
    return { ...step, rows: step.rows?.map((row) => ({ ...row, example: indices[row.example]! })) };
  };
}

async function holdOf(
  index: number,
  {
    held,
    targets,
    ownRows,
    isSelf,
  }: {
    readonly held: ReadonlyMap<number, Held>;
    readonly targets: StartTargets;
    readonly ownRows: number;
    readonly isSelf: boolean;
  },
): Promise<HeldExample['hold']> {
  const positions = held.get(index)?.positions;
  if (positions === undefined) return undefined;
  const isReplay = index >= ownRows;
  // What the model said itself has no labels: what its start predicts there stands in their place.
  const asLoss = isReplay && isSelf;
  return { kind: isReplay ? 'replay' : 'prompts', positions, targets: await targets(index), asLoss };
}

/** The examples that are held: prompts of the task, and all of what is replayed. */
function heldExamples(
  dataset: Pick<Dataset, 'train' | 'replay'>,
  which: { readonly prompts: boolean; readonly replay: boolean },
): Map<number, Held> {
  const held = new Map<number, Held>();
  for (const [index, { example }] of trainedExamples(dataset).entries()) {
    const isReplay = index >= dataset.train.length;
    if (isReplay ? !which.replay : !which.prompts) continue;
    const positions = isReplay ? allPositions(example) : promptPositions(example);
    if (positions.length > 0) held.set(index, { example, positions });
  }
  return held;
}

/** Whether a data set has anything that can be held: a prompt, or rows that are replayed. */
export function hasHeld({ train, replay }: Pick<Dataset, 'train' | 'replay'>): boolean {
  if (replay !== undefined) return true;
  return train.some(({ example }) => supervisedTokens(example) < example.ids.length - 1);
}
