// AdamW with block-wise 8-bit states, after Dettmers et al. 2021 (arXiv:2110.02861)
import type { Value } from '../../graph/index.ts';
import { sizeOf } from '../../tensor/tensor.ts';
import { type AdamWOptions, adamW, adamWStep } from './adamw.ts';
import {
  BLOCK,
  blocksOf,
  decodePositive,
  decodeSigned,
  encodePositive,
  encodeSigned,
  fromBlocks,
  toBlocks,
} from './blockwise.ts';
import { f32State, type StateType, type UpdateRule } from './rule.ts';

/** Parameters with fewer entries keep float32 states, as in bitsandbytes: norms and biases, where nothing is to be saved. */
const SMALLEST = 4096;

/**
 * AdamW with moments of one byte an entry and one float32 scale for each block of 256. Unlike the paper's lookup table, the codes are powers (see
 * blockwise.ts), which a graph computes in a few operations, and what is cut off is dithered: the second moment changes by a thousandth of itself
 * in a step, less than half a code, and rounded to the nearest it would never move.
 */
export function adamW8bit(options: AdamWOptions): UpdateRule {
  const wide = adamW(options);
  return {
    ...wide,
    state(shape) {
      if (sizeOf(shape) < SMALLEST) return wide.state(shape);
      const codes: StateType = { dtype: 'u8', shape: [blocksOf(shape), BLOCK] };
      const scale = f32State([blocksOf(shape), 1]);
      return { m: codes, 'm.scale': scale, v: codes, 'v.scale': scale };
    },
    update(g, inputs) {
      const { m, v, 'm.scale': mScale, 'v.scale': vScale } = inputs.state as Record<string, Value>;
      if (mScale === undefined || vScale === undefined) return wide.update(g, inputs);
      const { shape } = inputs.parameter;
      const moments = {
        m: fromBlocks(g, decodeSigned(g, { codes: m!, scale: mScale }), shape),
        v: fromBlocks(g, decodePositive(g, { codes: v!, scale: vScale }), shape),
      };
      const next = adamWStep(g, inputs, moments, options);
      const m2 = encodeSigned(g, toBlocks(g, next.m), inputs.dither());
      const v2 = encodePositive(g, toBlocks(g, next.v), inputs.dither());
      return {
        parameter: next.parameter,
        state: { m: m2.codes, 'm.scale': m2.scale, v: v2.codes, 'v.scale': v2.scale },
      };
    },
  };
}
