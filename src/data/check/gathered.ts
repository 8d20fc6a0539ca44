import { CATALOGUE, type CatalogueEntry, type ErrorCode } from '../../errors/index.ts';
import type { RowSource } from '../row.ts';
import { type Column, openColumn } from './notes.ts';
import { type CheckFinding, type CheckSeverity, type Found, SEVERITIES } from './types.ts';

/** Findings of a code that are kept, and of a code where many are kept already; all are counted. */
const MOST = 100_000;
const MOST_TOGETHER = 200_000;
const FEWER = 2000;

/** All findings of one code and severity. */
export interface CheckGroup {
  readonly code: ErrorCode;
  readonly severity: CheckSeverity;
  readonly count: number;
  readonly findings: readonly CheckFinding[];
  readonly rule: string;
  readonly fix: string | undefined;
}

/** Gathers findings by code and severity. */
export interface Findings {
  /** The first that is said of a line by one code counts. */
  add(
    code: ErrorCode,
    severity: CheckSeverity,
    found: Found,
    at: { readonly file: string; readonly line?: number | undefined },
  ): void;
  /** Errors first; within a severity the most frequent first. */
  groups(): CheckGroup[];
}

/** @param allow codes whose errors become warnings */
export function gatherFindings(allow: readonly string[]): Findings {
  const allowed = new Set(allow);
  const groups = new Map<string, CheckGroup & { count: number; findings: CheckFinding[] }>();
  const told = openTold();
  let kept = 0;
  return {
    add(code, own, found, { file, line }) {
      // Two checks may see the same thing in one row; the first that speaks is the surer one.
      if (line !== undefined && !told(code, file, line)) return;
      const meant = found.severity ?? own;
      const severity = meant === 'error' && allowed.has(code) ? 'warning' : meant;
      const entry: CatalogueEntry = CATALOGUE[code];
      const key = `${code} ${severity}`;
      let group = groups.get(key);
      if (group === undefined) {
        group = { code, severity, count: 0, findings: [], rule: entry.rule, fix: found.fix ?? entry.fix };
        groups.set(key, group);
      }
      group.count++;
      if (group.findings.length >= (kept < MOST_TOGETHER ? MOST : FEWER)) return;
      kept++;
      const { message, related = [], quote, score } = found;
      const fix = (found.fix ?? entry.fix)?.replace(/\bFILE\b/, file);
      group.findings.push({ code, severity, file, line, message, fix, related, quote, score });
    },
    groups() {
      const rank = (g: CheckGroup) => SEVERITIES.indexOf(g.severity);
      return [...groups.values()].sort((a, b) => rank(a) - rank(b) || b.count - a.count);
    },
  };
}

/** Whether a code says something of a line for the first time, as far as it is remembered. */
function openTold(): (code: ErrorCode, file: string, line: number) => boolean {
  const places = new Map<string, Set<number>>();
  return (code, file, line) => {
    const key = `${code} ${file}`;
    const lines = places.get(key) ?? new Set<number>();
    if (lines.size === 0) places.set(key, lines);
    if (lines.has(line)) return false;
    if (lines.size < MOST) lines.add(line);
    return true;
  };
}

/** Where rows stand, in few bytes each. */
export interface Sources {
  /** Returns the row's number, from 0. */
  push(source: RowSource): number;
  of(index: number): RowSource;
  count(): number;
}

/** Rows mostly follow one another line by line, so runs of them are kept. */
export function openSources(): Sources {
  const files: string[] = [];
  const [from, line, file]: [Column, Column, Column] = [openColumn(), openColumn(), openColumn()];
  let count = 0;
  let expected = -1;
  const push = (source: RowSource): number => {
    if (files.at(-1) !== source.file) {
      files.push(source.file);
      expected = -1;
    }
    if (source.line !== expected) {
      from.push(count);
      line.push(source.line);
      file.push(files.length - 1);
    }
    expected = source.line + 1;
    return count++;
  };
  const of = (index: number): RowSource => {
    let [low, high] = [0, from.length() - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (from.at(middle) <= index) low = middle;
      else high = middle - 1;
    }
    return { file: files[file.at(low)]!, line: line.at(low) + index - from.at(low) };
  };
  return { push, of, count: () => count };
}
