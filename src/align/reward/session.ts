import { buildMicroBatch, type MicroBatch, planMicroBatches } from '../../data/index.ts';
import { classLogits } from '../../train/classify/predict.ts';
import type { RunContext } from '../../train/context.ts';
import type { TrainEvent } from '../../train/events.ts';
import type { RewardMethod } from '../../train/methods.ts';
import { type Network, weighedMicroStep } from '../../train/network.ts';
import type { AlignedSession, AlignedStep } from '../../train/objective.ts';
import { indicesByRow } from '../../train/pretrain/pretraining.ts';
import { clippedUpdate, type OptimizerState, reduce, type StepOptions, type StepSums } from '../../train/step.ts';
import type { Part, Parts } from '../open.ts';
import type { Answered } from '../scored.ts';
import { type RewardedRow, rewardFigures, rewardWarnings } from './figures.ts';
import { gatherRewards, rewardRule } from './rule.ts';

/** What a reward model is trained with. */
export interface RewardStart {
  readonly run: RunContext;
  readonly state: OptimizerState;
  readonly method: RewardMethod;
  readonly parts: Parts;
}

/** Sets a run to work on a reward model. */
export function beginRewardSession({ run, state, method, parts }: RewardStart): AlignedSession {
  const { net } = run;
  const indices = indicesByRow(parts.train.sizes);
  const evaluated = async (name: keyof Parts, kind: 'baseline' | 'evaluate' | 'report', signal: AbortSignal) => {
    const { answers, sizes } = parts[name];
    let done = 0;
    const tell = (count: number) => {
      done += count;
      run.onActivity({ kind, done, total: answers.length, unit: 'rows' });
    };
    tell(0);
    const rewards = await rewardsOf(net, answers, signal, tell);
    return indicesByRow(sizes).map(
      (row): RewardedRow => ({
        rewards: row.map((index) => rewards[index]!),
        lengths: row.map((index) => lengthOf(answers[index]!)),
      }),
    );
  };
  return {
    takeStep: (rows, options) =>
      rewardStep(
        net,
        state,
        rows.map((row) => ({
          answers: indices[row]!.map((i) => parts.train.answers[i]!),
          margin: parts.train.margins[row]!,
        })),
        {
          ...options,
          method,
          microBatch: run.frozen.loop.microBatch,
        },
      ),
    async evaluate(name, kind, signal) {
      const rows = await evaluated(name, kind, signal);
      const totals = gatherRewards();
      for (const [row, { rewards }] of rows.entries()) {
        totals.add(rewards, rewardRule(rewards, parts[name].margins[row]!, method));
      }
      return { ...totals.result(), tokens: tokensOf(parts[name]) };
    },
    async *finish(signal): AsyncGenerator<TrainEvent> {
      const figures = rewardFigures(await evaluated('report', 'report', signal));
      yield { type: 'reward', ...figures };
      yield* rewardWarnings(figures).map((warning) => ({ type: 'warning' as const, ...warning }));
    },
  };
}

/** The reward of each answer, in their order. */
export async function rewardsOf(
  net: Network,
  answers: readonly Pick<Answered, 'example'>[],
  signal?: AbortSignal,
  onRows: (count: number) => void = () => {},
): Promise<number[]> {
  const rewards: number[] = [];
  const examples = answers.map(({ example }) => example);
  for await (const [reward] of classLogits(net, examples, signal, onRows)) rewards.push(reward!);
  return rewards;
}

function lengthOf({ example, answerFrom }: Answered): number {
  return example.ids.length - answerFrom;
}

function tokensOf({ answers }: Part): number {
  return answers.reduce((n, answer) => n + lengthOf(answer), 0);
}

interface RankedAnswers {
  /** From the best to the worst. */
  readonly answers: readonly Answered[];
  readonly margin: number;
}

type RewardStepOptions = StepOptions & {
  readonly method: RewardMethod;
  readonly microBatch: RunContext['frozen']['loop']['microBatch'];
};

/** One optimiser step. The answers of a row share a micro-batch, since the loss is of all of them. @throws TRAIN_NOT_FINITE before anything is updated */
async function rewardStep(
  net: Network,
  state: OptimizerState,
  rows: readonly RankedAnswers[],
  options: RewardStepOptions,
): Promise<AlignedStep> {
  const answers = rows.flatMap((row) => row.answers);
  const examples = answers.map(({ example }) => example);
  const together = rows.map((row) => row.answers.length);
  const rowOf = rows.flatMap((row) => row.answers.map(() => row));
  const totals = gatherRewards();
  const plans = planMicroBatches(
    examples.map(({ ids }) => ids.length),
    { ...options.microBatch, together },
  );
  const weigh = (part: MicroBatch) => (rewards: Float64Array) => {
    const weights = new Float32Array(rewards.length);
    for (let at = 0; at < part.spans.length; ) {
      const { answers: own, margin } = rowOf[part.spans[at]!.row]!;
      const given = [...rewards.subarray(at, at + own.length)];
      const row = rewardRule(given, margin, options.method);
      totals.add(given, row);
      for (const [i, slope] of row.slopes.entries()) weights[at + i] = slope / rows.length;
      at += own.length;
    }
    return weights;
  };
  let sums: StepSums | undefined;
  let realTokens = 0;
  for (const plan of plans) {
    const part = buildMicroBatch(examples, plan);
    sums = reduce(net, sums, await weighedMicroStep(net, part, options.step, weigh(part)));
    realTokens += part.realTokens;
  }
  if (sums === undefined) throw new Error('internal: a step without micro-batches');
  const { loss, metrics } = totals.result();
  const gradNorm = await clippedUpdate(net, state, { ...sums, tokens: 1 }, loss, options);
  return { loss, gradNorm, tokens: answers.length, realTokens, metrics, warnings: [] };
}
