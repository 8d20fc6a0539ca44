import { expect, test } from 'vitest';
import { nearestName } from './nearest.ts';

test('a misspelt name finds the meant one', () => {
  expect(nearestName('mesages', ['messages', 'prompt'])).toBe('messages');
  expect(nearestName('max-lenght', ['maxLength', 'onLong'])).toBe('maxLength');
  expect(nearestName('epcohs', ['epochs', 'steps'])).toBe('epochs');
});

test('a name like none of them finds nothing', () => {
  expect(nearestName('banana', ['messages', 'prompt'])).toBeUndefined();
  expect(nearestName('', ['ab'])).toBeUndefined();
});
