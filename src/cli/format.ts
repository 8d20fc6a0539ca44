/** `98.4 MB`, decimal units as disks and downloads have them. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}

/** `1,234,567`. */
export function countText(count: number): string {
  return Math.round(count).toLocaleString('en-US');
}

/** `1 h 05 min`, `3 min 20 s`, `12 s`. */
export function durationText(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, '0')} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, '0')} min`;
}

/** Four digits after the point, or a dash where there is no number. */
export function lossText(loss: number | undefined): string {
  return loss === undefined ? '-' : loss.toFixed(4);
}

/** Rows in columns that line up; numbers stand right. The first row is the head. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  const right = widths.map(
    (_, i) => rows.length > 1 && rows.slice(1).every((row) => /^[-\d.,]+( \S{1,2})?$/.test(row[i] ?? '')),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (right[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return rows.map(line).join('\n');
}

/** Losses as a curve of braille dots, with the axis on the left. Values are averaged per column. */
export function curve(values: readonly number[], size: { readonly columns: number; readonly rows: number }): string {
  const finite = values.filter((value) => Number.isFinite(value));
  if (finite.length < 2) return '';
  const columns = Math.min(size.columns, finite.length) * 2;
  const dots = averages(finite, Math.min(columns, finite.length));
  const [low, high] = [Math.min(...dots), Math.max(...dots)];
  const height = size.rows * 4;
  const cells = Array.from({ length: size.rows }, () => new Array<number>(Math.ceil(dots.length / 2)).fill(0));
  for (const [x, value] of dots.entries()) {
    const y = high === low ? height - 1 : Math.round(((high - value) / (high - low)) * (height - 1));
    const row = cells[y >> 2];
    if (row !== undefined) row[x >> 1] = (row[x >> 1] ?? 0) | brailleBit(x & 1, y & 3);
  }
  const label = (i: number) => (i === 0 ? high.toFixed(3) : i === size.rows - 1 ? low.toFixed(3) : '').padStart(8);
  return cells
    .map((row, i) => `${label(i)} ┤${row.map((bits) => String.fromCodePoint(0x2800 + bits)).join('')}`)
    .join('\n');
}

/** Dots of a braille cell are numbered down the left column, then the right; the lowest pair came later. */
function brailleBit(x: number, y: number): number {
  return y === 3 ? (x === 0 ? 0x40 : 0x80) : 1 << (y + 3 * x);
}

function averages(values: readonly number[], buckets: number): number[] {
  return Array.from({ length: buckets }, (_, i) => {
    const from = Math.floor((i * values.length) / buckets);
    const part = values.slice(from, Math.max(from + 1, Math.floor(((i + 1) * values.length) / buckets)));
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
}
