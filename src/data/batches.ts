/** How a batch is cut into micro-batches. */
export interface MicroBatchOptions {
  /** Whether rows lie one after the other without padding; else each micro-batch is a padded rectangle. */
  readonly pack: boolean;
  /** Rows of a micro-batch; undefined fills it with rows of similar length up to `targetTokens`. */
  readonly microBatch?: number | undefined;
  /** Tokens of an automatic micro-batch, about. */
  readonly targetTokens?: number;
  /** So many rows after one another share a micro-batch, and count as one row: 2 for pairs of answers; or how many each time, for lists of answers. */
  readonly together?: number | readonly number[];
  /**
   * Whether what rows of a packed micro-batch begin with alike is computed once: causal attention gives it the same hidden states in each of them. Not to be had where tokens
   * get noise or masks of their own, or are counted. Default false.
   */
  readonly share?: boolean | undefined;
}

/** The shape of a micro-batch. Lengths come in few sizes, so that few programs are compiled and memory does not grow. */
export interface MicroBatchPlan {
  /** Indices into the batch, shortest row first; of rows that stay together those with the shorter longest. */
  readonly rows: readonly number[];
  /** L: cells of a row of the attention grid, the longest row rounded up by gridLength. */
  readonly length: number;
  /** N: tokens that the linear layers see, padding at the end included; of rows that share a beginning it is what they would have without. */
  readonly tokens: number;
  readonly share: boolean;
}

/** Tokens of an automatic micro-batch: with fewer the weights of large models stream from memory too often, more only cost memory. */
export const TARGET_TOKENS = 512;

/**
 * Groups the rows of a batch into micro-batches of similar length. A function of (lengths, options): ties keep the order of the batch.
 *
 * @param lengths tokens of each row, at least 1
 */
export function planMicroBatches(lengths: readonly number[], options: MicroBatchOptions): MicroBatchPlan[] {
  const units = unitsOf(lengths, options.together ?? 1);
  const order = units.sort((a, b) => a.longest - b.longest || a.rows[0]! - b.rows[0]!);
  return grouped(order, options).map((group) => {
    const rows = group.flatMap((unit) => unit.rows);
    const sum = group.reduce((n, unit) => n + unit.tokens, 0);
    const length = gridLength(group.at(-1)!.longest);
    const packed = Math.min(packedLength(sum), rows.length * length);
    // A row alone needs no gather at all if both sizes are the same.
    const tokens = options.pack && rows.length > 1 ? packed : rows.length * length;
    return { rows, length, tokens, share: options.pack && options.share === true && rows.length > 1 };
  });
}

/** Rows that share a micro-batch. */
interface Unit {
  readonly rows: readonly number[];
  readonly longest: number;
  readonly tokens: number;
}

function unitsOf(lengths: readonly number[], together: number | readonly number[]): Unit[] {
  const sizes =
    typeof together === 'number' ? new Array<number>(lengths.length / together).fill(together) : [...together];
  let next = 0;
  return sizes.map((size) => {
    const rows = Array.from({ length: size }, () => next++);
    const own = rows.map((row) => lengths[row]!);
    return { rows, longest: Math.max(...own), tokens: own.reduce((a, b) => a + b, 0) };
  });
}

function grouped(order: readonly Unit[], options: MicroBatchOptions): Unit[][] {
  const { pack, microBatch, targetTokens = TARGET_TOKENS } = options;
  const groups: Unit[][] = [];
  const rowsIn = (group: readonly Unit[] = []) => group.reduce((n, { rows }) => n + rows.length, 0);
  let tokens = 0;
  for (const unit of order) {
    const group = groups.at(-1);
    const grid = gridLength(unit.longest);
    const next = pack ? tokens + unit.tokens : (rowsIn(group) + unit.rows.length) * grid;
    const isFull =
      group === undefined ||
      (microBatch === undefined
        ? next > targetTokens || (tokens > targetTokens / 2 && grid > 2 * gridLength(group[0]!.longest))
        : group.length >= microBatch);
    if (isFull) {
      groups.push([unit]);
      tokens = pack ? unit.tokens : unit.rows.length * grid;
    } else {
      group.push(unit);
      tokens = next;
    }
  }
  return groups;
}

/** A length of the attention grid: multiples of 16, of 32 above 256, of 64 above 512. Each length is a program to compile. */
export function gridLength(length: number): number {
  const unit = length > 512 ? 64 : length > 256 ? 32 : 16;
  return Math.ceil(length / unit) * unit;
}

/** A number of packed tokens: multiples of 16, of 64 above 512. Each number is a program to compile, and each padding token is computed. */
export function packedLength(tokens: number): number {
  const unit = tokens > 512 ? 64 : 16;
  return Math.ceil(tokens / unit) * unit;
}
