import type { Shape } from '../tensor/tensor.ts';
import { sizeOf } from '../tensor/tensor.ts';
import type { StoredType } from './stored.ts';

/** How many values one block of a stored type holds, and in how many bytes. Blocks never straddle rows. */
export const BLOCKS: Readonly<Record<StoredType, { readonly values: number; readonly bytes: number }>> = {
  F32: { values: 1, bytes: 4 },
  F16: { values: 1, bytes: 2 },
  BF16: { values: 1, bytes: 2 },
  F64: { values: 1, bytes: 8 },
  I64: { values: 1, bytes: 8 },
  I32: { values: 1, bytes: 4 },
  U8: { values: 1, bytes: 1 },
  Q4_0: { values: 32, bytes: 18 },
  Q4_1: { values: 32, bytes: 20 },
  Q5_0: { values: 32, bytes: 22 },
  Q5_1: { values: 32, bytes: 24 },
  Q8_0: { values: 32, bytes: 34 },
  Q2_K: { values: 256, bytes: 84 },
  Q3_K: { values: 256, bytes: 110 },
  Q4_K: { values: 256, bytes: 144 },
  Q5_K: { values: 256, bytes: 176 },
  Q6_K: { values: 256, bytes: 210 },
  IQ4_NL: { values: 32, bytes: 18 },
  IQ4_XS: { values: 256, bytes: 136 },
};

/** Bytes of a stored tensor; undefined where a row is no whole number of blocks or the size is beyond 2^53. */
export function storedBytes(type: StoredType, shape: Shape): number | undefined {
  const { values, bytes } = BLOCKS[type];
  if ((shape.at(-1) ?? 1) % values !== 0) return undefined;
  const total = (sizeOf(shape) / values) * bytes;
  return Number.isSafeInteger(total) ? total : undefined;
}
