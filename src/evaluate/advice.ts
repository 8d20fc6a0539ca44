import type { Comparison } from './compare.ts';

/** The outcome in one sentence: `Learned: held-out rows. Forgotten: nothing that 1,062 items could show.` */
export function headline(comparisons: readonly Comparison[]): string {
  const names = (verdict: Comparison['verdict'], role: Comparison['role']) =>
    comparisons.filter((one) => one.verdict === verdict && one.role === role).map(({ task }) => task);
  const general = comparisons.filter(({ role, task }) => role === 'general' && task !== POOLED);
  const items = general.reduce((n, one) => n + one.items, 0);
  const [gained, lost] = [names('gained', 'target'), names('lost', 'general')];
  const hasTarget = comparisons.some(({ role }) => role === 'target');
  const learned = gained.length > 0 ? `${gained.join(', ')}.` : 'nothing that these rows could show.';
  const forgotten =
    lost.length > 0 ? `${lost.join(', ')}.` : `nothing that ${items.toLocaleString('en-US')} items could show.`;
  return [
    ...(hasTarget ? [`Learned: ${learned}`] : []),
    ...(general.length > 0 ? [`Forgotten: ${forgotten}`] : []),
  ].join(' ');
}

/** The name of all skills together. */
export const POOLED = 'all skills';

/** Rows below which an unsure outcome is a matter of their number. */
const FEW = 200;

/**
 * What to do next, in sentences, by what was learned and what was forgotten.
 *
 * @param run as commands name it
 */
export function advice(comparisons: readonly Comparison[], run: string | undefined): string[] {
  const of = (role: Comparison['role']) => comparisons.filter((one) => one.role === role);
  const [targets, general] = [of('target'), of('general')];
  const lost = general.filter(({ verdict }) => verdict === 'lost');
  const worse = targets.filter(({ verdict }) => verdict === 'lost');
  const unsure = targets.filter(({ verdict }) => verdict === 'unsure');
  const gained = targets.some(({ verdict }) => verdict === 'gained');
  const steps: string[] = [];
  if (targets.length === 0 && run !== undefined) {
    steps.push(
      'No rows were held out, so nobody knows what was learned: train with --valid 0.1, or measure with --task FILE.',
    );
  }
  if (worse.length > 0) {
    steps.push(
      `${namesOf(worse)} became worse: look at what is trained with tunesmith data xray, and train with a lower --lr.`,
    );
  }
  for (const { task, items } of unsure) {
    steps.push(
      items < FEW
        ? `${task}: ${items} items are too few to be sure; hold out more rows, or give more.`
        : `${task}: no difference in ${items} items; train longer (--epochs), with a higher --lr, or on more rows.`,
    );
  }
  if (lost.length > 0) {
    steps.push(
      `${namesOf(lost)} became worse: --forget-general-text 3% holds a run to a budget; a lower --lr, --replay self and generate --strength 0.7 forget less too.`,
    );
  }
  if (run !== undefined && gained && lost.length === 0 && worse.length === 0) {
    steps.push(
      `Talk to it: tunesmith chat ${run}. Take it along: tunesmith export ${run} --to gguf.`,
      `Hold later runs to this one: tunesmith gate ${run} --min-gain 5% --max-forget 3% exits 3 when a run may not ship.`,
    );
  }
  return steps;
}

function namesOf(comparisons: readonly Comparison[]): string {
  const names = comparisons.map(({ task }) => task).join(', ');
  return `${names.slice(0, 1).toUpperCase()}${names.slice(1)}`;
}
