import type { TrainEvent } from '../train/events.ts';

/** What was chosen within a budget of forgetting, and from what. */
export type Forgetting = TrainEvent & { readonly type: 'forgetting' };
/** What the trainer did because a budget was threatened. */
export type ActEvent = TrainEvent & { readonly type: 'act' };

const ACTS: Readonly<Record<ActEvent['act'], string>> = {
  replay: 'what the model said before it trained is replayed from now on',
  kl: 'the model is held to its start on prompts and on what is replayed from now on',
  rate: 'the learning rate is halved from now on',
  stop: 'training stops here',
};

/** One act of a budget. */
export function actText({ step, act, used }: ActEvent): string {
  return `step ${step}: ${Math.round(100 * used)} % of the forgetting budget is used: ${ACTS[act]}.`;
}

/** A rise of a loss as one of perplexity: `+1.4 %`. */
export function riseText(loss: number, from: number): string {
  return `${signedText(100 * Math.expm1(loss - from))} %`;
}

/** `+1.4` */
export function signedText(value: number): string {
  return `${value < 0 ? '-' : '+'}${Math.abs(value).toFixed(1)}`;
}

/** What was chosen, and how it does on general text that chose nothing. */
export function chosenTexts({ chosen: { step, strength }, isKept, report }: Forgetting): string[] {
  return [
    isKept
      ? `best/ is step ${step} at strength ${strength}, the lowest validation loss within the budget.`
      : `nothing keeps the budget: best/ is what forgets least, step ${step} at strength ${strength}.`,
    `General text that chose nothing: ${riseText(report.after, report.before)} perplexity.`,
  ];
}

/** `general text +3.0 %, probes -2.0 points` */
export function budgetText({ budget: { generalText, suite } }: Pick<Forgetting, 'budget'>): string {
  return [
    ...(generalText === undefined ? [] : [`general text ${riseText(generalText, 0)}`]),
    ...(suite === undefined ? [] : [`probes ${signedText(-100 * suite)} points`]),
  ].join(', ');
}

/** The points of the curve as a table: heads, and a row each. */
export function pointRows(event: Forgetting): { readonly heads: readonly string[]; readonly rows: string[][] } {
  const { start, points, chosen } = event;
  const suite = start.suite === undefined ? [] : ['points'];
  const rows = points.map((point) => [
    String(point.step),
    point.strength.toFixed(3),
    point.loss.toFixed(4),
    riseText(point.generalText, start.generalText),
    ...(start.suite === undefined ? [] : [signedText(100 * ((point.suite ?? 0) - start.suite))]),
    `${Math.round(100 * point.used)} %`,
    isSame(point, chosen) ? '<- best/' : '',
  ]);
  return { heads: ['step', 'strength', 'validation loss', 'general text', ...suite, 'of the budget', ''], rows };
}

/** Whether two points of a curve are one and the same model. */
export function isSame(a: Forgetting['chosen'], b: Forgetting['chosen']): boolean {
  return a.step === b.step && a.strength === b.strength;
}
