import { TunesmithError } from '../../errors/index.ts';
import type { RunConfig } from '../config.ts';

/** How much may be forgotten, of what is measured of the start. */
export interface Budget {
  /** Rise of the loss on general text, in nats a token: ln(1.03) for 3 % of perplexity. */
  readonly generalText?: number | undefined;
  /** Fall of the accuracy on the probes, as a share: 0.02 for 2 points. */
  readonly suite?: number | undefined;
}

/** The budget of a run; undefined where it has none. */
export function budgetOf({ forget = {} }: Partial<Pick<RunConfig, 'forget'>>): Budget | undefined {
  const { generalText, suite } = forget;
  if (generalText === undefined && suite === undefined) return undefined;
  return {
    generalText: generalText === undefined ? undefined : Math.log1p(Number.parseFloat(generalText) / 100),
    suite: suite === undefined ? undefined : suite / 100,
  };
}

/** What was measured of general ability. */
export interface Ability {
  /** Mean loss on general text, nats a token. */
  readonly generalText: number;
  /** Accuracy on the probes, where the budget is about them. */
  readonly suite?: number | undefined;
}

/** How much of a budget is used up: 1 is all of it. */
export function shareUsed(budget: Budget, start: Ability, now: Ability): number {
  const shares: number[] = [];
  if (budget.generalText !== undefined) shares.push((now.generalText - start.generalText) / budget.generalText);
  if (budget.suite !== undefined && start.suite !== undefined && now.suite !== undefined) {
    shares.push((start.suite - now.suite) / budget.suite);
  }
  return Math.max(...shares);
}

/** What the trainer does when a budget is threatened, in this order. */
export type Act = 'replay' | 'kl' | 'rate' | 'stop';

/** Share of a budget from which the trainer acts, and from which it goes beyond replay and penalty. */
const THREATENED = 0.5;
const SPENT = 1;
/** Share of what was used at the last look below which an act is given time. */
const FALLING = 0.9;
/** Times that the rate is halved before training stops. */
const HALVINGS = 3;

/**
 * What to do next, unless forgetting falls by itself. From half of the budget on replay, and then the penalty; once the budget is spent both at once, and when
 * both are there the rate is halved, three times, and then training stops.
 *
 * @param done what was done already, what was on from the start included
 * @param last share that was used at the last look
 */
export function nextActs(used: number, last: number | undefined, done: readonly Act[]): Act[] {
  if (used < THREATENED || (last !== undefined && used < FALLING * last)) return [];
  const missing = (['replay', 'kl'] as const).filter((act) => !done.includes(act));
  if (used < SPENT) return missing.slice(0, 1);
  if (missing.length > 0) return missing;
  return [done.filter((act) => act === 'rate').length < HALVINGS ? 'rate' : 'stop'];
}

/**
 * Whether the trainer looks after a step between evaluations: after 1, 2, 4, 8, ... steps, for a rate that is far too high spends a budget before the first
 * evaluation.
 */
export function isLook(step: number): boolean {
  return (step & (step - 1)) === 0;
}

const conflict = (message: string, fix: string) => new TunesmithError('CLI_OPTION_CONFLICT', { message, fix });

const flagOf = ({ forget }: RunConfig) =>
  forget.generalText === undefined ? '--forget-suite' : '--forget-general-text';

/**
 * Refuses a budget that a method does not keep.
 *
 * @throws CLI_OPTION_CONFLICT
 */
export function requireBudgeted(config: RunConfig): void {
  if (budgetOf(config) === undefined) return;
  const { method } = config;
  const flag = flagOf(config);
  if (method.kind !== 'sft' && method.kind !== 'pretrain') {
    throw conflict(
      `${flag} has no effect on --method ${method.kind}: only sft and pretrain keep a budget.`,
      `leave ${flag} out`,
    );
  }
  if (method.kind === 'pretrain' && method.fromScratch !== undefined) {
    throw conflict(
      `${flag} has no place beside --from-scratch: a new model has nothing to forget.`,
      `leave ${flag} out`,
    );
  }
}

/**
 * Refuses a budget where nothing can choose.
 *
 * @throws CLI_OPTION_CONFLICT
 */
export function requireChoice(config: RunConfig, hasValidation: boolean): void {
  if (budgetOf(config) === undefined || hasValidation) return;
  const flag = flagOf(config);
  throw conflict(
    `${flag} needs validation rows, on which the best model within the budget is chosen.`,
    `give --valid FILE|FRACTION or leave ${flag} out`,
  );
}
