/**
 * Random numbers without a generator: every value is a pure function of (seed, purpose, a, b, index), so that a resumed run needs no
 * random state and one consumer cannot shift another's numbers.
 *
 * Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011), the cipher that
 * JAX uses: additions, rotations and exclusive-or on 32-bit words only, which JavaScript does exactly and fast.
 */

/** What a stream of numbers is for, such as `shuffle`, `split`, `dropout/3`. Streams of different purposes are independent. */
export type Purpose = string;

/** Which stream: `a` and `b` are usually the step (or epoch) and the row, integers of at most 32 bits. */
export interface Stream {
  readonly seed: number;
  readonly purpose: Purpose;
  readonly a?: number;
  readonly b?: number;
}

const PARITY = 0x1bd11bda;

/** Encrypts the counter (c0, c1) under the key (k0, k1) into `out[at]`, `out[at + 1]`. */
// biome-ignore format: a round a line
export function threefry2x32(key0: number, key1: number, c0: number, c1: number, out: Uint32Array, at = 0): void {
  // Signed words let the engine compute in 32-bit registers.
  const k0 = key0 | 0;
  const k1 = key1 | 0;
  const k2 = PARITY ^ k0 ^ k1;
  let x = (c0 + k0) | 0;
  let y = (c1 + k1) | 0;
  // Five groups of four rounds; the rotation constants alternate, and a key word goes in after each group.
  x = (x + y) | 0; y = ((y << 13) | (y >>> 19)) ^ x;
  x = (x + y) | 0; y = ((y << 15) | (y >>> 17)) ^ x;
  x = (x + y) | 0; y = ((y << 26) | (y >>> 6)) ^ x;
  x = (x + y) | 0; y = ((y << 6) | (y >>> 26)) ^ x;
  x = (x + k1) | 0; y = (y + k2 + 1) | 0;
  x = (x + y) | 0; y = ((y << 17) | (y >>> 15)) ^ x;
  x = (x + y) | 0; y = ((y << 29) | (y >>> 3)) ^ x;
  x = (x + y) | 0; y = ((y << 16) | (y >>> 16)) ^ x;
  x = (x + y) | 0; y = ((y << 24) | (y >>> 8)) ^ x;
  x = (x + k2) | 0; y = (y + k0 + 2) | 0;
  x = (x + y) | 0; y = ((y << 13) | (y >>> 19)) ^ x;
  x = (x + y) | 0; y = ((y << 15) | (y >>> 17)) ^ x;
  x = (x + y) | 0; y = ((y << 26) | (y >>> 6)) ^ x;
  x = (x + y) | 0; y = ((y << 6) | (y >>> 26)) ^ x;
  x = (x + k0) | 0; y = (y + k1 + 3) | 0;
  x = (x + y) | 0; y = ((y << 17) | (y >>> 15)) ^ x;
  x = (x + y) | 0; y = ((y << 29) | (y >>> 3)) ^ x;
  x = (x + y) | 0; y = ((y << 16) | (y >>> 16)) ^ x;
  x = (x + y) | 0; y = ((y << 24) | (y >>> 8)) ^ x;
  x = (x + k1) | 0; y = (y + k2 + 4) | 0;
  x = (x + y) | 0; y = ((y << 13) | (y >>> 19)) ^ x;
  x = (x + y) | 0; y = ((y << 15) | (y >>> 17)) ^ x;
  x = (x + y) | 0; y = ((y << 26) | (y >>> 6)) ^ x;
  x = (x + y) | 0; y = ((y << 6) | (y >>> 26)) ^ x;
  out[at] = (x + k2) | 0;
  out[at + 1] = (y + k0 + 5) | 0;
}

/** FNV-1a over UTF-16 units: only has to tell purposes apart, the cipher does the mixing. */
function purposeWord(purpose: Purpose): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < purpose.length; i++) h = Math.imul(h ^ purpose.charCodeAt(i), 0x01000193);
  return h | 0;
}

/** The key of a stream: seed, then purpose, then (a, b) are folded in one after the other. */
function streamKey({ seed, purpose, a = 0, b = 0 }: Stream): Uint32Array {
  const key = new Uint32Array(2);
  threefry2x32(seed | 0, Math.floor(seed / 2 ** 32) | 0, purposeWord(purpose), purpose.length, key);
  threefry2x32(key[0]!, key[1]!, a | 0, b | 0, key);
  return key;
}

