import type { ErrorCode } from '../errors/index.ts';
import type { Complain } from './messages.ts';
import type { Row, RowLabels } from './row.ts';
import { type Fields, kindOf, present } from './shapes.ts';

/** Columns that hold what a row is classified as. */
export const LABEL_COLUMNS: readonly string[] = ['label', 'labels'];

/**
 * Reads `label` (text, a number or a truth value) or `labels` (an array of them, empty where none applies). What is wrong is reported, and where
 * labels are optional their absence is not.
 */
export function readLabels(fields: Fields, wanted: 'required' | 'optional', complain: Complain): RowLabels | undefined {
  const [one, several] = [present(fields, 'label'), present(fields, 'labels')];
  if (one && several) return fault(complain, 'DATA_LABEL', 'has both label and labels.');
  if (!one && !several) {
    return wanted === 'required' ? fault(complain, 'DATA_LABEL', 'has no label and no labels.') : undefined;
  }
  if (one) {
    const name = labelName(fields.label);
    if (name !== undefined) return { kind: 'single', names: [name] };
    const what = Array.isArray(fields.label) ? 'an array; several labels go into "labels"' : named(fields.label);
    return fault(complain, 'DATA_LABEL', `label is ${what}.`);
  }
  if (!Array.isArray(fields.labels)) {
    return fault(complain, 'DATA_LABEL', `labels is ${kindOf(fields.labels)} where an array is expected.`);
  }
  const names: string[] = [];
  for (const [i, value] of (fields.labels as unknown[]).entries()) {
    const name = labelName(value);
    if (name === undefined) return fault(complain, 'DATA_LABEL', `labels[${i}] is ${named(value)}.`);
    if (names.includes(name)) return fault(complain, 'DATA_LABEL', `labels holds "${name}" twice.`);
    names.push(name);
  }
  return { kind: 'multi', names };
}

function fault(complain: Complain, code: ErrorCode, message: string): undefined {
  complain(code, message);
  return undefined;
}

function named(value: unknown): string {
  return typeof value === 'string' ? 'an empty text' : `${kindOf(value)} where text is expected`;
}

/** A number or a truth value is a label too, by how it is written. */
function labelName(value: unknown): string | undefined {
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return String(value);
  const text = typeof value === 'string' ? value.trim() : '';
  return text === '' ? undefined : text;
}

/** The labels of the rows, in the order of their names, and in how many rows each stands. */
export function countLabels(rows: readonly Row[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { labelled } of rows)
    for (const name of labelled?.names ?? []) counts.set(name, (counts.get(name) ?? 0) + 1);
  return new Map([...counts].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}
