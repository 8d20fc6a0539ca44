import { threefry2x32 } from '../../src/math/random.ts';

/** An integer from 0 to `below` - 1 that is a function of its arguments. */
export function randomInteger(seed: number, purpose: string, row: number, index: number, below: number): number {
  let name = 0;
  for (const c of purpose) name = (Math.imul(name, 31) + c.charCodeAt(0)) | 0;
  const out = new Uint32Array(2);
  threefry2x32(seed, name, row, index, out);
  return Math.floor((out[0]! / 2 ** 32) * below);
}

/** What `make` gives, `count` times. */
export function repeated<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}
