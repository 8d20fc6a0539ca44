import { type Example, IGNORE } from '../text/example.ts';
import { type MicroBatchPlan, packedLength } from './batches.ts';

/** The tokens of one row among those of its micro-batch. */
export interface RowSpan {
  /** Index in the batch that the micro-batch was cut from. */
  readonly row: number;
  /** Index in N of its first token that is its own: not shared with a row before it. */
  readonly from: number;
  /** Own tokens. */
  readonly count: number;
  /** How many of the micro-batch's targets are this row's. */
  readonly targets: number;
}

/** Cells of the grid whose token stands in an earlier row too. Legend: E such cells, padded with ones that do not count. */
export interface SharedCells {
  /** [R*L] 1 for the first cell of each token, else 0. */
  readonly owner: Float32Array;
  /** [E] */
  readonly cells: Int32Array;
  /** [E] their tokens in N. */
  readonly tokens: Int32Array;
  /** [E] 0 for padding. */
  readonly valid: Float32Array;
}

/**
 * The inputs of one micro-batch. Legend: N tokens, R rows, L cells of a row, P tokens with loss.
 *
 * Linear layers see the N tokens; attention sees an R x L grid that `gridIndex` gathers from them, and `inverse` brings its output back.
 */
export interface MicroBatch {
  readonly rows: number;
  readonly length: number;
  /** [N] token ids; padding is 0. */
  readonly ids: Int32Array;
  /** [N] position in its row, from 0; padding is 0. */
  readonly positions: Int32Array;
  /** [R*L] for each cell its token in N; empty cells point to 0 (in a dense batch: to themselves). */
  readonly gridIndex: Int32Array;
  /** [R*L] 1 for a cell with a token, else 0. */
  readonly gridValid: Float32Array;
  /** Where each row lies in N, and which row of the batch it is. */
  readonly spans: readonly RowSpan[];
  /** [N] for each token its cell; padding points to cell 0 (in a dense batch: to itself). */
  readonly inverse: Int32Array;
  /** Set where rows share tokens. */
  readonly shared?: SharedCells;
  /** N equals R*L and both index inputs are the identity: nothing need be gathered. */
  readonly dense: boolean;
  /** [P] index in N of the hidden state that predicts the target, which is the token before it. */
  readonly lossPositions: Int32Array;
  /** [P] the token ids that are to be predicted. */
  readonly lossTargets: Int32Array;
  /** [P] what the gradient of each loss counts; not given, each counts 1. */
  readonly lossWeights?: Float32Array;
  /** [P] the classes of each row, where rows are classified. */
  readonly classes?: readonly (readonly number[])[];
  /** Distributions that are to be met beside the targets. */
  readonly soft?: SoftTargets;
  /** Tokens of the rows, without padding; a token that rows share counts in each of them. */
  readonly realTokens: number;
  /** Of N those that are not padding. */
  readonly usedTokens: number;
  /** P. */
  readonly lossTokens: number;
}

/** What the next token shall be distributed as, at S positions: the K likeliest tokens, and one share for all others. */
export interface SoftTargets {
  /** K. */
  readonly kept: number;
  /** [S] index in N of the hidden state that predicts. */
  readonly positions: Int32Array;
  /** [S*K] token ids. */
  readonly ids: Int32Array;
  /** [S*K] their probabilities. */
  readonly shares: Float32Array;
  /** [S] the probability of all other tokens together. */
  readonly rest: Float32Array;
  /** [S] what the gradient of each position counts. */
  readonly weights: Float32Array;
}

/**
 * Lays the rows of a plan out.
 *
 * @param batch the examples of the batch that was planned
 */
export function buildMicroBatch(batch: readonly Example[], plan: MicroBatchPlan): MicroBatch {
  const examples = plan.rows.map((r) => batch[r]!);
  const { length } = plan;
  const cells = examples.length * length;
  const { tokens, usedTokens, places, shared } = placedTokens(examples, plan);
  const dense = shared === undefined && tokens === cells;
  const isFirst = (cell: number) => shared === undefined || shared.owner[cell] === 1;
  const ids = new Int32Array(tokens);
  const positions = new Int32Array(tokens);
  const gridIndex = new Int32Array(cells);
  const gridValid = new Float32Array(cells);
  const inverse = new Int32Array(tokens);
  if (dense) for (let i = 0; i < tokens; i++) gridIndex[i] = inverse[i] = i;
  for (const [r, example] of examples.entries()) {
    for (let i = 0; i < example.ids.length; i++) {
      const [cell, token] = [r * length + i, places[r]![i]!];
      ids[token] = example.ids[i]!;
      positions[token] = i;
      gridIndex[cell] = token;
      gridValid[cell] = 1;
      if (isFirst(cell)) inverse[token] = cell;
    }
  }
  const { lossPositions, lossTargets, counts } = lossOf(examples, places);
  const spans = places.map((place, r): RowSpan => {
    const own = place.filter((_, i) => isFirst(r * length + i));
    return { row: plan.rows[r]!, from: own[0] ?? 0, count: own.length, targets: counts[r]! };
  });
  const lossTokens = lossTargets.length;
  const classes = examples.flatMap((example) => (example.classes === undefined ? [] : [example.classes]));
  const classified = classes.length === 0 ? {} : { classes };
  const realTokens = examples.reduce((n, example) => n + example.ids.length, 0);
  const shape = { rows: examples.length, length, dense, realTokens, usedTokens, lossTokens, ...classified };
  const grid = { gridIndex, gridValid, inverse, ...(shared === undefined ? {} : { shared }) };
  return { ...shape, spans, ids, positions, ...grid, lossPositions, lossTargets };
}

