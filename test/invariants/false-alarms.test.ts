import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { answeredOf, falseAlarms, generalVerdicts, type RecordedTask } from '../support/false-alarms.ts';

/** What a run and its base made of the quick suite, by `npm run bench -- false-alarms --out`. */
const recorded = JSON.parse(
  readFileSync(new URL('../golden/item-scores.json', import.meta.url), 'utf8'),
) as readonly RecordedTask[];
const answered = answeredOf(recorded);

test('the worse of two models is told to have forgotten, whichever it is', () => {
  const exchanged = answered.map((one) => ({ ...one, base: one.tuned, tuned: one.base }));
  const said = [answered, exchanged].map((pair) => generalVerdicts(pair));
  expect(said.filter((verdicts) => verdicts.includes('lost'))).toHaveLength(1);
});

test('where base and tuned are swapped at random item by item, "forgot" is said in at most 5 of 100 cases', () => {
  expect(falseAlarms(answered, 1000)).toBeLessThanOrEqual(50);
}, 240_000);
