import { percentile } from '../math/stats.ts';
import { IGNORE } from '../text/example.ts';
import { languageOf } from './check/language.ts';
import type { Content } from './formats/content.ts';
import { contentRow } from './formats/content-row.ts';
import type { Render } from './length.ts';
import type { RowSource } from './row.ts';

/** How values are spread. */
export interface Spread {
  readonly least: number;
  readonly median: number;
  readonly mean: number;
  readonly p90: number;
  readonly p99: number;
  readonly most: number;
}

/** What there is in data files. */
export interface DataStats {
  readonly rows: number;
  readonly kinds: Readonly<Partial<Record<Content['kind'], number>>>;
  /** Characters of a row. */
  readonly characters: Spread | undefined;
  /** Messages of a conversation, without the system prompt. */
  readonly turns: Spread | undefined;
  readonly withSystem: number;
  readonly withTools: number;
  /** Rows by their language, most frequent first; `unknown` where a text says too little. */
  readonly languages: readonly (readonly [string, number])[];
  readonly labels: readonly (readonly [string, number])[];
  readonly tokens: TokenStats | undefined;
}

/** What a model makes of the rows. */
export interface TokenStats {
  /** Tokens of an example. */
  readonly length: Spread | undefined;
  readonly examples: number;
  readonly total: number;
  /** Tokens with loss. */
  readonly supervised: number;
  /** The length that was asked about, or what the model can read. */
  readonly maxLength: number;
  /** Examples that are longer, and their tokens beyond it. */
  readonly long: number;
  readonly beyond: number;
}

/** Gathers figures of rows; numbers of each row are kept, texts are not. */
export interface StatsCollector {
  add(content: Content, source: RowSource): void;
  finish(): DataStats;
}

/** @param tokens how rows become tokens, and the length that is asked about */
export function collectStats(tokens?: { readonly render: Render; readonly maxLength: number }): StatsCollector {
  const kinds: Partial<Record<Content['kind'], number>> = {};
  const [characters, turns, lengths]: [number[], number[], number[]] = [[], [], []];
  const [languages, labels] = [new Map<string, number>(), new Map<string, number>()];
  let [rows, withSystem, withTools, supervised] = [0, 0, 0, 0];
  const add = (content: Content, source: RowSource) => {
    rows++;
    kinds[content.kind] = (kinds[content.kind] ?? 0) + 1;
    const row = contentRow(content, source);
    if (row.kind === 'messages') {
      const said = row.messages.filter((m) => m.role !== 'system');
      if (said.length < row.messages.length) withSystem++;
      if (row.tools !== undefined) withTools++;
      turns.push(said.length);
      characters.push(row.messages.reduce((n, m) => n + m.content.length, 0));
      count(languages, languageOf(said.map((m) => m.content).join('\n')) ?? 'unknown');
    } else if (row.kind === 'text') {
      characters.push(row.text.length);
      count(languages, languageOf(row.text) ?? 'unknown');
    }
    for (const name of row.labelled?.names ?? []) count(labels, name);
    for (const { ids, labels: marks } of tokens?.render(row) ?? []) {
      lengths.push(ids.length);
      for (let i = 1; i < marks.length; i++) if (marks[i] !== IGNORE) supervised++;
    }
  };
  const finish = (): DataStats => ({
    ...{ rows, kinds, withSystem, withTools },
    characters: spread(characters),
    turns: spread(turns),
    languages: byCount(languages),
    labels: byCount(labels),
    tokens: tokens === undefined ? undefined : tokenStats(lengths, supervised, tokens.maxLength),
  });
  return { add, finish };
}

function tokenStats(lengths: readonly number[], supervised: number, maxLength: number): TokenStats {
  const long = lengths.filter((n) => n > maxLength);
  return {
    ...{ length: spread(lengths), examples: lengths.length, supervised, maxLength },
    total: lengths.reduce((a, b) => a + b, 0),
    long: long.length,
    beyond: long.reduce((a, b) => a + b - maxLength, 0),
  };
}

function spread(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  const at = (percent: number) => percentile(values, percent) ?? 0;
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return {
    least: values.reduce((a, b) => Math.min(a, b)),
    median: at(50),
    mean,
    p90: at(90),
    p99: at(99),
    most: at(100),
  };
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

function byCount(counts: ReadonlyMap<string, number>): [string, number][] {
  return [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
}
