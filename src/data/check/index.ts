export { type FixResult, fixFile, fixLogText, parseFixLog, undoFix } from './fix.ts';
export type { CheckGroup } from './gathered.ts';
export { checkPage } from './page.ts';
export type { PersonalMode, Pseudonyms } from './repair.ts';
export { type CheckOptions, type CheckProgress, type CheckReport, checkFiles } from './run.ts';
export { type CheckFinding, type CheckSeverity, type Found, SEVERITIES } from './types.ts';
