import { buildMicroBatch, type MicroBatch, planMicroBatches } from '../data/index.ts';
import type { LoopOptions } from '../train/loop.ts';
import { type Network, weighedMicroStep } from '../train/network.ts';
import type { AlignedStep } from '../train/objective.ts';
import { clippedUpdate, type OptimizerState, reduce, type StepOptions, type StepSums } from '../train/step.ts';
import type { BatchFacts, Judged, RowRule } from './rules.ts';
import { type Answered, answerTokens, lossesByRow, type Scored, scoreOf } from './scored.ts';
import { batchFacts, gather } from './totals.ts';

/** The rows of a step. */
export interface StepBatch {
  /** Of a row those that belong together follow one another. */
  readonly answers: readonly Answered[];
  readonly together: 1 | 2;
  readonly rule: RowRule;
  /** Puts beside a score what the reference says; by the answer's index in this batch. */
  readonly judge: (index: number, scored: Scored) => Judged;
  /** See {@link BatchFacts.kl}. */
  readonly kl: number | undefined;
}

/**
 * One optimiser step on preferences. The answers of a row share a micro-batch: one forward pass gives their log-probabilities, from which the
 * derivative of the loss by each is computed in float64; that is what the backward pass of the very same values weighs their tokens with.
 *
 * @throws TRAIN_NOT_FINITE before anything is updated
 */
export async function preferenceStep(
  net: Network,
  state: OptimizerState,
  batch: StepBatch,
  options: StepOptions & { readonly microBatch: LoopOptions['microBatch'] },
): Promise<Omit<AlignedStep, 'warnings'>> {
  const { answers, together, kl } = batch;
  const examples = answers.map(({ example }) => example);
  const facts = { ...batchFacts(answers, together), kl: kl ?? 0 };
  const totals = gather({ kl });
  const plans = planMicroBatches(
    examples.map(({ ids }) => ids.length),
    { ...options.microBatch, together },
  );
  let sums: StepSums | undefined;
  let [tokens, realTokens] = [0, 0];
  for (const plan of plans) {
    const part = buildMicroBatch(examples, plan);
    const weigh = (nll: Float64Array) => {
      const { weights, answerTokens: count } = weighed(part, nll, batch, facts, totals);
      tokens += count;
      return weights;
    };
    sums = reduce(net, sums, await weighedMicroStep(net, part, options.step, weigh));
    realTokens += part.realTokens;
  }
  if (sums === undefined) throw new Error('internal: a step without micro-batches');
  const { loss, metrics } = totals.result();
  // The loss is a mean over rows already: nothing is left to be divided.
  const gradNorm = await clippedUpdate(net, state, { ...sums, tokens: 1 }, loss, options);
  return { loss, gradNorm, tokens, realTokens, metrics };
}

/** What the gradient of each token's -log p counts, and how many tokens belong to answers. */
function weighed(
  part: MicroBatch,
  nll: Float64Array,
  { answers, together, rule, judge }: StepBatch,
  facts: BatchFacts,
  totals: ReturnType<typeof gather>,
): { readonly weights: Float32Array; readonly answerTokens: number } {
  const found = [...lossesByRow(part, nll)];
  const weights = new Float32Array(nll.length);
  let count = 0;
  for (let at = 0; at < found.length; at += together) {
    const row = found.slice(at, at + together);
    const judged = row.map(({ row: index, nll: own }) => judge(index, scoreOf(answers[index]!, own)));
    const { slopes, ...result } = rule(judged, facts);
    totals.add({ slopes, ...result });
    for (const [i, { row: index, from }] of row.entries()) {
      const { answer, text } = slopes[i]!;
      for (const [token, isAnswer] of answerTokens(answers[index]!).entries()) {
        weights[from + token] = -(text + (isAnswer ? answer : 0));
        if (isAnswer) count++;
      }
    }
  }
  return { weights, answerTokens: count };
}
