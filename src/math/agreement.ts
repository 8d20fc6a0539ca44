/** How far two values are apart: by name only, by their order, or by their difference. */
export type Level = 'nominal' | 'ordinal' | 'interval';

/**
 * Krippendorff's alpha: how far raters agree beyond chance (1 they always do, 0 as dice would, below 0 less than that). Any number of raters, any of
 * whom may pass over units.
 *
 * Klaus Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011).
 *
 * @param units the values that raters gave to each unit; units with fewer than two values say nothing
 * @returns undefined where no unit has two values, or where only one value was ever given, so that nothing could be told apart
 */
export function krippendorffAlpha(units: readonly (readonly number[])[], level: Level): number | undefined {
  const pairable = units.filter((unit) => unit.length > 1);
  const values = [...new Set(pairable.flat())].sort((a, b) => a - b);
  if (values.length < 2) return undefined;
  const counts = new Map(values.map((value) => [value, 0]));
  for (const value of pairable.flat()) counts.set(value, counts.get(value)! + 1);
  const apart = distances(
    values,
    values.map((value) => counts.get(value)!),
    level,
  );
  const at = new Map(values.map((value, i) => [value, i]));
  const distance = (a: number, b: number) => apart[at.get(a)!]![at.get(b)!]!;
  const total = pairable.reduce((n, unit) => n + unit.length, 0);
  let observed = 0;
  for (const unit of pairable) observed += pairSum(unit, distance) / (unit.length - 1);
  let expected = 0;
  for (const a of values) for (const b of values) expected += counts.get(a)! * counts.get(b)! * distance(a, b);
  return 1 - (observed / total / expected) * (total * (total - 1));
}

/** The sum over all ordered pairs of a unit's values. */
function pairSum(unit: readonly number[], distance: (a: number, b: number) => number): number {
  return unit.reduce((sum, a) => sum + unit.reduce((own, b) => own + distance(a, b), 0), 0);
}

/** Squared distances between values, which stand in order. */
function distances(values: readonly number[], counts: readonly number[], level: Level): number[][] {
  return values.map((a, i) =>
    values.map((b, j) => {
      if (i === j) return 0;
      switch (level) {
        case 'nominal':
          return 1;
        case 'interval':
          return (a - b) ** 2;
        case 'ordinal': {
          const [from, to] = [Math.min(i, j), Math.max(i, j)];
          const between = counts.slice(from, to + 1).reduce((sum, count) => sum + count, 0);
          return (between - (counts[i]! + counts[j]!) / 2) ** 2;
        }
        default:
          return level satisfies never;
      }
    }),
  );
}
