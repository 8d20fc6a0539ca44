import { describe, expect, test } from 'vitest';
import { classificationMetrics, majorityMetrics } from './metrics.ts';

const LABELS = ['a', 'b', 'c'];

function single(actual: readonly number[], predicted: readonly number[], p = 0.8) {
  return actual.map((k, i) => {
    const probabilities = LABELS.map((_, j) => (j === predicted[i] ? p : (1 - p) / 2));
    return { actual: [k], predicted: [predicted[i]!], probabilities };
  });
}

describe('figures of one label', () => {
  const metrics = classificationMetrics(single([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2]), LABELS, 'single');

  test('equal those of scikit-learn', () => {
    expect(metrics.accuracy).toBeCloseTo(4 / 6, 12);
    // f1_score(average=None): 0.8, 0.5, 2/3.
    expect(metrics.classes.map(({ f1 }) => f1)).toEqual([0.8, 0.5, 2 / 3]);
    expect(metrics.macroF1).toBeCloseTo((0.8 + 0.5 + 2 / 3) / 3, 12);
    expect(metrics.confusion).toEqual([
      [2, 1, 0],
      [0, 1, 1],
      [0, 0, 1],
    ]);
  });

  test('leave classes out of the mean that no row has or was given', () => {
    expect(classificationMetrics(single([0, 1], [0, 1]), LABELS, 'single').macroF1).toBe(1);
  });

  test('calibration error is the distance of confidence and accuracy', () => {
    expect(metrics.calibrationError).toBeCloseTo(0.8 - 4 / 6, 12);
    expect(
      classificationMetrics(single([0, 1, 2, 0, 1], [0, 1, 2, 0, 0]), LABELS, 'single').calibrationError,
    ).toBeCloseTo(0, 12);
  });

  test('the majority class comes from the training rows', () => {
    const counts = { counts: [1, 5, 2], rows: 8 };
    const rows = single([0, 1, 1], [0, 0, 0]);
    expect(majorityMetrics(rows, LABELS, 'single', counts)).toMatchObject({
      labels: ['b'],
      accuracy: 2 / 3,
      macroF1: 0.4,
    });
  });
});

test('figures of several labels count each label by itself, and rows that are right in all', () => {
  const rows = [
    { actual: [0, 1], predicted: [0, 1], probabilities: [1, 1, 0] },
    { actual: [], predicted: [2], probabilities: [0, 0, 1] },
    { actual: [2], predicted: [], probabilities: [0, 0, 0] },
  ];
  const { accuracy, confusion, classes, calibrationError } = classificationMetrics(rows, LABELS, 'multi');
  expect(accuracy).toBeCloseTo(1 / 3, 12);
  expect(confusion[2]).toEqual([
    [1, 1],
    [1, 0],
  ]);
  expect(classes.map(({ support }) => support)).toEqual([1, 1, 1]);
  expect(calibrationError).toBeCloseTo(2 / 9, 12);
});
