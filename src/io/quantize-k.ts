import { halfOf, halfTable } from './half.ts';

/** Types of 256 values that we encode. */
export type EncodedKType = 'Q4_K' | 'Q5_K' | 'Q6_K';

/** Encodes 256 values of x from `at` into the block at byte `p`. */
export type KEncoder = (x: Float32Array, at: number, out: Uint8Array, p: number) => void;

/** The highest level of the types with a scale and a minimum. */
const MOST = { Q4_K: 15, Q5_K: 31 } as const;

/** Trials for the scale of 32 values: trial i spreads their range over `most - 1 + 0.1 i` levels. */
const TRIALS = 21;

/** Below this a group of values counts as zeros. */
const NOTHING = 1e-15;

/** The encoder of a type, with memory of its own. */
export function encodeK(type: EncodedKType): KEncoder {
  return type === 'Q6_K' ? encodeSigned() : encodeRanges(type);
}

/**
 * Q4_K and Q5_K: eight groups of 32 values, x = d s q - dmin m. The scale and minimum of a group minimise the squared error weighted by
 * rms + |x|: for each trial scale the levels are rounded, and then scale and minimum are solved for by least squares.
 */
function encodeRanges(type: 'Q4_K' | 'Q5_K'): KEncoder {
  const most = MOST[type];
  const weights = new Float64Array(32);
  const levels = new Uint8Array(256);
  const steps = new Float64Array(8);
  const mins = new Float64Array(8);
  return (x, at, out, p) => {
    for (let group = 0; group < 8; group++) {
      const fit = fitRange(x, at + group * 32, weights, most);
      steps[group] = fit.step;
      mins[group] = fit.min;
    }
    const largestStep = Math.max(...steps);
    const largestMin = Math.max(...mins);
    const dBits = halfOf(largestStep / 63);
    const minBits = halfOf(largestMin / 63);
    const d = halfTable()[dBits]!;
    const dmin = halfTable()[minBits]!;
    writeBits(out, p, dBits);
    writeBits(out, p + 2, minBits);
    out.fill(0, p + 4, p + 16);
    for (let group = 0; group < 8; group++) {
      const s = largestStep > 0 ? Math.min(63, Math.round((63 * steps[group]!) / largestStep)) : 0;
      const m = largestMin > 0 ? Math.min(63, Math.round((63 * mins[group]!) / largestMin)) : 0;
      packScale(out, p + 4, group, s, m);
      roundRange(x, at + group * 32, levels, group * 32, d * s, dmin * m, most);
    }
    if (type === 'Q4_K') packNibbles(levels, out, p + 16);
    else packFive(levels, out, p + 16, p + 48);
  };
}

function writeBits(out: Uint8Array, p: number, bits: number): void {
  out[p] = bits & 255;
  out[p + 1] = bits >> 8;
}

/** Scales and minimums of 6 bits in 12 bytes: the first four in whole bytes, the others in nibbles and in the two bits that those leave. */
function packScale(out: Uint8Array, p: number, group: number, scale: number, min: number): void {
  if (group < 4) {
    out[p + group] = out[p + group]! | scale;
    out[p + group + 4] = out[p + group + 4]! | min;
    return;
  }
  out[p + group + 4] = (scale & 15) | ((min & 15) << 4);
  out[p + group - 4] = out[p + group - 4]! | ((scale >> 4) << 6);
  out[p + group] = out[p + group]! | ((min >> 4) << 6);
}

