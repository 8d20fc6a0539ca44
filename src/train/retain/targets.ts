import { buildMicroBatch, planMicroBatches } from '../../data/index.ts';
import { type Example, IGNORE } from '../../text/example.ts';
import { forwardLogits, type Network } from '../network.ts';

/** Tokens that are kept of a distribution; all others are one share. */
const KEPT = 32;

/** What a model takes the next token to be, at some positions of one row: S positions, K tokens that are kept. */
export interface RowTargets {
  readonly kept: number;
  /** [S*K] ids of the likeliest tokens. */
  readonly ids: Int32Array;
  /** [S*K] their probabilities. */
  readonly shares: Float32Array;
  /** [S] the probability of all others together. */
  readonly rest: Float32Array;
}

/** Positions of a row that predict a token of a prompt: one that is not trained. */
export function promptPositions({ ids, labels }: Example): number[] {
  return Array.from({ length: Math.max(0, ids.length - 1) }, (_, i) => i).filter((i) => labels[i + 1] === IGNORE);
}

/** All positions of a row that predict a token. */
export function allPositions({ ids }: Example): number[] {
  return Array.from({ length: Math.max(0, ids.length - 1) }, (_, i) => i);
}

/** What a network predicts at positions of one row. The row is computed alone, so that nothing beside it changes a bit of it. */
export async function rowTargets(net: Network, { ids }: Example, positions: readonly number[]): Promise<RowTargets> {
  const vocab = net.config.vocabSize;
  const kept = Math.min(KEPT, vocab);
  const labels = new Int32Array(ids.length).fill(IGNORE);
  for (const position of positions) labels[position + 1] = ids[position + 1]!;
  const [plan] = planMicroBatches([ids.length], { pack: true });
  const handles = forwardLogits(net, buildMicroBatch([{ ids, labels }], plan!));
  const targets: RowTargets = {
    kept,
    ids: new Int32Array(positions.length * kept),
    shares: new Float32Array(positions.length * kept),
    rest: new Float32Array(positions.length),
  };
  let at = 0;
  for (const handle of handles) {
    const logits = (await net.engine.read(handle)).data as Float32Array;
    for (let from = 0; from < logits.length && at < positions.length; from += vocab) {
      keepLikeliest(logits.subarray(from, from + vocab), targets, at++);
    }
  }
  net.engine.release(...handles);
  return targets;
}

/** Writes the likeliest tokens of a distribution, which is given as logits, in place `at`. */
export function keepLikeliest(logits: Float32Array, { kept, ids, shares, rest }: RowTargets, at: number): void {
  const best = likeliest(logits, kept);
  const max = logits[best[0]!]!;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  let left = 1;
  for (const [k, id] of best.entries()) {
    const share = Math.exp(logits[id]! - max) / sum;
    ids[at * kept + k] = id;
    shares[at * kept + k] = share;
    left -= share;
  }
  rest[at] = Math.max(0, left);
}

/** Indices of the largest values, the largest first; of equal ones the first. */
function likeliest(values: Float32Array, count: number): Int32Array {
  const best = new Int32Array(count);
  let held = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (held === count && value <= values[best[count - 1]!]!) continue;
    let place = held < count ? held++ : count - 1;
    for (; place > 0 && values[best[place - 1]!]! < value; place--) best[place] = best[place - 1]!;
    best[place] = i;
  }
  return best;
}

/** Sum of q log q over the shares of a position: what its cross entropy is more than its divergence, negated. In nats. */
export function negativeEntropy({ kept, shares, rest }: RowTargets, at: number): number {
  const term = (q: number) => (q > 0 ? q * Math.log(q) : 0);
  let sum = term(rest[at]!);
  for (let k = 0; k < kept; k++) sum += term(shares[at * kept + k]!);
  return sum;
}
