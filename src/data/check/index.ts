export { lossOutliers, unaskedFindings } from './deep/loss-outliers.ts';
export { type MeantRow, meaningFindings } from './deep/meaning.ts';
export { type FixResult, fixFile, fixLogText, parseFixLog, undoFix } from './fix.ts';
export type { CheckGroup } from './gathered.ts';
export { checkPage } from './page.ts';
export type { PersonalMode, Pseudonyms } from './repair.ts';
export { type RowsOptions, readCheckRows } from './rows.ts';
export { type CheckOptions, type CheckProgress, type CheckReport, checkFiles } from './run.ts';
export { type CheckFinding, type CheckSeverity, type Found, type Placed, quoteStart, SEVERITIES } from './types.ts';
