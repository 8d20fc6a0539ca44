import { CATALOGUE, type CatalogueEntry, type ErrorCode } from './catalogue.ts';

/** Where a fault was found and what mends it. */
export interface ErrorDetails {
  /** What is wrong, in one sentence, with the offending value and the allowed ones. */
  readonly message: string;
  readonly file?: string | undefined;
  /** Counts from 1. */
  readonly line?: number | undefined;
  /** A command or an edit that mends it. */
  readonly fix?: string | undefined;
  readonly cause?: unknown;
}

/**
 * A fault of the input or of the surroundings, never of ours: it has a code from the catalogue and is shown without a stack trace.
 * Our own faults are plain `Error`s whose message starts with `internal:`.
 */
export class TunesmithError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, details: ErrorDetails) {
    super(formatError(code, details), details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'TunesmithError';
    this.code = code;
    this.details = details;
  }

  /** 1 failed, 2 wrong usage or input, 3 a gate said no. */
  get exitCode(): 1 | 2 | 3 {
    return CATALOGUE[this.code].exit;
  }
}

/** `CODE file:line message Fix: …`, the one-line form that the terminal shows. */
export function formatError(code: ErrorCode, details: ErrorDetails): string {
  const place =
    details.file === undefined ? '' : ` ${details.file}${details.line === undefined ? '' : `:${details.line}`}`;
  const entry: CatalogueEntry = CATALOGUE[code];
  const fix = details.fix ?? entry.fix;
  return `${code}${place} ${details.message}${fix === undefined ? '' : ` Fix: ${fix}`}`;
}
