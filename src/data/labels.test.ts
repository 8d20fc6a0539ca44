import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readLabels } from './labels.ts';

const read = (fields: Record<string, unknown>, wanted: 'required' | 'optional' = 'required') => {
  const complaints: string[] = [];
  const labels = readLabels(fields, wanted, (_, message) => complaints.push(message));
  return { labels, complaints };
};

test('one label is text, a number or a truth value', () => {
  expect(read({ label: ' spam ' }).labels).toEqual({ kind: 'single', names: ['spam'] });
  expect(read({ label: 3 }).labels).toEqual({ kind: 'single', names: ['3'] });
  expect(read({ label: false }).labels).toEqual({ kind: 'single', names: ['false'] });
});

test('several labels are an array, which may be empty', () => {
  expect(read({ labels: ['a', 2] }).labels).toEqual({ kind: 'multi', names: ['a', '2'] });
  expect(read({ labels: [] }).labels).toEqual({ kind: 'multi', names: [] });
});

test('a column of a table without a value counts as absent', () => {
  expect(read({ label: null, labels: ['a'] }).labels).toEqual({ kind: 'multi', names: ['a'] });
});

test('labels may be left out only where they are optional', () => {
  expect(read({})).toEqual({ labels: undefined, complaints: ['has no label and no labels.'] });
  expect(read({}, 'optional')).toEqual({ labels: undefined, complaints: [] });
});

test('whatever stands there, there are labels or one complaint', () => {
  fc.assert(
    fc.property(fc.record({ label: fc.anything(), labels: fc.anything() }, { requiredKeys: [] }), (fields) => {
      const { labels, complaints } = read(fields);
      expect(complaints).toHaveLength(labels === undefined ? 1 : 0);
      for (const name of labels?.names ?? []) expect(name.trim()).not.toBe('');
    }),
  );
});
