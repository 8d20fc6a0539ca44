import type { Comparison } from './compare.ts';
import type { EvaluationEvent } from './evaluation.ts';

/** Headlines of the verdicts. */
export const HEADS = {
  gained: 'Learned, or better than before:',
  lost: 'Forgotten, or worse than before:',
  unsure: "Can't tell a difference:",
} as const satisfies Record<Comparison['verdict'], string>;

/** The outcome in words and per cent: what was learned, what was forgotten, and what cannot be told. */
export function outcomeText(events: readonly EvaluationEvent[]): string {
  const comparisons = events.flatMap((event) => (event.type === 'comparison' ? [event] : []));
  const scores = events.flatMap((event) => (event.type === 'score' ? [scoreText(event)] : []));
  const groups = (['gained', 'lost', 'unsure'] as const).flatMap((verdict) => {
    const own = comparisons.filter((one) => one.verdict === verdict);
    return own.length === 0 ? [] : [HEADS[verdict], ...own.map((one) => `  ${comparisonText(one)}`)];
  });
  return [...scores, ...groups, ...noteTexts(events)].join('\n');
}

/** What stands beneath the verdicts: faults of scorers, and how far the model moved. */
export function noteTexts(events: readonly EvaluationEvent[]): string[] {
  return events.flatMap((event) => {
    if (event.type === 'note') return [event.message];
    if (event.type === 'labels') return [labelsText(event)];
    if (event.type !== 'divergence') return [];
    return [`On the task's prompts the next token changed by ${event.kl.toFixed(3)} nats (KL from the base).`];
  });
}

function labelsText({ task, tuned, base }: EvaluationEvent & { readonly type: 'labels' }): string {
  const from = (key: 'macroF1' | 'unnamed', digits: number) =>
    `${base === undefined ? '' : `${base[key].toFixed(digits)} -> `}${tuned[key].toFixed(digits)}`;
  return `${task}: macro-F1 of the labels ${from('macroF1', 3)}; answers that name none: ${from('unnamed', 0)}`;
}

/** A score in words: `grammar: 93.5 % right`. */
export function scoreText({ task, unit, value }: EvaluationEvent & { readonly type: 'score' }): string {
  switch (unit) {
    case 'accuracy':
      return `${task}: ${(100 * value).toFixed(1)} % right`;
    case 'score':
      return `${task}: ${(100 * value).toFixed(1)} of 100`;
    case 'preference':
      return `${task}: preferred in ${(100 * value).toFixed(1)} %`;
    case 'loss':
      return `${task}: ${value.toFixed(4)} nats per token`;
    case 'bits':
      return `${task}: ${value.toFixed(4)} bits per byte`;
    default:
      return unit satisfies never;
  }
}

/** A comparison in words: `grammar: 93.5 % -> 91.0 % right, 2.5 points worse (0.4 to 4.6)`. */
export function comparisonText({ task, unit, tuned, base, gain }: Comparison): string {
  const { worse, size, range } = inWords(unit, gain);
  const percent = (share: number) => (100 * share).toFixed(1);
  switch (unit) {
    case 'accuracy':
      return `${task}: ${percent(base)} % -> ${percent(tuned)} % right, ${size} points ${worse ? 'worse' : 'better'} (${range})`;
    case 'score':
      return `${task}: ${percent(base)} -> ${percent(tuned)} of 100, ${size} points ${worse ? 'worse' : 'better'} (${range})`;
    case 'preference':
      return `${task}: preferred in ${percent(tuned)} %, the other in ${percent(base)} %, ${size} points ${worse ? 'worse' : 'better'} (${range})`;
    case 'loss':
      return `${task}: ${size} % ${worse ? 'harder' : 'easier'} (${range}; perplexity)`;
    case 'bits':
      return `${task}: ${base.toFixed(4)} -> ${tuned.toFixed(4)} bits per byte, ${gain.estimate < 0 ? 'harder' : 'easier'} by ${Math.abs(gain.estimate).toFixed(4)} (${gain.low.toFixed(4)} to ${gain.high.toFixed(4)})`;
    default:
      return unit satisfies never;
  }
}

/** Points, or per cent of perplexity; the range is in the direction of the size. */
function inWords(unit: Comparison['unit'], gain: Comparison['gain']) {
  const scale = (x: number) => (unit === 'loss' ? 100 * (1 - Math.exp(-x)) : 100 * x);
  const worse = gain.estimate < 0;
  const sign = worse ? -1 : 1;
  const ends = [sign * scale(gain.low), sign * scale(gain.high)].sort((a, b) => a - b);
  const text = (x: number) => x.toFixed(1).replace(/^-(0\.0)$/, '$1');
  return { worse, size: text(Math.abs(scale(gain.estimate))), range: `${text(ends[0]!)} to ${text(ends[1]!)}` };
}
