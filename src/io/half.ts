let halves: Float32Array | undefined;

/**
 * The float32 value of every IEEE 754 half-precision bit pattern, by its 16 bits. Made on first use (256 KiB).
 */
export function halfTable(): Float32Array {
  if (halves !== undefined) return halves;
  halves = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 0) halves[bits] = sign * fraction * 2 ** -24;
    else if (exponent === 31) halves[bits] = fraction === 0 ? sign * Infinity : Number.NaN;
    else halves[bits] = sign * (1024 + fraction) * 2 ** (exponent - 25);
  }
  return halves;
}

/**
 * Rounds float32 values (to nearest, ties to even) into the bytes of a file type, little-endian. NaN stays NaN, what is too large becomes infinite.
 */
export function floatsToBytes(values: Float32Array, type: 'F32' | 'F16' | 'BF16'): Uint8Array {
  if (type === 'F32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  const round = type === 'BF16' ? bfloatBits : halfBits;
  for (let i = 0; i < out.length; i++) out[i] = round(bits[i]!);
  return new Uint8Array(out.buffer);
}

function bfloatBits(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

function halfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and above round to infinity
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  // Below 2^-14 the half is a whole number of 2^-24. The shift drops what rounding decides on.
  const shift = 126 - (magnitude >>> 23);
  if (shift > 24) return sign;
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const kept = mantissa >>> shift;
  const rest = mantissa - kept * 2 ** shift;
  const half = 2 ** (shift - 1);
  return sign | (kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0));
}

const scratch = { value: new Float32Array(1) };

/** The half-precision bits nearest to a number. */
export function halfOf(value: number): number {
  scratch.value[0] = value;
  return halfBits(new Uint32Array(scratch.value.buffer)[0]!);
}
