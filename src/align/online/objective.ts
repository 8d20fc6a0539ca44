import type { GrpoMethod, OnlineMethod } from '../../train/methods.ts';

/** An answer that was drawn, and what is known of its tokens: log-probabilities in nats. */
export interface DrawnAnswer {
  readonly logps: Float64Array;
  /** Under the model that drew it. */
  readonly old: Float64Array;
  /** Under the model as the run starts, where the distance from it counts. */
  readonly reference?: Float64Array | undefined;
  readonly advantage: number;
}

/** What holds for a whole batch. */
export interface DrawnFacts {
  readonly answers: number;
  /** Tokens of all answers that are learned from. */
  readonly tokens: number;
}

/** What one answer adds to the loss of its batch. */
export interface PolicyLoss {
  readonly loss: number;
  /** Derivatives by the log-probability of each token. */
  readonly slopes: Float64Array;
  /** Of tokens (rloo, and ratios of whole answers: of answers) that are held back, downwards and upwards. */
  readonly clippedLow: number;
  readonly clippedHigh: number;
  /** Sum over the tokens of the estimate of the distance from the start. */
  readonly kl: number;
}

/** What a group's answers are worth against one another. Keeps a constant group at 0: 1e-4 is added to the deviation, as in TRL. */
const EPSILON = 1e-4;

/**
 * Advantages of answers, group after group. GRPO (Shao et al. 2024, arXiv:2402.03300): less the mean of the group, by its standard deviation (or that of the
 * batch; or as it is, Liu et al. 2025, arXiv:2503.20783). RLOO (Ahmadian et al. 2024, arXiv:2402.14740): less the mean of the others.
 */
export function advantages(rewards: readonly number[], { kind, group, scaleRewards }: OnlineMethod): number[] {
  const groups = Array.from({ length: rewards.length / group }, (_, g) => rewards.slice(g * group, (g + 1) * group));
  if (kind === 'rloo') {
    const plain = groups.flatMap((own) => {
      const total = own.reduce((a, b) => a + b, 0);
      return own.map((reward) => reward - (total - reward) / (group - 1));
    });
    if (scaleRewards === 'none') return plain;
    const [mean, deviation] = spread(plain);
    return plain.map((advantage) => (advantage - mean) / (deviation + EPSILON));
  }
  const [, ofBatch] = spread(rewards);
  return groups.flatMap((own) => {
    const [mean, ofGroup] = spread(own);
    const scale = scaleRewards === 'none' ? 1 : (scaleRewards === 'group' ? ofGroup : ofBatch) + EPSILON;
    return own.map((reward) => (reward - mean) / scale);
  });
}

/** Mean and sample standard deviation. */
export function spread(values: readonly number[]): readonly [mean: number, deviation: number] {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  if (values.length < 2) return [mean, 0];
  return [mean, Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (values.length - 1))];
}

/**
 * The clipped loss of an answer (Schulman et al. 2017, arXiv:1707.06347): ratios of tokens (GRPO), of whole answers to the power of 1 / length (GSPO, Zheng et
 * al. 2025, arXiv:2507.18071), or of whole answers (RLOO); with bounds of their own upwards (DAPO, Yu et al. 2025, arXiv:2503.14476); or weights that are
 * capped in place of clipping (CISPO, MiniMax 2025, arXiv:2506.13585). GRPO's distance from the start is estimated by exp(d) - d - 1
 * (Schulman 2020, joschu.net/blog/kl-approx.html).
 */
export function policyLoss(method: OnlineMethod, answer: DrawnAnswer, facts: DrawnFacts): PolicyLoss {
  const whole = method.kind === 'rloo' || method.importance === 'sequence';
  const { loss, slopes, clippedLow, clippedHigh } = (whole ? ofAnswer : ofTokens)(method, answer, facts);
  let [total, kl] = [loss, 0];
  if (method.kind === 'grpo' && method.beta > 0 && answer.reference !== undefined) {
    const share = method.beta * shareOf(method, answer.logps.length, facts);
    for (const [t, logp] of answer.logps.entries()) {
      const gap = answer.reference[t]! - logp;
      kl += Math.exp(gap) - gap - 1;
      slopes[t]! += share * (1 - Math.exp(gap));
    }
    total += share * kl;
  }
  return { loss: total, slopes, clippedLow, clippedHigh, kl };
}

/** What each token of an answer counts. Our batch is never cut into parts that are averaged, so that bnpo and dapo are one. */
function shareOf({ loss, maxTokens }: GrpoMethod, length: number, { answers, tokens }: DrawnFacts): number {
  if (loss === 'grpo') return 1 / (Math.max(1, length) * answers);
  if (loss === 'dr_grpo') return 1 / (answers * maxTokens);
  return 1 / Math.max(1, tokens);
}

type Clipped = Omit<PolicyLoss, 'kl'>;

interface Surrogate {
  readonly value: number;
  /** Derivative by the logarithm of the ratio. */
  readonly slope: number;
  readonly low: number;
  readonly high: number;
}

function boundsOf({ epsilon, epsilonHigh = epsilon }: OnlineMethod) {
  return [1 - epsilon, 1 + epsilonHigh] as const;
}

/** -min(ratio A, clip(ratio) A). */
function surrogate(method: OnlineMethod, logRatio: number, advantage: number): Surrogate {
  const [least, most] = boundsOf(method);
  const ratio = Math.exp(logRatio);
  const free = ratio * advantage;
  const clipped = Math.min(most, Math.max(least, ratio)) * advantage;
  return {
    value: -Math.min(free, clipped),
    slope: free <= clipped ? -free : 0,
    low: ratio < least && advantage < 0 ? 1 : 0,
    high: ratio > most && advantage > 0 ? 1 : 0,
  };
}

/** Largest weight of CISPO where none is set. */
const CAP = 5;

function ofTokens(method: OnlineMethod, { logps, old, advantage }: DrawnAnswer, facts: DrawnFacts): Clipped {
  if (method.kind !== 'grpo') throw new Error('internal: ratios of tokens are of grpo');
  const share = shareOf(method, logps.length, facts);
  const slopes = new Float64Array(logps.length);
  let [loss, clippedLow, clippedHigh] = [0, 0, 0];
  for (const [t, logp] of logps.entries()) {
    const change = logp - old[t]!;
    if (method.loss === 'cispo') {
      const cap = method.epsilonHigh ?? CAP;
      const weight = Math.min(cap, Math.exp(change)) * advantage;
      loss -= share * weight * logp;
      slopes[t] = -share * weight;
      if (Math.exp(change) > cap && advantage > 0) clippedHigh++;
      continue;
    }
    const { value, slope, low, high } = surrogate(method, change, advantage);
    loss += share * value;
    slopes[t] = share * slope;
    clippedLow += low;
    clippedHigh += high;
  }
  return { loss, slopes, clippedLow, clippedHigh };
}

function ofAnswer(method: OnlineMethod, { logps, old, advantage }: DrawnAnswer, facts: DrawnFacts): Clipped {
  const length = Math.max(1, logps.length);
  const change = logps.reduce((sum, logp, t) => sum + logp - old[t]!, 0);
  const isMean = method.kind === 'grpo';
  const { value, slope, low, high } = surrogate(method, isMean ? change / length : change, advantage);
  const share = isMean ? shareOf(method, logps.length, facts) * logps.length : 1 / facts.answers;
  const slopes = new Float64Array(logps.length).fill((share * slope) / (isMean ? length : 1));
  return { loss: share * value, slopes, clippedLow: low, clippedHigh: high };
}
