import type { Evaluated } from '../loop.ts';
import { type Ability, shareUsed } from './budget.ts';
import type { Guard } from './guard.ts';

/** An evaluation, and beside it what was forgotten: `forget/loss`, `forget/suite`, and `forget/used`, the share of the budget. */
export async function guarded(
  guard: Guard | undefined,
  signal: AbortSignal,
  evaluate: () => Promise<Evaluated>,
): Promise<Evaluated> {
  const result = await evaluate();
  if (guard === undefined) return result;
  const ability = await guard.measure(signal);
  const metrics = {
    ...result.metrics,
    'forget/loss': ability.generalText,
    ...(ability.suite === undefined ? {} : { 'forget/suite': ability.suite }),
    'forget/used': shareUsed(guard.budget, guard.state().start, ability),
  };
  return { ...result, metrics };
}

/** What {@link guarded} measured. */
export function abilityOf(metrics: Readonly<Record<string, number>>): Ability {
  const [generalText, suite] = [metrics['forget/loss'], metrics['forget/suite']];
  if (generalText === undefined) throw new Error('internal: an evaluation without general text');
  return { generalText, ...(suite === undefined ? {} : { suite }) };
}
