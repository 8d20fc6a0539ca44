import type { CpoMethod, DpoMethod, KtoMethod } from '../train/methods.ts';

/** 1 / (1 + e^-z). */
export function sigmoid(z: number): number {
  return z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z));
}

/** log sigmoid(z), which never overflows. */
export function logSigmoid(z: number): number {
  return Math.min(z, 0) - Math.log1p(Math.exp(-Math.abs(z)));
}

/** What a loss of a pair is computed from. */
export interface PairTerms {
  readonly beta: number;
  /** Share of pairs taken to be ranked the wrong way round. */
  readonly smoothing: number;
}

/**
 * The loss of a pair and its derivatives by what both answers gained over the reference.
 *
 * @param c log-probability of the chosen answer less the reference's
 * @param r that of the rejected one
 */
type PairLoss = (c: number, r: number, terms: PairTerms) => readonly [value: number, dc: number, dr: number];

/** A loss of beta times the margin between the two. */
function ofMargin(f: (z: number, terms: PairTerms) => readonly [value: number, slope: number]): PairLoss {
  return (c, r, terms) => {
    const [value, slope] = f(terms.beta * (c - r), terms);
    return [value, terms.beta * slope, -terms.beta * slope];
  };
}

const [S, L] = [sigmoid, logSigmoid];
const square = (x: number) => x * x;

const smoothed = ofMargin((z, { smoothing: e }) => [-(1 - e) * L(z) - e * L(-z), -(1 - e) * S(-z) + e * S(z)]);
const hinge = ofMargin((z) => [Math.max(0, 1 - z), z < 1 ? -1 : 0]);
/** In terms of the margin itself: (m - 1 / (2 beta))^2. */
const squared: PairLoss = (c, r, { beta }) => {
  const gap = c - r - 1 / (2 * beta);
  return [gap * gap, 2 * gap, -2 * gap];
};

/**
 * Losses of pairs against a reference: sigmoid (Rafailov et al. 2023, arXiv:2305.18290), smoothed and robust (Chowdhury et al. 2024, arXiv:2403.00409),
 * hinge (Zhao et al. 2023, arXiv:2305.10425), ipo (Azar et al. 2023, arXiv:2310.12036), exo_pair (Ji et al. 2024, arXiv:2402.00856),
 * nca_pair (Chen et al. 2024, arXiv:2402.05369), sppo_hard (Wu et al. 2024, arXiv:2405.00675), apo_zero and apo_down (D'Oosterlinck et al. 2024, arXiv:2408.06266).
 */
export const DPO_LOSSES: Readonly<Record<DpoMethod['loss'], PairLoss>> = {
  sigmoid: smoothed,
  hinge,
  ipo: squared,
  robust: ofMargin((z, { smoothing: e }) => [
    (e * L(-z) - (1 - e) * L(z)) / (1 - 2 * e),
    (-e * S(z) - (1 - e) * S(-z)) / (1 - 2 * e),
  ]),
  exo_pair: ofMargin((z, { smoothing: e }) => [
    S(z) * (L(z) - Math.log1p(-e)) + S(-z) * (L(-z) - Math.log(e)),
    S(z) * S(-z) * (z + Math.log(e) - Math.log1p(-e)),
  ]),
  nca_pair: (c, r, { beta: b }) => [
    -L(b * c) - 0.5 * L(-b * c) - 0.5 * L(-b * r),
    b * (-S(-b * c) + 0.5 * S(b * c)),
    b * 0.5 * S(b * r),
  ],
  sppo_hard: (c, r, { beta: b }) => [square(c - 0.5 / b) + square(r + 0.5 / b), 2 * (c - 0.5 / b), 2 * (r + 0.5 / b)],
  apo_zero: (c, r, { beta: b }) => [1 - S(b * c) + S(b * r), -b * S(b * c) * S(-b * c), b * S(b * r) * S(-b * r)],
  apo_down: (c, r, { beta: b }) => {
    const [own, margin] = [b * S(b * c) * S(-b * c), b * S(b * (c - r)) * S(-b * (c - r))];
    return [S(b * c) + 1 - S(b * (c - r)), own - margin, margin];
  },
  sigmoid_norm: smoothed,
};

/** Losses of DPO that take log-probabilities per token. */
export const PER_TOKEN: ReadonlySet<DpoMethod['loss']> = new Set<DpoMethod['loss']>(['ipo', 'sigmoid_norm']);

/** Losses of pairs without a reference: CPO (Xu et al. 2024, arXiv:2401.08417). */
export const CPO_LOSSES: Readonly<Record<CpoMethod['loss'], PairLoss>> = { sigmoid: smoothed, hinge, ipo: squared };

/** SimPO (Meng et al. 2024, arXiv:2405.14734): -log sigmoid(beta (c - r) - gamma), of log-probabilities per token. */
export function simpoLoss(c: number, r: number, terms: PairTerms & { readonly gamma: number }) {
  return smoothed(c - terms.gamma / terms.beta, r, terms);
}

/** What ORPO's odds come to. */
export interface OddsLoss {
  /** log sigmoid of the log-odds ratio. */
  readonly ratio: number;
  readonly logOdds: number;
  /** Derivatives of the ratio. */
  readonly dc: number;
  readonly dr: number;
}

/** log sigmoid of log odds(chosen) - log odds(rejected), from log-probabilities per token (Hong et al. 2024, arXiv:2403.07691). */
export function oddsRatio(c: number, r: number): OddsLoss {
  // log(1 - e^x), and the derivative of x - log(1 - e^x), which is 1 / (1 - e^x).
  const rest = (x: number) => Math.log(-Math.expm1(x));
  const logOdds = c - r - (rest(c) - rest(r));
  const slope = sigmoid(-logOdds);
  return { ratio: logSigmoid(logOdds), logOdds, dc: slope / -Math.expm1(c), dr: -slope / -Math.expm1(r) };
}

/**
 * Losses of single answers, from what an answer gained over the reference: KTO (Ethayarajh et al. 2024, arXiv:2402.01306), measured against how far the
 * model has gone on the whole (`kl`, which no gradient flows through), and apo_zero_unpaired.
 */
export const UNPAIRED_LOSSES: Readonly<
  Record<
    KtoMethod['loss'],
    (gain: number, isGood: boolean, terms: { readonly beta: number; readonly kl: number }) => readonly [number, number]
  >
> = {
  kto: (gain, isGood, { beta, kl }) => rise(isGood ? beta * (gain - kl) : beta * (kl - gain), isGood ? beta : -beta),
  apo_zero_unpaired: (gain, isGood, { beta }) => rise(isGood ? beta * gain : -beta * gain, isGood ? beta : -beta),
};

/** 1 - sigmoid(z), for a z that grows at this rate. */
function rise(z: number, rate: number): readonly [number, number] {
  return [S(-z), -rate * S(z) * S(-z)];
}
