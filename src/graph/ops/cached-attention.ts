// Shape legend: B rows, L new tokens of each row, C capacity of the cache, H query heads, G key/value heads, K head width
import { sizeOf } from '../../tensor/tensor.ts';
import type { TensorType } from '../graph.ts';
import type { Op, RefTensor } from '../op.ts';
import { type CachedSizes, plainAttention, plainRows } from './plain-attention.ts';

/** Attributes of {@link cachedAttention}. */
export interface CachedAttentionAttrs {
  readonly heads: number;
  readonly kvHeads: number;
  /** Products of q and k are multiplied by it. */
  readonly scale: number;
  /** Tokens that a new one sees, itself included; 0 for all. */
  readonly window: number;
}

/**
 * Causal attention of new tokens over a cache and themselves, for generation. Inputs: q [B, L, H*K], k and v [B, L, G*K], keys and values
 * [B, G, C, K], last [B] i32 (position of each row's last new token), total [1] i32 (largest `last`, plus 1). The output is [B, L, H*K]; the caches
 * with the new rows in their places are {@link cachedRows} of it. More than one new token after cached ones is for B = 1 only.
 * With cos and sin [P, K/2] of positions 0 .. P-1 as further inputs, q and k are turned by their positions first, in the half-split layout.
 */
export const cachedAttention: Op<CachedAttentionAttrs> = {
  shape: ([q, k, _v, keys], { heads, kvHeads }) => {
    const [rows, length, width] = q!.shape as [number, number, number];
    const headDim = width / heads;
    const fits =
      String(k!.shape) === String([rows, length, kvHeads * headDim]) &&
      String(keys!.shape.with(2, 0)) === String([rows, kvHeads, 0, headDim]) &&
      length <= keys!.shape[2]!;
    if (!fits) throw new Error(`internal: cachedAttention of [${q!.shape}], [${k!.shape}], [${keys!.shape}]`);
    return q!;
  },
  vjp: 'inference-only',
  emit: (e, inputs, { heads, kvHeads, scale, window }, types) => {
    if (e.device === 'webgpu') {
      const [q, k, v, keys, values, last, , ...tables] = inputs as [string, string, string, string, string, string];
      const sizes = sizesOf(types[0]!.shape[1]!, types[3]!, heads, kvHeads);
      return plainAttention(e, { q, k, v, keys, values }, { last, tables }, { ...sizes, scale, window });
    }
    const attrs = { num_heads: heads, kv_num_heads: kvHeads, do_rotary: inputs.length > 7 ? 1 : 0 };
    const seen = { scale: { float: scale }, ...(window === 0 ? {} : { local_window_size: window }) };
    return e.node('GroupQueryAttention', inputs, { ...attrs, ...seen }, 'com.microsoft', ['.keys', '.values']);
  },
  reference: (inputs, { heads, kvHeads, scale, window }, out) => {
    const [given, k, v, keys, values, last, , ...tables] = inputs;
    const q = turned(given!, heads, last!, tables);
    const [rows, length] = out.shape as [number, number, number];
    const width = out.shape[2]! / heads;
    const capacity = keys!.shape[2]!;
    const allKeys = withRows(keys!, turned(k!, kvHeads, last!, tables), last!);
    const allValues = withRows(values!, v!, last!);
    const result = new Float64Array(sizeOf(out.shape));
    for (let b = 0; b < rows; b++) {
      for (let i = 0; i < length; i++) {
        const visible = last!.data[b]! - length + 2 + i;
        for (let h = 0; h < heads; h++) {
          const at = ((b * length + i) * heads + h) * width;
          const from = (b * kvHeads + Math.floor((h * kvHeads) / heads)) * capacity * width;
          attendOne(
            q.data.subarray(at, at + width),
            allKeys,
            allValues,
            from,
            { first: window === 0 ? 0 : Math.max(0, visible - window), end: visible, scale },
            result.subarray(at, at + width),
          );
        }
      }
    }
    return result;
  },
};

