import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { type Lock, missingOptional } from './support/lock.ts';

it('package-lock.json lists the binaries of every platform, so that npm ci works on each (node scripts/lock.ts adds them)', () => {
  const lock = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8')) as Lock;
  expect(missingOptional(lock).map(({ name }) => name)).toEqual([]);
});
