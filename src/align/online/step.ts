import { buildMicroBatch, type MicroBatch, planMicroBatches, targetsByRow } from '../../data/index.ts';
import type { Example } from '../../text/example.ts';
import type { LoopOptions } from '../../train/loop.ts';
import type { OnlineMethod } from '../../train/methods.ts';
import { forwardLoss, type Network, readLosses, weighedMicroStep } from '../../train/network.ts';
import { clippedUpdate, type OptimizerState, reduce, type StepOptions, type StepSums } from '../../train/step.ts';
import { type DrawnFacts, policyLoss } from './objective.ts';

/** An answer of a step, after its prompt. */
export interface StepAnswer {
  readonly example: Example;
  readonly advantage: number;
  /** Log-probabilities of its tokens under the model that drew it; undefined where that is the model as it stands. */
  readonly old: Float64Array | undefined;
  readonly reference: Float64Array | undefined;
}

/** What came of an update. */
export interface PolicyUpdate {
  readonly loss: number;
  readonly gradNorm: number;
  readonly realTokens: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** Log-probabilities of each answer's tokens before the update. */
  readonly logps: readonly Float64Array[];
}

/**
 * One update on drawn answers.
 *
 * @param facts of the whole batch, of which answers that teach nothing may be left out
 * @throws TRAIN_NOT_FINITE before anything is updated
 */
export async function policyStep(
  net: Network,
  state: OptimizerState,
  answers: readonly StepAnswer[],
  facts: DrawnFacts,
  options: StepOptions & { readonly method: OnlineMethod; readonly microBatch: LoopOptions['microBatch'] },
): Promise<PolicyUpdate> {
  const { method } = options;
  const examples = answers.map(({ example }) => example);
  const logps = new Array<Float64Array>(answers.length);
  const totals = { loss: 0, low: 0, high: 0, kl: 0, surprise: 0, tokens: 0 };
  const weigh = (part: MicroBatch) => (nll: Float64Array) => {
    const weights = new Float32Array(nll.length);
    for (const { row, from, to } of targetsByRow(part)) {
      const answer = answers[row]!;
      const own = nll.slice(from, to).map((x) => -x);
      logps[row] = own;
      const drawn = { logps: own, old: answer.old ?? own, reference: answer.reference, advantage: answer.advantage };
      const { loss, slopes, clippedLow, clippedHigh, kl } = policyLoss(method, drawn, facts);
      totals.loss += loss;
      totals.low += clippedLow;
      totals.high += clippedHigh;
      totals.kl += kl;
      totals.surprise -= own.reduce((a, b) => a + b, 0);
      totals.tokens += own.length;
      for (const [t, slope] of slopes.entries()) weights[from + t] = -slope;
    }
    return weights;
  };
  let sums: StepSums | undefined;
  let realTokens = 0;
  for (const plan of planMicroBatches(
    examples.map(({ ids }) => ids.length),
    options.microBatch,
  )) {
    const part = buildMicroBatch(examples, plan);
    sums = reduce(net, sums, await weighedMicroStep(net, part, options.step, weigh(part)));
    realTokens += part.realTokens;
  }
  if (sums === undefined) throw new Error('internal: a step without micro-batches');
  // The loss has its shares already: nothing is left to be divided.
  const gradNorm = await clippedUpdate(net, state, { ...sums, tokens: 1 }, totals.loss, options);
  const whole = method.kind === 'rloo' || method.importance === 'sequence';
  const counted = whole ? answers.length : totals.tokens;
  const clipped = { low: totals.low / counted, high: totals.high / counted };
  const metrics = {
    // The mean of -log p over what was drawn, an unbiased estimate of the entropy at the temperature of the draws.
    entropy: totals.surprise / totals.tokens,
    'clip_ratio/low_mean': clipped.low,
    'clip_ratio/high_mean': clipped.high,
    'clip_ratio/region_mean': clipped.low + clipped.high,
    ...(method.kind === 'grpo' && method.beta > 0 ? { kl: totals.kl / totals.tokens } : {}),
  };
  return { loss: totals.loss, gradNorm, realTokens, metrics, logps };
}

/** Examples whose micro-batches are in flight at once. */
const GROUP = 64;

/** Log-probabilities of the labelled tokens of each example, in nats, without noise or dropout. */
export async function tokenLogps(net: Network, examples: readonly Example[]): Promise<Float64Array[]> {
  const found: Float64Array[] = [];
  for (let at = 0; at < examples.length; at += GROUP) {
    const group = examples.slice(at, at + GROUP);
    const own = new Array<Float64Array>(group.length);
    const plans = planMicroBatches(
      group.map(({ ids }) => ids.length),
      { pack: true, share: true },
    );
    await Promise.all(
      plans.map(async (plan) => {
        const part = buildMicroBatch(group, plan);
        const nll = await readLosses(net.engine, forwardLoss(net, part), part.lossTokens);
        for (const { row, from, to } of targetsByRow(part)) own[row] = nll.slice(from, to).map((x) => -x);
      }),
    );
    found.push(...own);
  }
  return found;
}
