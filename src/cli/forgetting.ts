import type { TrainEvent } from '../train/events.ts';
import { lossText, table } from './format.ts';

type Forgetting = TrainEvent & { readonly type: 'forgetting' };
type ActEvent = TrainEvent & { readonly type: 'act' };

/** What the trainer did, in words. */
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

/** How many columns and rows the curve has. */
const SIZE = { columns: 48, rows: 9 };

/** The curve of learning against forgetting, and what was chosen from it. */
export function forgettingText(event: Forgetting): string {
  const { start, points, chosen, isKept, report } = event;
  const rise = (loss: number, from: number) => `${signed(100 * Math.expm1(loss - from))} %`;
  const rows = points.map((point) => [
    String(point.step),
    point.strength.toFixed(3),
    lossText(point.loss),
    rise(point.generalText, start.generalText),
    ...(start.suite === undefined ? [] : [signed(100 * ((point.suite ?? 0) - start.suite))]),
    `${Math.round(100 * point.used)} %`,
    point.step === chosen.step && point.strength === chosen.strength ? '<- best/' : '',
  ]);
  const suite = start.suite === undefined ? [] : ['points'];
  const head = ['step', 'strength', 'validation loss', 'general text', ...suite, 'of the budget', ''];
  const verdict = isKept
    ? `best/ is step ${chosen.step} at strength ${chosen.strength}, the lowest validation loss within the budget.`
    : `nothing keeps the budget: best/ is what forgets least, step ${chosen.step} at strength ${chosen.strength}.`;
  const measured = `General text that chose nothing: ${rise(report.after, report.before)} perplexity.`;
  return ['learning against forgetting', scatter(event), table([head, ...rows]), verdict, measured].join('\n');
}

function signed(value: number): string {
  return `${value < 0 ? '-' : '+'}${Math.abs(value).toFixed(1)}`;
}

/** Points by forgetting (to the right) and validation loss (upwards); what was chosen is a star, the bar is the end of the budget. */
function scatter({ points, chosen }: Forgetting): string {
  const { columns, rows } = SIZE;
  const span = (values: readonly number[]) => [Math.min(...values), Math.max(...values)] as const;
  const [left, right] = span([0, 1, ...points.map(({ used }) => used)]);
  const [low, high] = span(points.map(({ loss }) => loss));
  const place = (value: number, from: number, to: number, cells: number) =>
    to === from ? 0 : Math.round(((value - from) / (to - from)) * (cells - 1));
  const grid = Array.from({ length: rows }, () => new Array<string>(columns).fill(' '));
  for (const row of grid) row[place(1, left, right, columns)] = '|';
  for (const point of points) {
    const isChosen = point.step === chosen.step && point.strength === chosen.strength;
    const row = grid[rows - 1 - place(point.loss, low, high, rows)]!;
    row[place(point.used, left, right, columns)] = isChosen ? '*' : 'o';
  }
  const label = (i: number) => (i === 0 ? high.toFixed(3) : i === rows - 1 ? low.toFixed(3) : '').padStart(8);
  return grid.map((row, i) => `${label(i)} ┤${row.join('').trimEnd()}`).join('\n');
}
