import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { readSafetensorsHeader, readStoredRaw } from '../../src/io/index.ts';
import type { Example } from '../../src/text/example.ts';

/** A pre-tokenised row, as a data file holds it. */
export interface IdsRow {
  readonly input_ids: readonly number[];
  readonly labels: readonly number[];
  readonly attention_mask: readonly number[];
}

/** The rows on which the figures of a tiny golden model were taken, padding included, as transformers was given them. */
export function goldenRows(folder: string): IdsRow[] {
  const { tensors } = readSafetensorsHeader(path.join(folder, 'golden.safetensors'));
  const rowsOf = (name: string): number[][] => {
    const stored = tensors.find((t) => t.name === name);
    if (stored === undefined) throw new Error(`no tensor ${name}`);
    const raw = readStoredRaw(stored);
    const values = [...new BigInt64Array(raw.buffer, raw.byteOffset, raw.byteLength / 8)].map(Number);
    const width = stored.shape[1] ?? 0;
    return Array.from({ length: values.length / width }, (_, row) => values.slice(row * width, (row + 1) * width));
  };
  const [ids, labels, mask] = [rowsOf('input_ids'), rowsOf('labels'), rowsOf('attention_mask')];
  return ids.map((input_ids, row) => ({ input_ids, labels: labels[row] ?? [], attention_mask: mask[row] ?? [] }));
}

/** Writes rows as a .jsonl file and returns its path. */
export function writeRows(file: string, rows: readonly unknown[]): string {
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return file;
}

/** {@link goldenRows} as training sees them, without padding. */
export function goldenExamples(folder: string): Example[] {
  return goldenRows(folder).map(({ input_ids, labels, attention_mask }) => {
    const length = attention_mask.reduce((n, m) => n + m, 0);
    return { ids: Int32Array.from(input_ids.slice(0, length)), labels: Int32Array.from(labels.slice(0, length)) };
  });
}
