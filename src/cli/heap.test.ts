import { expect, it } from 'vitest';
import { shrinkHeap } from './heap.ts';

it('shrinkHeap lets go of garbage, and leaves no gc behind', () => {
  const gone = new WeakRef({ rows: new Array<number>(1000).fill(0) });
  return new Promise<void>((resolve) => {
    // A WeakRef holds its target until the turn is over.
    setTimeout(() => {
      shrinkHeap();
      expect(gone.deref()).toBeUndefined();
      expect('gc' in globalThis).toBe(false);
      resolve();
    }, 0);
  });
});
