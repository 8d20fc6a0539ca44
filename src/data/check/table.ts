import type { ErrorCode } from '../../errors/index.ts';
import { corpusChecks, type SourceOf } from './corpus-checks.ts';
import { labelChecks } from './label-checks.ts';
import { leakChecks } from './leak-checks.ts';
import { rowChecks } from './row-checks.ts';
import type { Check, CheckRow, CheckSeverity } from './types.ts';

/** All checks, fresh: some remember the row at hand. */
export function checkTable(sourceOf: SourceOf, heldOut: readonly CheckRow[] = []): readonly Check[] {
  const leaks = heldOut.length === 0 ? [] : leakChecks(sourceOf, heldOut);
  return [...rowChecks(), ...corpusChecks(sourceOf), ...labelChecks(sourceOf), ...leaks];
}

/** What reading a row finds and is no error. */
const READING: Readonly<Partial<Record<ErrorCode, CheckSeverity>>> = {
  DATA_COLUMN_IGNORED: 'info',
  DATA_FILE_SKIPPED: 'info',
  DATA_TRAILING: 'warning',
  DATA_ROW_LONG: 'warning',
  DATA_ECHO: 'warning',
};

/** How grave a finding of the reader is. */
export function readingSeverity(code: ErrorCode): CheckSeverity {
  return READING[code] ?? 'error';
}
