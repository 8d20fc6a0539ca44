import { TunesmithError } from '../errors/index.ts';
import { openScratch, type Scratch } from '../io/scratch.ts';
import { permutation } from '../math/random.ts';
import { HEAPS, pushHash, repeatedHashes } from './check/duplicate-checks.ts';
import { longHash } from './check/hashes.ts';
import { createFindingLog, type FindingGroup } from './findings.ts';
import type { Row } from './row.ts';
import { join, numbered, openSimilar, wordsOf } from './similar.ts';

/** Where validation rows come from. */
export type Validation =
  /** A tenth of the rows, at most 400. */
  | { readonly kind: 'auto' }
  /** A share of the rows, above 0 and below 1. */
  | { readonly kind: 'share'; readonly share: number }
  /** Rows of a file of their own. */
  | { readonly kind: 'rows'; readonly rows: readonly Row[] }
  | { readonly kind: 'none' };

/** The rows by what they are used for. */
export interface Split {
  readonly train: readonly Row[];
  /** Selects: early stopping, the best checkpoint. */
  readonly select: readonly Row[];
  /** Reports: read once, at the end. */
  readonly report: readonly Row[];
  /** What the reader of the figures should know, such as too few rows. */
  readonly notes: readonly string[];
  readonly findings: readonly FindingGroup[];
}

/** How rows are split. */
export interface SplitOptions {
  readonly validation: Validation;
  readonly seed: number;
}

/** Rows from which an automatic split is made, its share, and its largest size. */
const AUTO = { fewest: 20, share: 0.1, most: 400 };
/** Rows of a part below which its figures are rough. */
const FEW = 20;

/**
 * Splits rows into train, select and report. A function of (rows, options). Near-duplicates (and rows with the same prompt) come into the
 * same part; each part keeps the order of the rows.
 *
 * @throws DATA_SPLIT_TOO_SMALL if a share that was asked for leaves a part empty
 */
export function splitRows(rows: readonly Row[], { validation, seed }: SplitOptions): Split {
  switch (validation.kind) {
    case 'none':
      return {
        train: rows,
        select: [],
        report: [],
        notes: ['no rows are held out: nothing says whether it learned.'],
        findings: [],
      };
    case 'rows':
      return splitGiven(rows, validation.rows, seed);
    case 'auto': {
      if (rows.length >= AUTO.fewest) {
        const wanted = Math.min(AUTO.most, Math.max(2, Math.round(AUTO.share * rows.length)));
        return splitShare(rows, wanted, seed);
      }
      const note = `${rows.length} rows are too few to hold some out (${AUTO.fewest} are needed): nothing says whether it learned. Give validation rows with --valid FILE.`;
      return { train: rows, select: [], report: [], notes: [note], findings: [] };
    }
    case 'share': {
      const wanted = Math.round(validation.share * rows.length);
      const split = splitShare(rows, wanted, seed);
      if (split.train.length > 0 && split.select.length > 0 && split.report.length > 0) return split;
      throw new TunesmithError('DATA_SPLIT_TOO_SMALL', {
        message: `a share of ${validation.share} of ${rows.length} rows gives ${split.train.length} to train, ${split.select.length} to select and ${split.report.length} to report.`,
        fix: 'give another --valid FRACTION, a --valid FILE, or --valid none.',
      });
    }
    default:
      return validation satisfies never;
  }
}

type Part = 'train' | 'select' | 'report';

function splitShare(rows: readonly Row[], wanted: number, seed: number): Split {
  const groups = groupRows(rows);
  const parts = assignParts(groups, { select: Math.ceil(wanted / 2), report: Math.floor(wanted / 2) }, seed);
  const of = (part: Part) => rows.filter((_, i) => (parts[groups[i]!] ?? 'train') === part);
  const split = { train: of('train'), select: of('select'), report: of('report') };
  const held = split.select.length + split.report.length;
  const notes = sizeNotes(split);
  if (held < wanted / 2) {
    const kinds = new Set(groups).size;
    notes.push(
      `most rows are near-duplicates (${kinds} kinds among ${rows.length} rows), so only ${held} could be held out.`,
    );
  }
  return { ...split, notes, findings: [] };
}

function splitGiven(train: readonly Row[], held: readonly Row[], seed: number): Split {
  const groups = groupRows(held);
  const half = { select: Math.ceil(held.length / 2), report: Math.floor(held.length / 2) };
  const parts = assignParts(groups, half, seed);
  // Here there is no training part to fall back on: what fits nowhere goes to the report.
  const select = held.filter((_, i) => parts[groups[i]!] === 'select');
  const report = held.filter((_, i) => parts[groups[i]!] !== 'select');
  const split = { train, select, report };
  return { ...split, notes: sizeNotes(split), findings: overlap(train, held) };
}

/**
 * Puts groups into parts: in random order, each into the part that is furthest from its wanted size and has room for it. Where rows have strata
 * (a label, say), each part gets its share of every stratum; a group belongs to that of its first row.
 *
 * @param groups the group of each row, numbered from 0
 * @param wanted rows that each part shall have
 * @returns the part of each group; undefined of those that are in none
 */
