import { chosenTexts, type Forgetting, isSame, pointRows } from '../evaluate/budget-words.ts';
import { table } from './format.ts';

/** How many columns and rows the curve has. */
const SIZE = { columns: 48, rows: 9 };

/** The curve of learning against forgetting, and what was chosen from it. */
export function forgettingText(event: Forgetting): string {
  const { heads, rows } = pointRows(event);
  return ['learning against forgetting', scatter(event), table([heads, ...rows]), ...chosenTexts(event)].join('\n');
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
    const row = grid[rows - 1 - place(point.loss, low, high, rows)]!;
    row[place(point.used, left, right, columns)] = isSame(point, chosen) ? '*' : 'o';
  }
  const label = (i: number) => (i === 0 ? high.toFixed(3) : i === rows - 1 ? low.toFixed(3) : '').padStart(8);
  return grid.map((row, i) => `${label(i)} ┤${row.join('').trimEnd()}`).join('\n');
}
