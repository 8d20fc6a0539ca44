export { type FixResult, fixFile, fixLogText, parseFixLog, undoFix } from './fix.ts';
export { checkPage } from './page.ts';
export type { PersonalMode, Pseudonyms } from './repair.ts';
export { type CheckGroup, type CheckOptions, type CheckReport, checkFiles } from './run.ts';
export { type CheckFinding, type CheckSeverity, type Found, SEVERITIES } from './types.ts';