/** Where the tokens of rows stand. */
interface Placed {
  /** N. */
  readonly tokens: number;
  readonly usedTokens: number;
  /** For each row, for each of its tokens the index in N. */
  readonly places: readonly Int32Array[];
  readonly shared: SharedCells | undefined;
}

/** Fewer shared cells save less than it costs to add up their gradients. */
const LEAST_SHARED = 16;
/** Numbers of shared cells come in multiples of it: each is a program to compile. */
const SHARED_UNIT = 64;

function placedTokens(examples: readonly Example[], { length, tokens, share }: MicroBatchPlan): Placed {
  const dense = tokens === examples.length * length;
  const usedTokens = examples.reduce((n, { ids }) => n + ids.length, 0);
  if (share) {
    const trie = tokenTrie(examples);
    if (usedTokens - trie.count >= LEAST_SHARED) {
      const shared = sharedCells(trie.places, examples.length * length, length);
      return { tokens: packedLength(trie.count), usedTokens: trie.count, places: trie.places, shared };
    }
  }
  let start = 0;
  const places = examples.map(({ ids }, r) => {
    const from = dense ? r * length : start;
    start += ids.length;
    return Int32Array.from(ids, (_, i) => from + i);
  });
  return { tokens, usedTokens, places, shared: undefined };
}

/** Gives tokens the same place where all tokens before them are the same too. */
function tokenTrie(examples: readonly Example[]): { readonly places: Int32Array[]; readonly count: number } {
  const next = new Map<string, number>();
  let count = 0;
  const places = examples.map(({ ids }) => {
    let before = -1;
    return Int32Array.from(ids, (id) => {
      const key = `${before},${id}`;
      const known = next.get(key);
      before = known ?? count++;
      if (known === undefined) next.set(key, before);
      return before;
    });
  });
  return { places, count };
}

function sharedCells(places: readonly Int32Array[], cells: number, length: number): SharedCells {
  const owner = new Float32Array(cells);
  const seen = new Set<number>();
  const doubled: [cell: number, token: number][] = [];
  for (const [r, row] of places.entries()) {
    for (const [i, token] of row.entries()) {
      if (seen.has(token)) doubled.push([r * length + i, token]);
      else owner[r * length + i] = 1;
      seen.add(token);
    }
  }
  const padded = Math.ceil(doubled.length / SHARED_UNIT) * SHARED_UNIT;
  const column = (of: 0 | 1) => Int32Array.from({ length: padded }, (_, i) => doubled[i]?.[of] ?? 0);
  return { owner, cells: column(0), tokens: column(1), valid: new Float32Array(padded).fill(1, 0, doubled.length) };
}

function lossOf(examples: readonly Example[], places: readonly Int32Array[]) {
  const positions: number[] = [];
  const targets: number[] = [];
  const counts = examples.map(({ labels, classes }, r) => {
    const before = targets.length;
    const place = places[r]!;
    if (classes !== undefined) {
      positions.push(place.at(-1)!);
      targets.push(classes[0] ?? 0);
    }
    for (let i = 1; i < labels.length; i++) {
      if (labels[i] === IGNORE) continue;
      positions.push(place[i - 1]!);
      targets.push(labels[i]!);
    }
    return targets.length - before;
  });
  return { lossPositions: Int32Array.from(positions), lossTargets: Int32Array.from(targets), counts };
}

/** Where the targets of each row stand among those of its micro-batch: from `from` up to `to`. */
export function* targetsByRow({
  spans,
}: MicroBatch): Generator<{ readonly row: number; readonly from: number; readonly to: number }> {
  let from = 0;
  for (const { row, targets } of spans) {
    yield { row, from, to: from + targets };
    from += targets;
  }
}

/** Index in N of a token of the i-th row of a micro-batch. */
export function tokenAt({ gridIndex, length }: MicroBatch, i: number, position: number): number {
  return gridIndex[i * length + position]!;
}
