import { supervisedTokens } from '../../text/example.ts';
import type { RunContext } from '../context.ts';
import type { Dataset } from '../dataset.ts';
import type { AlignedSession } from '../objective.ts';
import { stepExamples, trainedExamples } from '../pretrain/pretraining.ts';
import type { OptimizerState } from '../step.ts';
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
  signal: AbortSignal,
): Promise<HeldSteps | undefined> {
  const klWeight = klWeightOf(run);
  if (klWeight === undefined) return undefined;
  const { net, dataset, frozen } = run;
  const held = heldExamples(dataset);
  const tell = (done: number, total: number) => run.onActivity({ kind: 'reference', done, total, unit: 'rows' });
  const targets = await startTargets(run, held, tell, signal);
  const examplesOf = stepExamples(dataset, frozen.loop.order);
  const all = trainedExamples(dataset);
  return async (rows, options) => {
    const examples: HeldExample[] = [];
    for (const index of examplesOf(options.step, rows)) {
      const { example } = all[index]!;
      const hold = await holdOf(index, held, targets, dataset.train.length);
      examples.push(hold === undefined ? { example } : { example, hold });
    }
    return heldStep(net, state, examples, { ...options, microBatch: frozen.loop.microBatch, klWeight });
  };
}

async function holdOf(
  index: number,
  held: ReadonlyMap<number, Held>,
  targets: StartTargets,
  ownRows: number,
): Promise<HeldExample['hold']> {
  const positions = held.get(index)?.positions;
  if (positions === undefined) return undefined;
  return { kind: index < ownRows ? 'prompts' : 'replay', positions, targets: await targets(index), asLoss: false };
}

/** The examples that are held: prompts of the task, and all of what is replayed. */
function heldExamples(dataset: Pick<Dataset, 'train' | 'replay'>): Map<number, Held> {
  const held = new Map<number, Held>();
  for (const [index, { example }] of trainedExamples(dataset).entries()) {
    const positions = index < dataset.train.length ? promptPositions(example) : allPositions(example);
    if (positions.length > 0) held.set(index, { example, positions });
  }
  return held;
}

/** Whether a data set has anything that can be held: a prompt, or rows that are replayed. */
export function hasHeld({ train, replay }: Pick<Dataset, 'train' | 'replay'>): boolean {
  if (replay !== undefined) return true;
  return train.some(({ example }) => supervisedTokens(example) < example.ids.length - 1);
}