export function assignParts<P extends string>(
  groups: Int32Array,
  wanted: Readonly<Record<P, number>>,
  seed: number,
  strata?: readonly string[],
): (P | undefined)[] {
  const sizes: number[] = [];
  const stratumOf: string[] = [];
  for (const [i, g] of groups.entries()) {
    sizes[g] = (sizes[g] ?? 0) + 1;
    stratumOf[g] ??= strata?.[i] ?? '';
  }
  const names = Object.keys(wanted) as P[];
  const rooms = roomOfStrata(sizes, stratumOf, names, wanted);
  const parts: (P | undefined)[] = sizes.map(() => undefined);
  for (const g of permutation(seed, 'split', 0, sizes.length)) {
    const room = rooms.get(stratumOf[g]!)!;
    const size = sizes[g]!;
    // Of parts with the same room the first one.
    const byRoom = [...names].sort((x, y) => room[y] - room[x]);
    const chosen = byRoom.find((name) => size <= room[name]);
    if (chosen === undefined) continue;
    parts[g] = chosen;
    room[chosen] -= size;
  }
  return parts;
}

/** The wanted sizes, divided among the strata by their rows; what rounding leaves goes to the largest remainders. */
function roomOfStrata<P extends string>(
  sizes: readonly number[],
  stratumOf: readonly string[],
  names: readonly P[],
  wanted: Readonly<Record<P, number>>,
): Map<string, Record<P, number>> {
  const rows = new Map<string, number>();
  let all = 0;
  for (const [g, size] of sizes.entries()) {
    rows.set(stratumOf[g]!, (rows.get(stratumOf[g]!) ?? 0) + size);
    all += size;
  }
  const rooms = new Map([...rows.keys()].map((stratum) => [stratum, {} as Record<P, number>]));
  for (const name of names) {
    const exact = [...rows].map(([stratum, n]) => ({ stratum, share: (wanted[name] * n) / Math.max(1, all) }));
    let left = wanted[name];
    for (const { stratum, share } of exact) {
      rooms.get(stratum)![name] = Math.floor(share);
      left -= Math.floor(share);
    }
    exact.sort((a, b) => (b.share % 1) - (a.share % 1));
    for (const { stratum } of exact.slice(0, left)) rooms.get(stratum)![name]++;
  }
  return rooms;
}

/** Groups of near-duplicates, and of rows with the same prompt. */
export function groupRows(rows: readonly Row[]): Int32Array {
  const groups = openGroups(openScratch(Number.POSITIVE_INFINITY));
  for (const row of rows) groups.add(row);
  return groups.finish();
}

/** Groups rows that come one by one and are not kept. */
export interface Groups {
  /** @param key rows with the same one are of one group */
  add(row: Row, key?: string): void;
  /** The group of each row, groups numbered in order of first appearance. */
  finish(): Int32Array;
}

/** @param scratch where what is compared lies */
export function openGroups(scratch: Scratch): Groups {
  const similar = openSimilar(scratch);
  const [prompts, keys] = [scratch.table(3, HEAPS), scratch.table(3, HEAPS)];
  let rows = 0;
  return {
    add(row, key) {
      similar.add(rowText(row));
      pushHash(prompts, longHash(promptKey(row)), rows);
      if (key !== undefined) pushHash(keys, longHash(key), rows);
      rows++;
    },
    finish() {
      const parents = similar.parents();
      // A prompt of many rows is an instruction ("Summarise:"), not the same question asked twice.
      const most = Math.max(10, Math.floor(rows * 0.05));
      for (const same of repeatedHashes(prompts, 3)) if (same.length <= most) joinAll(parents, same);
      for (const same of repeatedHashes(keys, 3)) joinAll(parents, same);
      return numbered(parents);
    },
  };
}

function joinAll(parents: Int32Array, same: readonly (readonly [number, number])[]): void {
  for (const [row] of same) join(parents, same[0]![0], row);
}

function overlap(train: readonly Row[], held: readonly Row[]): FindingGroup[] {
  const groups = groupRows([...train, ...held]);
  const trained = new Map<number, Row>();
  for (const [i, row] of train.entries()) if (!trained.has(groups[i]!)) trained.set(groups[i]!, row);
  const log = createFindingLog();
  for (const [i, row] of held.entries()) {
    const twin = trained.get(groups[train.length + i]!);
    if (twin === undefined) continue;
    const message = `is nearly the same as ${twin.source.file}:${twin.source.line}, which is trained.`;
    log.add({ code: 'DATA_VALID_OVERLAP', ...row.source, message });
  }
  return log.groups();
}

function sizeNotes({ select, report }: Pick<Split, 'select' | 'report'>): string[] {
  const notes: string[] = [];
  for (const [name, part] of [
    ['select', select],
    ['report', report],
  ] as const) {
    if (part.length < FEW)
      notes.push(`the part that ${name}s has ${part.length} rows, fewer than ${FEW}: its figures are rough.`);
  }
  return notes;
}

/** All text of a row, for comparison. */
function rowText(row: Row): string {
  switch (row.kind) {
    case 'messages':
      return row.messages
        .filter((m) => m.role !== 'system')
        .map((m) => `${m.content} ${m.tool_calls === undefined ? '' : JSON.stringify(m.tool_calls)}`)
        .join('\n');
    case 'prompt':
      return `${row.prompt}\n${row.completion}`;
    case 'text':
      return row.text;
    case 'ids':
      return row.ids.join(' ');
    default:
      return row satisfies never;
  }
}

/** What is asked; rows that ask nothing differ in their place. */
function promptKey(row: Row): string {
  const own = `${row.source.file}:${row.source.line}`;
  if (row.kind === 'prompt') return `prompt ${wordsOf(row.prompt).join(' ')}`;
  if (row.kind !== 'messages') return own;
  const asked = row.messages.filter((m) => m.role === 'user' || m.role === 'tool');
  return asked.length === 0 ? own : `asked ${wordsOf(asked.map((m) => m.content).join('\n')).join(' ')}`;
}
