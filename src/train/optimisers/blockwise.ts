// Numbers of one byte each, with a scale for every block. Legend: K blocks, B entries of a block
import type { Builder, Value } from '../../graph/index.ts';
import { type Shape, sizeOf } from '../../tensor/tensor.ts';

/** B. */
export const BLOCK = 256;

/** Bytes [K, B], and the largest absolute value of each block [K, 1]. */
export interface Blockwise {
  readonly codes: Value;
  readonly scale: Value;
}

/** Keeps the division of an empty block by its scale, 0, from being NaN. */
const TINY = 1e-37;

/** K, for a tensor of this shape. */
export function blocksOf(shape: Shape): number {
  return Math.ceil(sizeOf(shape) / BLOCK);
}

/** Lays a tensor out in blocks, the last one filled up with zeros: [K, B]. */
export function toBlocks(g: Builder, x: Value): Value {
  const [n, blocks] = [sizeOf(x.shape), blocksOf(x.shape)];
  const flat = g.pad(g.reshape(x, [n]), { axis: 0, before: 0, after: blocks * BLOCK - n });
  return g.reshape(flat, [blocks, BLOCK]);
}

/** The inverse of {@link toBlocks}. */
export function fromBlocks(g: Builder, x_KB: Value, shape: Shape): Value {
  const flat = g.reshape(x_KB, [sizeOf(x_KB.shape)]);
  return g.reshape(g.slice(flat, { axis: 0, start: 0, end: sizeOf(shape) }), shape);
}

/**
 * Signed numbers: code c stands for sign(t) t^4 scale with t = (c - 128) / 127, so that small entries of a block are kept about as well as large
 * ones. 0 is kept exactly.
 *
 * @param dither_1B from 0 to 1 for each place of a block: what is added before the fraction is cut off
 */
export function encodeSigned(g: Builder, x_KB: Value, dither_1B: Value): Blockwise {
  const size_KB = g.abs(x_KB);
  const scale = g.reduceMax(size_KB, [1]);
  const root_KB = g.mul(g.sign(x_KB), g.sqrt(g.sqrt(g.div(size_KB, g.add(scale, g.scalar(TINY))))));
  const place_KB = g.add(g.mul(root_KB, g.scalar(127)), g.add(dither_1B, g.scalar(128)));
  return { codes: g.toBytes(place_KB), scale };
}

/** The numbers that {@link encodeSigned} stored. */
export function decodeSigned(g: Builder, { codes, scale }: Blockwise): Value {
  const root_KB = g.mul(g.sub(g.cast(codes, 'f32'), g.scalar(128)), g.scalar(1 / 127));
  const square_KB = g.mul(root_KB, root_KB);
  return g.mul(g.mul(g.mul(root_KB, g.abs(root_KB)), square_KB), scale);
}

/**
 * Numbers from 0 up: code c stands for ((c + 1) / 256)^4 scale. In a block that is not all zeros none is 0, so that nothing is ever
 * divided by a root that only rounding made 0.
 */
export function encodePositive(g: Builder, x_KB: Value, dither_1B: Value): Blockwise {
  const scale = g.reduceMax(x_KB, [1]);
  const root_KB = g.sqrt(g.sqrt(g.div(x_KB, g.add(scale, g.scalar(TINY)))));
  const place_KB = g.add(g.mul(root_KB, g.scalar(256)), g.sub(dither_1B, g.scalar(1)));
  return { codes: g.toBytes(place_KB), scale };
}

/** The numbers that {@link encodePositive} stored. */
export function decodePositive(g: Builder, { codes, scale }: Blockwise): Value {
  const root_KB = g.mul(g.add(g.cast(codes, 'f32'), g.scalar(1)), g.scalar(1 / 256));
  const square_KB = g.mul(root_KB, root_KB);
  return g.mul(g.mul(square_KB, square_KB), scale);
}
