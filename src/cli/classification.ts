import type { TrainEvent } from '../train/events.ts';
import { countText, table } from './format.ts';

/** What a classifier reached, as the report of a run or on rows that bring their labels. */
export type ClassificationFigures = Omit<TrainEvent & { readonly type: 'classification' }, 'type' | 'baseline'> &
  Partial<Pick<TrainEvent & { readonly type: 'classification' }, 'baseline'>>;

/** Classes that are shown; of more, those with the lowest F1. */
const MOST = 20;
/** Classes of which the whole confusion matrix is shown; of more, the most frequent confusions. */
const MATRIX = 8;

/** The figures in words and tables. */
export function classificationText(figures: ClassificationFigures): string {
  const { rows, accuracy, macroF1, calibrationError, baseline, calibrated } = figures;
  const lines = [
    `${countText(rows)} rows${baseline === undefined ? '' : ' that were not trained on'}: ${percent(accuracy)} right, macro-F1 ${macroF1.toFixed(3)}, calibration error ${percent(calibrationError)}`,
  ];
  if (baseline !== undefined) {
    const always = baseline.labels.length === 0 ? 'no label' : `"${baseline.labels.join('", "')}"`;
    lines.push(`always ${always}: ${percent(baseline.accuracy)} right, macro-F1 ${baseline.macroF1.toFixed(3)}`);
  }
  if (calibrated !== undefined) {
    const { precision, confident, confidentRight, noneOfThese } = calibrated;
    const share = confident === 0 ? '' : `, ${percent(confidentRight / confident)} of them right`;
    lines.push(
      `confident (for a precision of ${percent(precision)}): ${countText(confident)} labels${share}; none of these: ${countText(noneOfThese)} rows`,
    );
  }
  return [...lines, '', classTable(figures), '', confusionText(figures)].join('\n');
}

function classTable({ classes }: ClassificationFigures): string {
  const shown = classes.length > MOST ? classes.toSorted((a, b) => a.f1 - b.f1).slice(0, MOST) : classes;
  const head = ['label', 'precision', 'recall', 'F1', 'rows', 'confident from'];
  const cells = shown.map(({ label, precision, recall, f1, support, threshold }) => [
    label,
    precision.toFixed(3),
    recall.toFixed(3),
    f1.toFixed(3),
    String(support),
    threshold === null ? '-' : threshold.toFixed(3),
  ]);
  const left = classes.length - shown.length;
  return `${table([head, ...cells])}${left > 0 ? `\nand ${left} labels with a higher F1` : ''}`;
}

function confusionText({ classes, confusion }: ClassificationFigures): string {
  const labels = classes.map(({ label }) => label);
  if (isMatrix(confusion))
    return labels.length <= MATRIX ? matrixText(labels, confusion) : confusionsText(labels, confusion);
  const counts = confusion.map(([none, own], k) => [labels[k]!, own![1], none![1], own![0], none![0]].map(String));
  return table([['label', 'right', 'false alarms', 'missed', 'rightly not given'], ...counts]);
}

function isMatrix(confusion: ClassificationFigures['confusion']): confusion is readonly (readonly number[])[] {
  return typeof confusion[0]?.[0] === 'number';
}

function matrixText(labels: readonly string[], matrix: readonly (readonly number[])[]): string {
  const rows = matrix.map((row, k) => [labels[k]!, ...row.map(String)]);
  return table([['is \\ given', ...labels], ...rows]);
}

function confusionsText(labels: readonly string[], matrix: readonly (readonly number[])[]): string {
  const cells = matrix
    .flatMap((row, actual) => row.map((count, given) => ({ actual, given, count })))
    .filter(({ actual, given, count }) => actual !== given && count > 0)
    .sort((a, b) => b.count - a.count)
    .slice(0, 10);
  if (cells.length === 0) return 'no label is taken for another';
  const rows = cells.map(({ actual, given, count }) => [labels[actual]!, labels[given]!, String(count)]);
  return table([['is', 'given', 'rows'], ...rows]);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
