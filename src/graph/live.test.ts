import { describe, expect, it } from 'vitest';
import { createBuilder, finishGraph } from './builder.ts';
import { liveBytes } from './live.ts';

describe('liveBytes', () => {
  it('counts a value from its node to its last use', () => {
    const g = createBuilder();
    const x = g.input('x', [10]);
    const a = g.exp(x);
    const b = g.exp(a); // a and b
    const c = g.exp(b); // b and c
    expect(liveBytes(finishGraph(g, { y: c }))).toBe(2 * 40);
    expect(liveBytes(finishGraph(g, { y: g.add(a, c) }))).toBe(3 * 40);
  });

  it('counts neither inputs nor what a reshape shows again, and keeps outputs', () => {
    const g = createBuilder();
    const a = g.exp(g.input('x', [2, 5]));
    const b = g.exp(g.reshape(a, [10]));
    expect(liveBytes(finishGraph(g, { a, b }))).toBe(2 * 40);
    expect(liveBytes(finishGraph(g, { b: g.exp(g.reshape(b, [5, 2])) }))).toBe(2 * 40);
  });
});
