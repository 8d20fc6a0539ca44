import { CATALOGUE, type CatalogueEntry, type ErrorCode, nearestName, TunesmithError } from '../errors/index.ts';

/** An error stops the run unless --allow names its code; a warning is shown. */
export type Severity = 'error' | 'warning';

/** One thing that is wrong, or odd, with one row. */
export interface Finding {
  readonly code: ErrorCode;
  readonly severity: Severity;
  readonly file: string;
  /** Counts from 1; undefined for what concerns the whole file. */
  readonly line: number | undefined;
  readonly message: string;
  /** A command or an edit that mends it. */
  readonly fix: string | undefined;
}

/** All findings of one code. */
export interface FindingGroup {
  readonly code: ErrorCode;
  readonly severity: Severity;
  readonly count: number;
  /** The first five. */
  readonly examples: readonly Finding[];
  readonly rule: string;
  readonly fix: string | undefined;
}

/** What a check hands in; the severity follows from the code and from what is allowed. */
export interface Report {
  readonly code: ErrorCode;
  readonly file: string;
  readonly line?: number | undefined;
  readonly message: string;
  readonly fix?: string | undefined;
}

/** Collects findings by code. Holds five of each code, however many there are. */
export interface FindingLog {
  /** Returns the severity that the finding got. */
  add(report: Report): Severity;
  /** Errors first, each in order of first appearance. */
  groups(): FindingGroup[];
}

const EXAMPLES = 5;

/** Codes that never stop a run. */
const WARNINGS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'DATA_COLUMN_IGNORED',
  'DATA_DUPLICATE',
  'DATA_FILE_SKIPPED',
  'DATA_LABEL_FEW',
  'DATA_RATERS_DIVIDED',
  'DATA_ROW_LONG',
  'DATA_TRAILING',
  'DATA_VALID_OVERLAP',
]);

/**
 * Opens an empty log.
 *
 * @param allow codes that are let pass: their findings become warnings
 * @throws CLI_OPTION_VALUE if `allow` names no data code
 */
export function createFindingLog(allow: readonly string[] = []): FindingLog {
  const allowed = new Set(allow.map(dataCode));
  const groups = new Map<ErrorCode, FindingGroup & { count: number; examples: Finding[] }>();
  return {
    add({ code, file, line, message, fix }) {
      const severity = WARNINGS.has(code) || allowed.has(code) ? 'warning' : 'error';
      const entry: CatalogueEntry = CATALOGUE[code];
      let group = groups.get(code);
      if (group === undefined) {
        group = { code, severity, count: 0, examples: [], rule: entry.rule, fix: fix ?? entry.fix };
        groups.set(code, group);
      }
      group.count++;
      if (group.examples.length < EXAMPLES) {
        group.examples.push({ code, severity, file, line, message, fix: fix ?? entry.fix });
      }
      return severity;
    },
    groups: () => bySeverity([...groups.values()]),
  };
}

/** Joins the groups of several checks, codes together. */
export function mergeGroups(...lists: readonly (readonly FindingGroup[])[]): FindingGroup[] {
  const merged = new Map<ErrorCode, FindingGroup>();
  for (const group of lists.flat()) {
    const held = merged.get(group.code);
    if (held === undefined) merged.set(group.code, group);
    else {
      const examples = [...held.examples, ...group.examples].slice(0, EXAMPLES);
      merged.set(group.code, { ...held, count: held.count + group.count, examples });
    }
  }
  return bySeverity([...merged.values()]);
}

function bySeverity(groups: FindingGroup[]): FindingGroup[] {
  return [...groups.filter((g) => g.severity === 'error'), ...groups.filter((g) => g.severity === 'warning')];
}

function dataCode(name: string): ErrorCode {
  const codes = (Object.keys(CATALOGUE) as ErrorCode[]).filter((c) => /^(DATA|TEMPLATE|IMAGE)_/.test(c));
  const code = codes.find((c) => c === name);
  if (code !== undefined) return code;
  const near = nearestName(name, codes);
  throw new TunesmithError('CLI_OPTION_VALUE', {
    message: `--allow ${name}: no check of the data has this code.`,
    fix: near === undefined ? 'take the code from the message that the check printed.' : `--allow ${near}`,
  });
}

/** The groups as lines for a terminal: a head line for each code, its examples, its fix. */
export function formatFindings(groups: readonly FindingGroup[]): string {
  const lines: string[] = [];
  for (const group of groups) {
    lines.push(`${group.severity} ${group.code} (${group.count}): ${group.rule}`);
    for (const example of group.examples) lines.push(`  ${place(example)} ${example.message}`);
    if (group.count > group.examples.length) lines.push(`  and ${group.count - group.examples.length} more`);
    if (group.fix !== undefined) lines.push(`  Fix: ${group.fix}`);
  }
  return lines.join('\n');
}

/**
 * One error out of all that stops the run: code, place and fix of the first, then the other rows and the other codes.
 *
 * @returns undefined if the groups hold warnings only
 */
export function dataError(groups: readonly FindingGroup[]): TunesmithError | undefined {
  const [first, ...others] = groups.filter((g) => g.severity === 'error');
  const example = first?.examples[0];
  if (first === undefined || example === undefined) return undefined;
  const parts = [example.message];
  if (first.count > 1) parts.push(`(${first.count} rows: ${places(first)})`);
  if (others.length > 0) {
    const rest = others.map((g) => `${g.code} ${g.examples[0]!.message} (${g.count}: ${places(g)})`);
    parts.push(`Also: ${rest.join('; ')}.`);
  }
  const { code, file, line, fix } = example;
  return new TunesmithError(code, { message: parts.join(' '), file, line, fix });
}

/** Throws {@link dataError} if there is one. */
export function assertNoErrors(groups: readonly FindingGroup[]): void {
  const error = dataError(groups);
  if (error !== undefined) throw error;
}

function place({ file, line }: Finding): string {
  return line === undefined ? file : `${file}:${line}`;
}

function places(group: FindingGroup): string {
  return group.examples.map(place).join(', ') + (group.count > group.examples.length ? ', ...' : '');
}
