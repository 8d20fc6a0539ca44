import { buildMicroBatch, planMicroBatches } from '../data/index.ts';
import { type Example, IGNORE } from '../text/index.ts';
import type { Network } from '../train/network.ts';
import { logSum, readLogits } from './cloze.ts';

/** Positions at which distributions are compared: each is a whole vocabulary of logits. */
const POSITIONS = 256;

/**
 * KL(base || tuned) of the next token on prompts, in nats, mean over at most 256 positions: the divergence that foretells forgetting (Shenfeld et al. 2025,
 * "RL's Razor", arXiv:2509.04259). Both networks lie in one engine.
 *
 * @param rows of which the part without loss is the prompt; where all has loss, all counts
 */
export async function promptDivergence(
  { tuned, base }: { readonly tuned: Network; readonly base: Network },
  rows: readonly Pick<Example, 'ids' | 'labels'>[],
  signal: AbortSignal,
): Promise<{ readonly kl: number; readonly positions: number } | undefined> {
  let positions = 0;
  let total = 0;
  for (const row of rows) {
    if (positions >= POSITIONS) break;
    signal.throwIfAborted();
    const prompt = promptOf(row, POSITIONS - positions);
    if (prompt === undefined) continue;
    const [plan] = planMicroBatches([prompt.ids.length], { pack: true });
    const batch = buildMicroBatch([prompt], plan!);
    const [p, q] = await Promise.all([base, tuned].map((net) => readLogits(net, batch)));
    for (let i = 0; i < batch.lossTokens; i++) total += divergence(p![i]!, q![i]!);
    positions += batch.lossTokens;
  }
  return positions === 0 ? undefined : { kl: total / positions, positions };
}

/** The prompt as a row of its own, with a label where a prediction is wanted. */
function promptOf({ ids, labels }: Pick<Example, 'ids' | 'labels'>, most: number): Example | undefined {
  const answer = labels.findIndex((label, i) => i > 0 && label !== IGNORE);
  const end = answer <= 1 ? ids.length : answer + 1;
  const part = ids.slice(0, end);
  if (part.length < 2) return undefined;
  // The last positions know the most of the prompt.
  const own = part.slice();
  for (let i = 0; i < own.length - most; i++) own[i] = IGNORE;
  return { ids: part, labels: own };
}

/** KL(p || q) of two distributions that are given as logits, in nats. */
export function divergence(p: Float32Array, q: Float32Array): number {
  const [a, b] = [logSum(p), logSum(q)];
  let total = 0;
  for (let i = 0; i < p.length; i++) {
    const log = p[i]! - a;
    total += Math.exp(log) * (log - (q[i]! - b));
  }
  return Math.max(0, total);
}