/** 53 random bits as a number in [0, 1). */
function unit(high: number, low: number): number {
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) * 2 ** -53;
}

/** One number, uniform in [0, 1) with 53 random bits. */
export function uniform(seed: number, purpose: Purpose, a = 0, b = 0): number {
  const word = streamKey({ seed, purpose, a, b });
  threefry2x32(word[0]!, word[1]!, 0, 0, word);
  return unit(word[0]!, word[1]!);
}

/** One number of the standard normal distribution. */
export function normal(seed: number, purpose: Purpose, a = 0, b = 0): number {
  const out = new Float64Array(1);
  normals(out, 0, 1, { seed, purpose, a, b });
  return out[0]!;
}

/** An unbiased random order of 0 .. n-1 (Fisher-Yates), a function of (seed, purpose, epoch). */
export function permutation(seed: number, purpose: Purpose, epoch: number, n: number): Uint32Array {
  const key = streamKey({ seed, purpose, a: epoch });
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  const word = new Uint32Array(2);
  for (let i = n - 1; i > 0; i--) {
    threefry2x32(key[0]!, key[1]!, i, 0, word);
    const j = Math.floor(unit(word[0]!, word[1]!) * (i + 1));
    const held = order[i]!;
    order[i] = order[j]!;
    order[j] = held;
  }
  return order;
}

/** Fills `out` with numbers uniform in [low, high), rounded to float32. */
export function fillUniform(out: Float32Array, low: number, high: number, stream: Stream): Float32Array {
  const key = streamKey(stream);
  const word = new Uint32Array(2);
  const span = high - low;
  for (let i = 0; i < out.length; i += 2) {
    threefry2x32(key[0]!, key[1]!, i, 0, word);
    out[i] = low + span * ((word[0]! >>> 8) * 2 ** -24);
    if (i + 1 < out.length) out[i + 1] = low + span * ((word[1]! >>> 8) * 2 ** -24);
  }
  return out;
}

/** Fills `out` with normal numbers of the given mean and standard deviation, rounded to float32. */
export function fillNormal(out: Float32Array, mean: number, deviation: number, stream: Stream): Float32Array {
  normals(out, mean, deviation, stream);
  return out;
}

/** Box-Muller. Math.log, cos and sin of V8 are its own code, not the platform's, so the bits are the same everywhere. */
function normals(out: Float32Array | Float64Array, mean: number, deviation: number, stream: Stream): void {
  const key = streamKey(stream);
  const word = new Uint32Array(2);
  for (let i = 0; i < out.length; i += 2) {
    threefry2x32(key[0]!, key[1]!, i, 0, word);
    // The half step keeps the logarithm's argument inside (0, 1).
    const radius = Math.sqrt(-2 * Math.log((word[0]! + 0.5) * 2 ** -32));
    const angle = 2 * Math.PI * (word[1]! * 2 ** -32);
    out[i] = mean + deviation * radius * Math.cos(angle);
    if (i + 1 < out.length) out[i + 1] = mean + deviation * radius * Math.sin(angle);
  }
}

/**
 * Fills `out` with a dropout mask (Srivastava et al. 2014): 0 for what is dropped, 1 / kept share for what stays, so that the expected
 * value is 1. The share is rounded to a multiple of 2^-16 (four decisions from one block of the cipher), and the scale follows the
 * rounded share, so there is no bias.
 */
export function fillDropout(out: Float32Array, share: number, stream: Stream): Float32Array {
  if (!(share >= 0 && share < 1)) throw new Error(`internal: dropout share ${share}`);
  const threshold = Math.min(65535, Math.round(share * 65536));
  if (threshold === 0) return out.fill(1);
  const scale = 65536 / (65536 - threshold);
  const key = streamKey(stream);
  const word = new Uint32Array(2);
  const whole = out.length & ~3;
  for (let i = 0; i < out.length; i += 4) {
    threefry2x32(key[0]!, key[1]!, i, 0, word);
    const x = word[0]!;
    const y = word[1]!;
    const at = i < whole ? i : 0;
    const to = i < whole ? out : new Float32Array(4);
    to[at] = (x & 0xffff) < threshold ? 0 : scale;
    to[at + 1] = x >>> 16 < threshold ? 0 : scale;
    to[at + 2] = (y & 0xffff) < threshold ? 0 : scale;
    to[at + 3] = y >>> 16 < threshold ? 0 : scale;
    if (to !== out) out.set(to.subarray(0, out.length - i), i);
  }
  return out;
}