/**
 * The cache of keys or values after {@link cachedAttention}: inputs are its output, the new rows k or v, the cache, last and, where the keys are
 * to be turned, cos and sin.
 * An engine may write the result over the cache.
 */
export const cachedRows: Op<{ readonly which: 'keys' | 'values'; readonly kvHeads: number }> = {
  shape: ([_attended, _rows, cache]) => cache!,
  vjp: 'inference-only',
  inPlace: 2,
  emit: (e, [attended, rows, cache, last, ...tables], { which, kvHeads }, types) => {
    if (e.device === 'cpu') return `${attended}.${which}`;
    return plainRows(
      e,
      rows!,
      cache!,
      { last: last!, tables },
      sizesOf(types[1]!.shape[1]!, types[2]!, kvHeads, kvHeads),
    );
  },
  reference: ([_attended, rows, cache, last, ...tables], { kvHeads }) =>
    withRows(cache!, turned(rows!, kvHeads, last!, tables), last!),
};

function sizesOf(length: number, cache: TensorType, heads: number, kvHeads: number): CachedSizes {
  const [rows, , capacity, width] = cache.shape as [number, number, number, number];
  return { rows, length, capacity, heads, kvHeads, width };
}

/** Softmax-weighted values of one query over some rows of one head. */
function attendOne(
  query: Float64Array,
  keys: Float64Array,
  values: Float64Array,
  from: number,
  { first, end, scale }: { readonly first: number; readonly end: number; readonly scale: number },
  out: Float64Array,
): void {
  const width = query.length;
  const scores = new Float64Array(end - first);
  for (let j = first; j < end; j++) {
    let dot = 0;
    for (let d = 0; d < width; d++) dot += query[d]! * keys[from + j * width + d]!;
    scores[j - first] = dot * scale;
  }
  const max = scores.reduce((m, s) => Math.max(m, s), Number.NEGATIVE_INFINITY);
  const weights = scores.map((s) => Math.exp(s - max));
  const sum = weights.reduce((s, w) => s + w, 0);
  for (let j = first; j < end; j++) {
    for (let d = 0; d < width; d++) out[d]! += (weights[j - first]! / sum) * values[from + j * width + d]!;
  }
}

/** Rows x [B, L, heads * K] turned by their positions; x itself where there are no tables. */
function turned(x: RefTensor, heads: number, last: RefTensor, [cos, sin]: readonly RefTensor[]): RefTensor {
  if (cos === undefined || sin === undefined) return x;
  const [rows, length, all] = x.shape as [number, number, number];
  const width = all / heads;
  const half = width / 2;
  const data = new Float64Array(x.data.length);
  for (let n = 0; n < rows * length; n++) {
    const position = last.data[Math.floor(n / length)]! - length + 1 + (n % length);
    for (let at = n * all; at < (n + 1) * all; at += width) {
      for (let i = 0; i < half; i++) {
        const [c, s] = [cos.data[position * half + i]!, sin.data[position * half + i]!];
        data[at + i] = x.data[at + i]! * c - x.data[at + half + i]! * s;
        data[at + half + i] = x.data[at + half + i]! * c + x.data[at + i]! * s;
      }
    }
  }
  return { shape: x.shape, data };
}

/** A copy of cache [B, G, C, K] in which the new rows [B, L, G*K] stand at the positions that end with `last`. */
function withRows(cache: RefTensor, rows: RefTensor, last: RefTensor): Float64Array {
  const [batch, heads, capacity, width] = cache.shape as [number, number, number, number];
  const length = rows.shape[1]!;
  const result = Float64Array.from(cache.data);
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < length; i++) {
      const position = last.data[b]! - length + 1 + i;
      for (let h = 0; h < heads; h++) {
        const from = ((b * length + i) * heads + h) * width;
        result.set(rows.data.subarray(from, from + width), ((b * heads + h) * capacity + position) * width);
      }
    }
  }
  return result;
}
