import { classificationMetrics } from '../train/classify/metrics.ts';
import { labelIn } from './scorers/structured.ts';
import type { ItemResult } from './subject.ts';
import type { AnswerTask } from './tasks.ts';

/** How well answers name labels. */
export interface LabelFigures {
  readonly macroF1: number;
  /** Answers that name no label. */
  readonly unnamed: number;
  readonly labels: readonly {
    readonly label: string;
    readonly precision: number;
    readonly recall: number;
    readonly f1: number;
    readonly support: number;
  }[];
}

/** Precision, recall and F1 of each label, and the mean of these F1, as scikit-learn has it. */
export function labelFigures({ items }: AnswerTask, answers: readonly ItemResult[]): LabelFigures {
  const labels = [...new Set(items.flatMap(({ references }) => references))];
  const found = answers.map(({ text = '' }) => labelIn(text, labels));
  const predictions = items.map(({ references }, i) => ({
    predicted: found[i] === undefined ? [] : [labels.indexOf(found[i])],
    actual: references.map((label) => labels.indexOf(label)),
    probabilities: labels.map((label) => (label === found[i] ? 1 : 0)),
  }));
  const { macroF1, classes } = classificationMetrics(predictions, labels, 'multi');
  return { macroF1, unnamed: found.filter((label) => label === undefined).length, labels: classes };
}
