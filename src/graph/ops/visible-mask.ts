// Shape legend: B rows, L new tokens of each (the queries), T all tokens (the keys), of which the queries are the last
import type { Op } from '../op.ts';
import { MASKED } from './sources.ts';

/** Attributes of {@link visibleMask}. */
export interface VisibleMaskAttrs {
  readonly queries: number;
  /** Tokens that a query sees, itself included; 0 for all. */
  readonly window: number;
}

/**
 * What is added to scores, from a mask [B, T] i64 that is 0 where there is padding: 0 where a query sees a key, {@link MASKED} elsewhere,
 * [B, 1, 1, L, T]. For graphs whose axes are known only when they run; where they are known, a causal mask is a constant.
 */
export const visibleMask: Op<VisibleMaskAttrs> = {
  shape: ([mask], { queries }) => {
    const [rows, keys] = mask!.shape as [number, number];
    if (mask!.dtype !== 'i64' || queries > keys)
      throw new Error(`internal: visibleMask of ${queries} in [${mask!.shape}]`);
    return { dtype: 'f32', shape: [rows, 1, 1, queries, keys] };
  },
  vjp: 'inference-only',
  emit: (e, [mask], { queries, window }, [type]) => {
    const [rows, keys] = type!.shape as [number, number];
    const scalar = (value: string) => e.node('Squeeze', [value]);
    const [total, step] = [e.i64([keys]), scalar(e.i64([1]))];
    const key = e.node('Range', [scalar(e.i64([0])), scalar(total), step]);
    const query = e.node('Range', [scalar(e.node('Sub', [total, e.i64([queries])])), scalar(total), step]);
    const column = e.node('Reshape', [query, e.i64([queries, 1])]);
    const past = e.node('LessOrEqual', [key, column]);
    const near =
      window === 0 ? past : e.node('And', [past, e.node('Greater', [key, e.node('Sub', [column, e.i64([window])])])]);
    const given = e.node('Reshape', [e.node('Cast', [mask!], { to: 9 }), e.i64([rows, 1, 1, 1, keys])]);
    return e.node('Where', [e.node('And', [near, given]), e.f32([0], []), e.f32([MASKED], [])]);
  },
  reference: ([mask], { window }, out) => {
    const [rows, , , queries, keys] = out.shape as [number, number, number, number, number];
    const result = new Float64Array(rows * queries * keys).fill(MASKED);
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < queries; i++) {
        const last = keys - queries + i;
        const first = window === 0 ? 0 : Math.max(0, last - window + 1);
        for (let j = first; j <= last; j++) {
          if (mask!.data[row * keys + j] !== 0) result[(row * queries + i) * keys + j] = 0;
        }
      }
    }
    return result;
  },
};
