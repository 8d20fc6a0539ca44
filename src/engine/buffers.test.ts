import { describe, expect, it } from 'vitest';
import { f32 } from '../tensor/tensor.ts';
import { createBuffers } from './buffers.ts';

const type = (n: number) => ({ dtype: 'f32', shape: [n] }) as const;

describe('buffers', () => {
  it('gives memory back at once where nothing is kept', () => {
    const buffers = createBuffers(0);
    const tensor = buffers.take(type(1000));
    expect(tensor.data).toHaveLength(1000);
    buffers.give(tensor);
    expect(tensor.data).toHaveLength(0);
    expect(() => buffers.give(tensor)).not.toThrow();
  });

  it('keeps buffers for others of about their size, up to so many bytes', () => {
    const buffers = createBuffers(8192);
    const first = buffers.take(type(1000));
    buffers.give(first);
    expect(buffers.take(type(1010)).data.buffer).toBe(first.data.buffer);
    const [a, b, c] = [buffers.take(type(1000)), buffers.take(type(900)), buffers.take(type(4000))];
    for (const tensor of [a, b]) buffers.give(tensor);
    expect([a.data.length, b.data.length]).toEqual([1000, 900]);
    buffers.give(c);
    expect([a.data.length, b.data.length, c.data.length]).toEqual([0, 0, 0]);
  });

  it('leaves alone what came from elsewhere', () => {
    const own = f32([1, 2, 3], [3]);
    createBuffers(0).give(own);
    expect([...own.data]).toEqual([1, 2, 3]);
  });

  it('takes tensors of bytes and of nothing', () => {
    const buffers = createBuffers(0);
    expect(buffers.take({ dtype: 'u8', shape: [7] }).data).toHaveLength(7);
    expect(buffers.take({ dtype: 'f32', shape: [0, 4] }).data).toHaveLength(0);
  });
});
