// Shape legend: B rows, L new tokens of each row, C capacity of the cache, H query heads, G key/value heads, R = H / G, K head width
import type { Emitter } from '../op.ts';

/** Sizes of attention over a cache. */
export interface CachedSizes {
  readonly rows: number;
  readonly length: number;
  readonly capacity: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly width: number;
}

/** Names of `last` [B] i32, and of cos and sin [P, K/2] where there are any. */
export interface Places {
  readonly last: string;
  readonly tables: readonly string[];
}

/** The type of ONNX's Cast. */
const [FLOAT, INT32] = [1, 6];
/** What a score that may not be seen is lowered by, times its distance. */
const FAR = -1e9;

/**
 * Attention over a cache in elementary operators, for devices whose fused one is right only where past and present are one buffer (ONNX Runtime's
 * GroupQueryAttention on WebGPU). Takes and gives what `cachedAttention` does.
 */
export function plainAttention(
  e: Emitter,
  { q, k, v, keys, values }: Readonly<Record<'q' | 'k' | 'v' | 'keys' | 'values', string>>,
  places: Places,
  sizes: CachedSizes & { readonly scale: number; readonly window: number },
): string {
  const { rows, length, capacity, heads, kvHeads, width, scale, window } = sizes;
  const grouped = e.i64([rows, kvHeads, (heads / kvHeads) * length, width]);
  const q_BHLK = headsFirst(e, turned(e, q, heads, places, sizes), heads, sizes);
  const k_BGCK = plainRows(e, k, keys, places, sizes);
  const v_BGCK = plainRows(e, v, values, { ...places, tables: [] }, sizes);
  const k_BGKC = e.node('Transpose', [k_BGCK], { perm: [0, 1, 3, 2] });
  const scores = e.node('MatMul', [e.node('Reshape', [q_BHLK, grouped]), k_BGKC]);
  const scaled = e.node('Mul', [scores, e.f32([scale], [])]);
  const scores_BHLC = e.node('Reshape', [scaled, e.i64([rows, heads, length, capacity])]);
  // How far each cell stands behind each new token; what is ahead of it, or as far behind as the window is long, may not be seen.
  const distance_BLC = distances(e, places, sizes);
  const ahead_BLC = e.node('Relu', [distance_BLC]);
  const behind = () => e.node('Relu', [e.node('Sub', [e.f32([1 - window], []), distance_BLC])]);
  const hidden_BLC = window === 0 ? ahead_BLC : e.node('Add', [ahead_BLC, behind()]);
  const bias = e.node('Mul', [e.node('Reshape', [hidden_BLC, e.i64([rows, 1, length, capacity])]), e.f32([FAR], [])]);
  const weights = e.node('Softmax', [e.node('Add', [scores_BHLC, bias])], { axis: -1 });
  const weights_BGC = e.node('Reshape', [weights, e.i64([rows, kvHeads, (heads / kvHeads) * length, capacity])]);
  const mixed = e.node('MatMul', [weights_BGC, v_BGCK]);
  const mixed_BHLK = e.node('Reshape', [mixed, e.i64([rows, heads, length, width])]);
  const mixed_BLHK = e.node('Transpose', [mixed_BHLK], { perm: [0, 2, 1, 3] });
  return e.node('Reshape', [mixed_BLHK, e.i64([rows, length, heads * width])]);
}

/** The cache [B, G, C, K] with the new rows [B, L, G*K] in their places, turned by their positions where there are tables. */
export function plainRows(e: Emitter, given: string, cache: string, places: Places, sizes: CachedSizes): string {
  const { rows, capacity, kvHeads, width } = sizes;
  const x_BLD = turned(e, given, kvHeads, places, sizes);
  const one = e.f32([1], []);
  // 1 where a cell is the place of a new token, else 0: the distances are whole numbers.
  const distance = e.node('Abs', [distances(e, places, sizes)]);
  const isPlace_BLC = e.node('Relu', [e.node('Sub', [one, distance])]);
  const isPlace_BCL = e.node('Transpose', [isPlace_BLC], { perm: [0, 2, 1] });
  const placed = e.node('Reshape', [e.node('MatMul', [isPlace_BCL, x_BLD]), e.i64([rows, capacity, kvHeads, width])]);
  const placed_BGCK = e.node('Transpose', [placed], { perm: [0, 2, 1, 3] });
  const taken = e.node('ReduceSum', [isPlace_BCL, e.i64([2])], { keepdims: 1 });
  const free = e.node('Reshape', [e.node('Sub', [one, taken]), e.i64([rows, 1, capacity, 1])]);
  return e.node('Add', [e.node('Mul', [cache, free]), placed_BGCK]);
}

/** Cell minus position of each new token: [B, L, C]. */
function distances(e: Emitter, places: Places, sizes: CachedSizes): string {
  const { rows, length, capacity } = sizes;
  const at = e.node('Reshape', [positions(e, places, sizes), e.i64([rows, length, 1])]);
  const cells = Array.from({ length: capacity }, (_, i) => i);
  return e.node('Sub', [e.f32(cells, [1, 1, capacity]), at]);
}

/** Positions of the new tokens as floats: [B, L]. */
function positions(e: Emitter, { last }: Places, { rows, length }: CachedSizes): string {
  const ends = e.node('Reshape', [e.node('Cast', [last], { to: FLOAT }), e.i64([rows, 1])]);
  const back = Array.from({ length }, (_, i) => i - length + 1);
  return e.node('Add', [ends, e.f32(back, [1, length])]);
}

/** x [B, L, heads * K] turned by its positions; x itself without tables. */
function turned(e: Emitter, x: string, heads: number, places: Places, sizes: CachedSizes): string {
  const [cos, sin] = places.tables;
  if (cos === undefined || sin === undefined) return x;
  const { rows, length, width } = sizes;
  const half = width / 2;
  const at = e.node('Cast', [positions(e, places, sizes)], { to: INT32 });
  const rotation = (table: string) =>
    e.node('Reshape', [e.node('Gather', [table, at], { axis: 0 }), e.i64([rows, length, 1, half])]);
  const [c, s] = [rotation(cos), rotation(sin)];
  const x_BLHK = e.node('Reshape', [x, e.i64([rows, length, heads, width])]);
  const part = (from: number) => e.node('Slice', [x_BLHK, e.i64([from]), e.i64([from + half]), e.i64([3])]);
  const [a, b] = [part(0), part(half)];
  const product = (left: string, right: string) => e.node('Mul', [left, right]);
  const first = e.node('Sub', [product(a, c), product(b, s)]);
  const second = e.node('Add', [product(b, c), product(a, s)]);
  return e.node('Reshape', [e.node('Concat', [first, second], { axis: 3 }), e.i64([rows, length, heads * width])]);
}

function headsFirst(e: Emitter, x: string, heads: number, { rows, length, width }: CachedSizes): string {
  const x_BLHK = e.node('Reshape', [x, e.i64([rows, length, heads, width])]);
  return e.node('Transpose', [x_BLHK], { perm: [0, 2, 1, 3] });
}
