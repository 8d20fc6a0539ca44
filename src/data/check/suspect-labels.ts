import { permutation } from '../../math/random.ts';
import { type Features, predict, textFeatures, trainLinear } from './classifier.ts';

/** A row whose label the other rows speak against. */
export interface Suspect {
  readonly row: number;
  /** The class that the others give it. */
  readonly likely: number;
  /** How much likelier that class is than the given one, from 0 to 1. */
  readonly margin: number;
}

const FOLDS = 5;
/** Rows that a fold learns from at most: beyond, more of them change little. */
const MOST = 60_000;

/**
 * Rows that are probably mislabelled, most evident first, by confident learning (Northcutt, Jiang, Chuang, arXiv 1911.00068): classes are
 * predicted for rows that a small classifier has not learned from; a class counts as likely where its probability reaches the mean that it
 * has on its own rows; rows whose likeliest such class is not their own are suspects.
 *
 * @param texts what is classified
 * @param labels class of each text, from 0
 */
export function suspectLabels(texts: readonly string[], labels: Int32Array, classes: number): Suspect[] {
  const dim = classes > 20 ? 2 ** 16 : 2 ** 18;
  const features = texts.map((text) => textFeatures(text, dim));
  const probabilities = crossPredict(features, labels, classes, dim);
  if (skill(probabilities, labels, classes) < SKILL) return [];
  const thresholds = new Float64Array(classes);
  const counts = new Float64Array(classes);
  for (const [i, label] of labels.entries()) {
    thresholds[label]! += probabilities[i * classes + label]!;
    counts[label]!++;
  }
  for (let c = 0; c < classes; c++) thresholds[c]! /= Math.max(1, counts[c]!);
  const suspects: Suspect[] = [];
  for (const [i, label] of labels.entries()) {
    let likely = -1;
    for (let c = 0; c < classes; c++) {
      const p = probabilities[i * classes + c]!;
      if (p >= thresholds[c]! && (likely < 0 || p > probabilities[i * classes + likely]!)) likely = c;
    }
    if (likely < 0 || likely === label) continue;
    const margin = probabilities[i * classes + likely]! - probabilities[i * classes + label]!;
    if (margin > 0) suspects.push({ row: i, likely, margin });
  }
  return suspects.sort((a, b) => b.margin - a.margin || a.row - b.row);
}

/** Share of what guessing the most frequent class leaves wrong that the classifier gets right, from which its word counts. */
const SKILL = 0.4;

function skill(probabilities: Float32Array, labels: Int32Array, classes: number): number {
  const counts = new Float64Array(classes);
  let right = 0;
  for (const [i, label] of labels.entries()) {
    counts[label]!++;
    const row = probabilities.subarray(i * classes, (i + 1) * classes);
    if (row.indexOf(Math.max(...row)) === label) right++;
  }
  const guessed = Math.max(...counts) / labels.length;
  return guessed === 1 ? 0 : (right / labels.length - guessed) / (1 - guessed);
}

/** [rows * classes] probabilities from classifiers that have not learned from the row. */
function crossPredict(features: readonly Features[], labels: Int32Array, classes: number, dim: number): Float32Array {
  const count = features.length;
  const order = permutation(0, 'folds', 0, count);
  const fold = new Uint8Array(count);
  for (const [k, row] of [...order].entries()) fold[row] = k % FOLDS;
  const out = new Float32Array(count * classes);
  const p = new Float64Array(classes);
  const epochs = count > 20_000 ? 3 : count > 4000 ? 6 : 12;
  for (let f = 0; f < FOLDS; f++) {
    const learned = Array.from(order)
      .filter((row) => fold[row] !== f)
      .slice(0, MOST);
    const model = trainLinear(features, labels, { dim, classes, epochs, rate: 3, order: learned });
    for (let i = 0; i < count; i++) {
      if (fold[i] !== f) continue;
      predict(model, features[i]!, p);
      out.set(p, i * classes);
    }
  }
  return out;
}
