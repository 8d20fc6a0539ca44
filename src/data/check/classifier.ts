import { hashWord, mix, wordsOf } from '../similar.ts';

/** Features of a text: places in a table of weights, each once. */
export type Features = Int32Array;

/** A linear classifier over hashed features. */
export interface LinearModel {
  /** [dim * classes] */
  readonly weights: Float32Array;
  readonly bias: Float32Array;
  readonly classes: number;
}

/** Words, pairs of words and runs of four characters within words, hashed into a table of `dim` places (a power of two). */
export function textFeatures(text: string, dim: number): Features {
  const words = wordsOf(text.slice(0, 2000)).slice(0, 120);
  const found = new Set<number>();
  const add = (hash: number) => found.add(mix(hash) & (dim - 1));
  let before = 0x9e3779b1;
  for (const word of words) {
    const hash = hashWord(word);
    add(hash);
    add(Math.imul(before, 31) ^ hash);
    before = hash;
    if (word.length > 4) {
      const marked = `^${word}$`;
      for (let i = 0; i + 4 <= marked.length; i++) add(hashWord(marked.slice(i, i + 4)) ^ 0x51ed270b);
    }
  }
  return Int32Array.from(found);
}

/** How a classifier is trained. */
export interface LinearOptions {
  readonly dim: number;
  readonly classes: number;
  readonly epochs: number;
  readonly rate: number;
  /** Order of the rows; a function of their places, so that the result is. */
  readonly order: readonly number[];
}

/** Multinomial logistic regression by stochastic gradient descent with a falling rate; features count 1 / sqrt(how many). */
export function trainLinear(
  features: readonly Features[],
  labels: Int32Array,
  { dim, classes, epochs, rate, order }: LinearOptions,
): LinearModel {
  const weights = new Float32Array(dim * classes);
  const bias = new Float32Array(classes);
  const p = new Float64Array(classes);
  const model = { weights, bias, classes };
  const steps = epochs * order.length;
  let step = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    // An odd stride goes through all places in another order in each epoch.
    for (let k = 0; k < order.length; k++) {
      const row = order[(k * strideOf(order.length, epoch) + epoch) % order.length]!;
      const x = features[row]!;
      predict(model, x, p);
      const at = rate * (1 - step++ / steps);
      const scale = at / Math.sqrt(Math.max(1, x.length));
      for (let c = 0; c < classes; c++) {
        const gradient = p[c]! - (labels[row] === c ? 1 : 0);
        if (Math.abs(gradient) < 1e-4) continue;
        bias[c]! -= at * 0.1 * gradient;
        const delta = scale * gradient;
        for (let f = 0; f < x.length; f++) weights[x[f]! * classes + c]! -= delta;
      }
    }
  }
  return model;
}

/** A stride that shares no factor with `count`, so that it visits all. */
function strideOf(count: number, epoch: number): number {
  const primes = [7919, 6007, 4093, 2011, 1009, 499, 251, 127, 61, 31];
  const prime = primes[epoch % primes.length]!;
  return count % prime === 0 ? 1 : prime;
}

/** Probabilities of the classes, into `out`. */
export function predict({ weights, bias, classes }: LinearModel, x: Features, out: Float64Array): void {
  const scale = 1 / Math.sqrt(Math.max(1, x.length));
  let most = Number.NEGATIVE_INFINITY;
  for (let c = 0; c < classes; c++) {
    let sum = 0;
    for (let f = 0; f < x.length; f++) sum += weights[x[f]! * classes + c]!;
    out[c] = bias[c]! + sum * scale;
    most = Math.max(most, out[c]!);
  }
  let total = 0;
  for (let c = 0; c < classes; c++) total += out[c] = Math.exp(out[c]! - most);
  for (let c = 0; c < classes; c++) out[c]! /= total;
}
