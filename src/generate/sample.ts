import { uniform } from '../math/random.ts';

/** How the next token is chosen from the logits. Each field has a value that turns it off. */
export interface Sampling {
  /** 0 takes the most likely token. */
  readonly temperature: number;
  /** Only the k most likely tokens; 0 is off. */
  readonly topK: number;
  /** Only the smallest set of tokens whose probabilities reach this share (Holtzman et al. 2020, arXiv:1904.09751); 1 is off. */
  readonly topP: number;
  /** Only tokens at least this share as likely as the most likely one (Nguyen et al. 2024, arXiv:2407.01082); 0 is off. */
  readonly minP: number;
  /** Divides the positive and multiplies the negative logits of tokens that stand before (Keskar et al. 2019, arXiv:1909.05858); 1 is off. */
  readonly repetitionPenalty: number;
  readonly seed: number;
}

/** The most likely token at each step. */
export const GREEDY: Sampling = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 0 };

/** Which draw this is: the same numbers always give the same token. */
export interface Draw {
  /** Index of the prompt. */
  readonly prompt: number;
  /** Index of the new token. */
  readonly token: number;
}

/** Tokens and their unnormalised probabilities. */
interface Candidates {
  readonly ids: Int32Array;
  readonly weights: Float64Array;
}

/**
 * Chooses a token as transformers does: repetition penalty, temperature, top-k, top-p, min-p, in this order.
 *
 * @param logits [V]; not changed
 * @param before tokens of the prompt and of the answer so far, for the repetition penalty
 */
export function sampleToken(logits: Float32Array, before: Iterable<number>, sampling: Sampling, draw: Draw): number {
  const scores = sampling.repetitionPenalty === 1 ? logits : penalised(logits, before, sampling.repetitionPenalty);
  const best = argmax(scores);
  if (sampling.temperature === 0) return best;
  const max = scores[best]!;
  let kept = softmaxWeights(scores, max, sampling.temperature, sampling.topK);
  if (sampling.topP < 1) kept = nucleus(kept, sampling.topP);
  // The most likely token has weight 1, so the share is the threshold itself.
  if (sampling.minP > 0) kept = filtered(kept, (weight) => weight >= sampling.minP);
  return pick(kept, uniform(sampling.seed, 'sample', draw.prompt, draw.token));
}

/** Index of the first largest logit. */
export function argmax(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  if (!Number.isFinite(logits[best]!)) throw new Error('internal: the logits are not finite');
  return best;
}

function penalised(logits: Float32Array, before: Iterable<number>, penalty: number): Float32Array {
  const scores = logits.slice();
  for (const id of new Set(before)) {
    const score = scores[id];
    if (score !== undefined) scores[id] = score < 0 ? score * penalty : score / penalty;
  }
  return scores;
}

/** exp((score - max) / temperature) of the k largest scores (ties included), in the order of the ids. */
function softmaxWeights(scores: Float32Array, max: number, temperature: number, topK: number): Candidates {
  const floor = topK > 0 && topK < scores.length ? kthLargest(scores, topK) : Number.NEGATIVE_INFINITY;
  const ids = new Int32Array(scores.length);
  const weights = new Float64Array(scores.length);
  let count = 0;
  for (let i = 0; i < scores.length; i++) {
    if (scores[i]! < floor) continue;
    ids[count] = i;
    weights[count++] = Math.exp((scores[i]! - max) / temperature);
  }
  return { ids: ids.subarray(0, count), weights: weights.subarray(0, count) };
}

/** A heap of the k largest so far, the smallest of them on top. */
function kthLargest(scores: Float32Array, k: number): number {
  const heap = scores.slice(0, k).sort();
  for (let i = k; i < scores.length; i++) {
    const score = scores[i]!;
    if (score <= heap[0]!) continue;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= k) break;
      if (child + 1 < k && heap[child + 1]! < heap[child]!) child++;
      if (heap[child]! >= score) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = score;
  }
  return heap[0]!;
}

/** The most likely candidates whose share of the whole reaches `share`. Only as many as may be needed are sorted. */
function nucleus(all: Candidates, share: number): Candidates {
  const wanted = share * all.weights.reduce((sum, w) => sum + w, 0);
  let rest = all;
  for (let threshold = 1e-2; threshold > 1e-12; threshold /= 10) {
    const likely = filtered(all, (weight) => weight >= threshold);
    if (likely.weights.reduce((sum, w) => sum + w, 0) < wanted) continue;
    rest = likely;
    break;
  }
  const order = Array.from(rest.ids.keys()).sort((a, b) => rest.weights[b]! - rest.weights[a]! || a - b);
  let sum = 0;
  let count = 0;
  while (count < order.length && (count === 0 || sum < wanted)) sum += rest.weights[order[count++]!]!;
  const chosen = order.slice(0, count);
  return {
    ids: Int32Array.from(chosen, (i) => rest.ids[i]!),
    weights: Float64Array.from(chosen, (i) => rest.weights[i]!),
  };
}

function filtered({ ids, weights }: Candidates, keep: (weight: number) => boolean): Candidates {
  const kept = Array.from(ids.keys()).filter((i) => keep(weights[i]!));
  return { ids: Int32Array.from(kept, (i) => ids[i]!), weights: Float64Array.from(kept, (i) => weights[i]!) };
}

/** The candidate in whose part of [0, 1) the random number falls. */
function pick({ ids, weights }: Candidates, random: number): number {
  let rest = random * weights.reduce((sum, w) => sum + w, 0);
  for (const [i, weight] of weights.entries()) {
    rest -= weight;
    if (rest < 0) return ids[i]!;
  }
  return ids.at(-1)!;
}
