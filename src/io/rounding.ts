/** Ways to round weights to few bits that are ours to make, where files bring their own. */
export type Rounding = 'nf4' | 'int8';

/** Rows of codes and of scales from `row` on. */
export interface Codes {
  readonly bytes: Uint8Array;
  readonly scales: Float32Array;
  readonly row: number;
}

/** How rows of so many values are rounded; blocks never straddle rows, so that rows can be read one by one. */
export interface RoundingScheme {
  readonly bytesOf: (width: number) => number;
  readonly scalesOf: (width: number) => number;
  round(values: Float32Array, width: number, into: Codes): void;
  widen(from: Codes, width: number, values: Float32Array): void;
}

/** Values of one block: they share a scale. QLoRA's and bitsandbytes' size for NF4. */
const BLOCK = 64;

/** The 16 levels of NF4 (Dettmers et al. 2023, arXiv:2305.14314, appendix E): quantiles of a normal distribution, with 0 among them. */
export const NF4_LEVELS: readonly number[] = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];

/** Between each level and the next. */
const NF4_MIDDLES = Float64Array.from(NF4_LEVELS.slice(1), (level, i) => (level + NF4_LEVELS[i]!) / 2);

const blocksOf = (width: number) => Math.ceil(width / BLOCK);

/** Codes of 4 bits, the first of two values in the high half of a byte, and the largest magnitude of each block as its scale. */
const nf4: RoundingScheme = {
  bytesOf: (width) => Math.ceil(width / 2),
  scalesOf: blocksOf,
  round(values, width, { bytes, scales, row }) {
    const rowBytes = Math.ceil(width / 2);
    eachBlock(values.length / width, width, (r, block, from, to) => {
      const scale = largest(values, r * width + from, r * width + to);
      scales[(row + r) * blocksOf(width) + block] = scale;
      for (let i = from; i < to; i++) {
        const code = scale === 0 ? 7 : nearestLevel(values[r * width + i]! / scale);
        bytes[(row + r) * rowBytes + (i >> 1)]! |= i % 2 === 0 ? code << 4 : code;
      }
    });
  },
  widen({ bytes, scales, row }, width, values) {
    const rowBytes = Math.ceil(width / 2);
    const levels = Float64Array.from(NF4_LEVELS);
    eachBlock(values.length / width, width, (r, block, from, to) => {
      const scale = scales[(row + r) * blocksOf(width) + block]!;
      let p = (row + r) * rowBytes + (from >> 1);
      const end = r * width + to;
      for (let o = r * width + from; o < end; o += 2) {
        const byte = bytes[p++]!;
        values[o] = levels[byte >> 4]! * scale;
        if (o + 1 < end) values[o + 1] = levels[byte & 15]! * scale;
      }
    });
  },
};

/** Signed codes of 8 bits; the largest magnitude of each block is 127. */
const int8: RoundingScheme = {
  bytesOf: (width) => width,
  scalesOf: blocksOf,
  round(values, width, { bytes, scales, row }) {
    eachBlock(values.length / width, width, (r, block, from, to) => {
      const scale = Math.fround(largest(values, r * width + from, r * width + to) / 127);
      scales[(row + r) * blocksOf(width) + block] = scale;
      for (let i = from; i < to; i++) {
        const code = scale === 0 ? 0 : Math.round(values[r * width + i]! / scale);
        bytes[(row + r) * width + i] = Math.max(-127, Math.min(127, code));
      }
    });
  },
  widen({ bytes, scales, row }, width, values) {
    eachBlock(values.length / width, width, (r, block, from, to) => {
      const scale = scales[(row + r) * blocksOf(width) + block]!;
      const codes = (row + r) * width;
      for (let i = from; i < to; i++) values[r * width + i] = ((bytes[codes + i]! << 24) >> 24) * scale;
    });
  },
};

/** Each way to round, by name. */
export const ROUNDINGS: Readonly<Record<Rounding, RoundingScheme>> = { nf4, int8 };

/** Rounds rows of so many values in place: to what reading them back would give. */
export function roundThrough(rounding: Rounding, values: Float32Array, width: number): void {
  const { bytesOf, scalesOf, round, widen } = ROUNDINGS[rounding];
  const rows = values.length / width;
  const codes = {
    bytes: new Uint8Array(rows * bytesOf(width)),
    scales: new Float32Array(rows * scalesOf(width)),
    row: 0,
  };
  round(values, width, codes);
  widen(codes, width, values);
}

function eachBlock(
  rows: number,
  width: number,
  visit: (row: number, block: number, from: number, to: number) => void,
): void {
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block * BLOCK < width; block++) {
      visit(row, block, block * BLOCK, Math.min(width, (block + 1) * BLOCK));
    }
  }
}

function largest(values: Float32Array, from: number, to: number): number {
  let most = 0;
  for (let i = from; i < to; i++) most = Math.max(most, Math.abs(values[i]!));
  return most;
}

function nearestLevel(value: number): number {
  let low = 0;
  let high = NF4_MIDDLES.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value > NF4_MIDDLES[middle]!) low = middle + 1;
    else high = middle;
  }
  return low;
}
