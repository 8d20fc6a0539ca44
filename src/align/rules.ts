import type { CpoMethod, DpoMethod, KtoMethod, Method, OrpoMethod, SimpoMethod } from '../train/methods.ts';
import { CPO_LOSSES, DPO_LOSSES, oddsRatio, PER_TOKEN, simpoLoss, UNPAIRED_LOSSES } from './losses.ts';
import type { Scored } from './scored.ts';

/** Methods that learn from ranked or marked answers. */
export type PreferenceMethod = DpoMethod | KtoMethod | OrpoMethod | CpoMethod | SimpoMethod;

/** An answer, what the model makes of it now, and what the reference made of it. */
export interface Judged extends Scored {
  /** Log-probability under the reference; 0 where there is none. */
  readonly reference: number;
  /** Of answers that are marked by themselves. */
  readonly isGood?: boolean | undefined;
}

/** What holds for a whole batch. */
export interface BatchFacts {
  readonly rows: number;
  /** Tokens of the chosen texts that have a label. */
  readonly chosenTokens: number;
  /** How far the model has gone from the reference on answers that belong elsewhere, not below 0; kto only. */
  readonly kl: number;
}

/** Part of a loss by one answer: its derivatives by log-probabilities. */
export interface Slope {
  readonly answer: number;
  /** By that of everything with a label. */
  readonly text: number;
}

/** What one row adds to the loss of its batch. */
export interface RowLoss {
  readonly loss: number;
  /** For each answer of the row. */
  readonly slopes: readonly Slope[];
  /** Under TRL's names, to be averaged over the rows that have them. */
  readonly means: Readonly<Record<string, number>>;
  /** To be added up. */
  readonly sums: Readonly<Record<string, number>>;
}

/** The loss of a row, as its share of the batch's. */
export type RowRule = (answers: readonly Judged[], facts: BatchFacts) => RowLoss;

/** Whether a method compares with the model as it was at the start. */
export function hasReference({ kind }: Pick<Method, 'kind'>): boolean {
  return kind === 'dpo' || kind === 'kto';
}

/** The rule of a method. */
export function rowRule(method: PreferenceMethod): RowRule {
  switch (method.kind) {
    case 'dpo':
      return dpo(method);
    case 'kto':
      return kto(method);
    case 'orpo':
      return orpo(method);
    case 'cpo':
    case 'simpo':
      return cpo(method);
    default:
      return method satisfies never;
  }
}

/** The relative difference of log-probabilities that rounding makes: such a pair is not yet told apart. */
const ROUNDING = 1e-6;

interface PairFigures {
  readonly rewards: readonly [chosen: number, rejected: number];
  readonly logps: readonly [chosen: number, rejected: number];
}

function pairMetrics({ rewards: [chosen, rejected], logps }: PairFigures, scale: number): Record<string, number> {
  return {
    'rewards/chosen': chosen,
    'rewards/rejected': rejected,
    'rewards/accuracies': chosen - rejected > ROUNDING * scale ? 1 : 0,
    'rewards/margins': chosen - rejected,
    'logps/chosen': logps[0],
    'logps/rejected': logps[1],
  };
}

/** Rewards are compared at the size of what they are the difference of. */
function scaleOf(beta: number, [chosen, rejected]: readonly Judged[]): number {
  return beta * (Math.abs(chosen!.logp) + Math.abs(rejected!.logp));
}

function dpo({ loss, beta, labelSmoothing, rpoAlpha = 0 }: DpoMethod): RowRule {
  const smoothing = labelSmoothing ?? (loss === 'exo_pair' ? 1e-3 : 0);
  return (answers, { rows, chosenTokens }) => {
    const [chosen, rejected] = answers as readonly [Judged, Judged];
    const gains = [chosen.logp - chosen.reference, rejected.logp - rejected.reference] as const;
    const perToken = PER_TOKEN.has(loss);
    const [nc, nr] = perToken ? [chosen.tokens, rejected.tokens] : [1, 1];
    const [value, dc, dr] = DPO_LOSSES[loss](gains[0] / nc, gains[1] / nr, { beta, smoothing });
    // The chosen answers are learned as well (Pang et al. 2024, arXiv:2404.19733).
    const learned = rpoAlpha / chosenTokens;
    const figures: PairFigures = {
      rewards: [beta * gains[0], beta * gains[1]],
      logps: [chosen.logp, rejected.logp],
    };
    return {
      loss: value / rows - learned * chosen.textLogp,
      slopes: [
        { answer: dc / nc / rows, text: -learned },
        { answer: dr / nr / rows, text: 0 },
      ],
      means: pairMetrics(figures, scaleOf(beta, answers)),
      sums: rpoAlpha === 0 ? {} : { nll_loss: -chosen.textLogp / chosenTokens },
    };
  };
}

function kto({ loss, beta }: KtoMethod): RowRule {
  return ([answer], { rows, kl }) => {
    const { logp, reference, isGood = false } = answer!;
    const gain = logp - reference;
    const [value, slope] = UNPAIRED_LOSSES[loss](gain, isGood, { beta, kl });
    const kind = isGood ? 'chosen' : 'rejected';
    return {
      loss: value / rows,
      slopes: [{ answer: slope / rows, text: 0 }],
      means: { [`rewards/${kind}`]: beta * gain, [`logps/${kind}`]: logp },
      sums: {},
    };
  };
}

function orpo({ beta }: OrpoMethod): RowRule {
  return (answers, { rows, chosenTokens }) => {
    const [chosen, rejected] = answers as readonly [Judged, Judged];
    const [c, r] = [chosen.logp / chosen.tokens, rejected.logp / rejected.tokens];
    const { ratio, logOdds, dc, dr } = oddsRatio(c, r);
    const nll = -chosen.textLogp / chosenTokens;
    return {
      loss: nll - (beta * ratio) / rows,
      slopes: [
        { answer: (-beta * dc) / chosen.tokens / rows, text: -1 / chosenTokens },
        { answer: (-beta * dr) / rejected.tokens / rows, text: 0 },
      ],
      means: {
        ...pairMetrics({ rewards: [beta * c, beta * r], logps: [c, r] }, 0),
        log_odds_ratio: ratio,
        log_odds_chosen: logOdds,
      },
      sums: { nll_loss: nll },
    };
  };
}

function cpo(method: CpoMethod | SimpoMethod): RowRule {
  const { beta, cpoAlpha, labelSmoothing: smoothing = 0 } = method;
  const perToken = method.kind === 'simpo' || method.loss === 'ipo';
  return (answers, { rows, chosenTokens }) => {
    const [chosen, rejected] = answers as readonly [Judged, Judged];
    const [nc, nr] = perToken ? [chosen.tokens, rejected.tokens] : [1, 1];
    const [c, r] = [chosen.logp / nc, rejected.logp / nr];
    const terms = { beta, smoothing };
    const [value, dc, dr] =
      method.kind === 'simpo'
        ? simpoLoss(c, r, { ...terms, gamma: method.gamma })
        : CPO_LOSSES[method.loss](c, r, terms);
    const learned = cpoAlpha / chosenTokens;
    const nll = cpoAlpha === 0 ? 0 : -chosen.textLogp / chosenTokens;
    return {
      loss: value / rows + cpoAlpha * nll,
      slopes: [
        { answer: dc / nc / rows, text: -learned },
        { answer: dr / nr / rows, text: 0 },
      ],
      means: pairMetrics({ rewards: [beta * c, beta * r], logps: [c, r] }, 0),
      sums: { nll_loss: nll },
    };
  };
}
