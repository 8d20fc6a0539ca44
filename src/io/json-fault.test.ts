import fc from 'fast-check';
import { expect, test } from 'vitest';
import { jsonFault } from './json-fault.ts';

const parses = (text: string) => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

test('finds a fault exactly where JSON.parse does', () => {
  const damaged = fc
    .tuple(fc.json(), fc.nat(), fc.constantFrom('', ',', '"', '}', ']', '{', '\\', 'x', '1', ' ', '\n', '-', '.'))
    .map(
      ([json, at, insert]) =>
        json.slice(0, at % (json.length + 1)) + insert + json.slice((at % (json.length + 1)) + (at % 2)),
    );
  fc.assert(
    fc.property(fc.oneof(damaged, fc.json(), fc.string()), (text) => {
      expect(jsonFault(text) === undefined).toBe(parses(text));
    }),
    { numRuns: 3000 },
  );
});

test.each([
  ['{"a":nope}', 1, 6, 'expected a value, found "nope"'],
  ['[\n{"a":1},\n{a:2}]', 3, 2, 'expected a key in double quotes or }, found "a"'],
  ["{'a':1}", 1, 2, 'expected a key in double quotes or }, found "\'"'],
  ['{"a":1,}', 1, 8, 'expected a key in double quotes, found "}"'],
  ['{"a" 1}', 1, 6, 'expected a colon, found "1"'],
  ['{"a":"b', 1, 8, 'expected a closing quote, found the end of the text'],
  ['{"a":1} {"a":2}', 1, 9, 'expected the end, found "{"'],
  ['{"a":NaN}', 1, 6, 'expected a value, found "NaN"'],
  ['{"a":01}', 1, 6, 'expected a value, found "01"'],
  ['', 1, 1, 'expected a value, found the end of the text'],
])('%s', (text, line, column, reason) => {
  expect(jsonFault(text)).toEqual({ line, column, reason });
});

test('a text of deep nesting is no trouble', () => {
  expect(jsonFault('['.repeat(1e6))).toMatchObject({ column: 1e6 + 1 });
});
