/** Terms of a sum over the vocabulary that are added up in one go. */
export const STRIP = 128;

/** Bytes of a slice of the vocabulary's weights in float32, at most: far below the 128 MiB that WebGPU binds, and no slower than all at once. */
const SLICE_BYTES = 8 * 2 ** 20;

/**
 * Rows of each slice of a head [V, D]: one slice where all of it is small. Slices are whole strips, and of one size where the vocabulary can be
 * divided so, since each size is a program.
 */
export function headSlices(vocab: number, width: number, bytes: number = SLICE_BYTES): number[] {
  const least = Math.ceil((4 * vocab * width) / bytes);
  if (least <= 1) return [vocab];
  const rowsOf = (count: number) => Math.ceil(vocab / count / STRIP) * STRIP;
  const counts = Array.from({ length: least }, (_, i) => least + i);
  const rows = rowsOf(counts.find((count) => vocab % rowsOf(count) === 0) ?? least);
  const slices: number[] = [];
  for (let left = vocab; left > 0; left -= rows) slices.push(Math.min(rows, left));
  return slices;
}