/** x = step q - min for 32 values; step and min are not negative. */
function fitRange(
  x: Float32Array,
  at: number,
  weights: Float64Array,
  most: number,
): { readonly step: number; readonly min: number } {
  let squares = 0;
  let low = 0;
  let high = x[at]!;
  for (let i = 0; i < 32; i++) {
    const value = x[at + i]!;
    squares += value * value;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (high - low < NOTHING) return { step: 0, min: -low };
  const rms = Math.sqrt(squares / 32);
  let w = 0;
  let wx = 0;
  let wxx = 0;
  for (let i = 0; i < 32; i++) {
    const value = x[at + i]!;
    const weight = rms + Math.abs(value);
    weights[i] = weight;
    w += weight;
    wx += weight * value;
    wxx += weight * value * value;
  }
  let best = { step: 0, min: 0, error: Infinity };
  for (let trial = -1; trial < TRIALS; trial++) {
    // The first trial takes the plain range and solves for nothing.
    const inverse = (trial < 0 ? most : most - 1 + 0.1 * trial) / (high - low);
    let wl = 0;
    let wll = 0;
    let wlx = 0;
    for (let i = 0; i < 32; i++) {
      const value = x[at + i]!;
      const level = Math.min(most, (inverse * (value - low) + 0.5) | 0);
      const weighted = weights[i]! * level;
      wl += weighted;
      wll += weighted * level;
      wlx += weighted * value;
    }
    const determinant = w * wll - wl * wl;
    if (trial >= 0 && determinant <= 0) continue;
    let step = trial < 0 ? 1 / inverse : (w * wlx - wx * wl) / determinant;
    let offset = trial < 0 ? low : (wll * wx - wl * wlx) / determinant;
    if (offset > 0) {
      offset = 0;
      step = wlx / wll;
    }
    const error = step * step * wll + offset * offset * w + wxx + 2 * (step * offset * wl - step * wlx - offset * wx);
    if (error < best.error) best = { step, min: -offset, error };
  }
  return best;
}

/** The nearest levels under the scales as the file holds them. */
function roundRange(
  x: Float32Array,
  at: number,
  levels: Uint8Array,
  to: number,
  step: number,
  min: number,
  most: number,
): void {
  const inverse = step > 0 ? 1 / step : 0;
  for (let i = 0; i < 32; i++) {
    levels[to + i] = Math.max(0, Math.min(most, Math.round((x[at + i]! + min) * inverse)));
  }
}

/** 4 bits each: of 64 values the first 32 in the low nibbles. */
function packNibbles(levels: Uint8Array, out: Uint8Array, p: number): void {
  for (let pair = 0, q = p; pair < 256; pair += 64) {
    for (let i = 0; i < 32; i++) out[q++] = (levels[pair + i]! & 15) | ((levels[pair + i + 32]! & 15) << 4);
  }
}

/** As the nibbles, with the fifth bits of group g in bit g of 32 bytes. */
function packFive(levels: Uint8Array, out: Uint8Array, high: number, low: number): void {
  for (let i = 0; i < 32; i++) {
    let bits = 0;
    for (let group = 0; group < 8; group++) bits |= (levels[group * 32 + i]! >> 4) << group;
    out[high + i] = bits;
  }
  packNibbles(levels, out, low);
}

/** Q6_K: sixteen groups of 16 values, x = d s (q - 32). The scale of a group minimises the squared error weighted by x^2. */
function encodeSigned(): KEncoder {
  const scales = new Float64Array(16);
  const levels = new Uint8Array(256);
  return (x, at, out, p) => {
    let extreme = 0;
    for (let group = 0; group < 16; group++) {
      const scale = fitSigned(x, at + group * 16);
      scales[group] = scale;
      if (Math.abs(scale) > Math.abs(extreme)) extreme = scale;
    }
    if (Math.abs(extreme) < NOTHING) {
      out.fill(0, p, p + 210);
      return;
    }
    const bits = halfOf(extreme / -128);
    const d = halfTable()[bits]!;
    writeBits(out, p + 208, bits);
    for (let group = 0; group < 16; group++) {
      const s = Math.min(127, Math.round((-128 * scales[group]!) / extreme));
      out[p + 192 + group] = s;
      const inverse = d * s === 0 ? 0 : 1 / (d * s);
      for (let i = group * 16; i < group * 16 + 16; i++) {
        levels[i] = 32 + Math.max(-32, Math.min(31, Math.round(x[at + i]! * inverse)));
      }
    }
    packSix(levels, out, p);
  };
}

/** Of 128 values: low 4 bits of the first and third quarter share bytes, as do those of the second and fourth; the high 2 bits of all four share one. */
function packSix(levels: Uint8Array, out: Uint8Array, p: number): void {
  for (let part = 0; part < 2; part++) {
    const from = part * 128;
    for (let i = 0; i < 32; i++) {
      const a = levels[from + i]!;
      const b = levels[from + i + 32]!;
      const c = levels[from + i + 64]!;
      const d = levels[from + i + 96]!;
      out[p + part * 64 + i] = (a & 15) | ((c & 15) << 4);
      out[p + part * 64 + i + 32] = (b & 15) | ((d & 15) << 4);
      out[p + 128 + part * 32 + i] = (a >> 4) | ((b >> 4) << 2) | ((c >> 4) << 4) | ((d >> 4) << 6);
    }
  }
}

/** The scale of x = scale q for 16 values, q from -32 to 31; its sign is such that the extreme value has q = -32. */
function fitSigned(x: Float32Array, at: number): number {
  let extreme = 0;
  for (let i = at; i < at + 16; i++) if (Math.abs(x[i]!) > Math.abs(extreme)) extreme = x[i]!;
  if (Math.abs(extreme) < NOTHING) return 0;
  let best = 0;
  let scale = 0;
  for (let trial = -9; trial <= 9; trial++) {
    const inverse = -(32 + 0.1 * trial) / extreme;
    let wlx = 0;
    let wll = 0;
    for (let i = at; i < at + 16; i++) {
      const value = x[i]!;
      // Rounded by cutting off, which wants what is not negative.
      const level = Math.min(31, Math.max(-32, ((inverse * value + 64.5) | 0) - 64));
      const weighted = value * value * level;
      wlx += weighted * value;
      wll += weighted * level;
    }
    // The squared error falls by wlx^2 / wll.
    if (wll > 0 && wlx * wlx > best * wll) {
      scale = wlx / wll;
      best = scale * wlx;
    }
  }
  return scale;
}
