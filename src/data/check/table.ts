import type { ErrorCode } from '../../errors/index.ts';
import { CORPUS } from './corpus-checks.ts';
import { DUPLICATES } from './duplicate-checks.ts';
import { LABELS } from './label-checks.ts';
import { LEAKS } from './leak-checks.ts';
import type { CheckSeverity, CorpusCheck } from './types.ts';

/** All checks over all rows, in the order in which they finish. */
export function corpusChecks(heldOut: boolean): readonly CorpusCheck[] {
  return [...DUPLICATES, ...CORPUS, ...LABELS, ...(heldOut ? LEAKS : [])];
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
