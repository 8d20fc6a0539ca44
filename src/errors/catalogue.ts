/** One entry of the catalogue: the exit code it ends with, the rule it stands for, and the usual fix when the thrower names none. */
export interface CatalogueEntry {
  readonly exit: 1 | 2 | 3;
  readonly rule: string;
  readonly fix?: string;
}

/**
 * Every error that a user can meet, by code. Codes are `AREA_WHAT`; a retired code is never used again for something else.
 * Keep each area together and sorted.
 */
export const CATALOGUE = {
  // cli
  CLI_OPTION_UNKNOWN: { exit: 2, rule: 'Options are those that --help lists.' },
  CLI_OPTION_VALUE: { exit: 2, rule: 'The value of an option is of its type and within its range.' },
  // files
  FILE_NOT_FOUND: { exit: 2, rule: 'A named file or folder exists and can be read.' },
} as const satisfies Record<string, CatalogueEntry>;

/** The code of a catalogue error. */
export type ErrorCode = keyof typeof CATALOGUE;
