/** A row that was classified, and what it should have been. */
export interface Prediction {
  readonly predicted: readonly number[];
  readonly actual: readonly number[];
  /** [K] calibrated. */
  readonly probabilities: readonly number[];
}

/** One class of a table. */
export interface ClassMetrics {
  readonly label: string;
  /** Share of the rows with this prediction that have the label; 0 where there are none. */
  readonly precision: number;
  /** Share of the rows with the label that have this prediction; 0 where there are none. */
  readonly recall: number;
  readonly f1: number;
  /** Rows with the label. */
  readonly support: number;
}

/** How well rows were classified. */
export interface ClassificationMetrics {
  readonly rows: number;
  /** Share of the rows whose prediction is exactly right, all labels of it. */
  readonly accuracy: number;
  /** Mean F1 of the classes that some row has or was given, as in scikit-learn. */
  readonly macroF1: number;
  /** Mean distance of confidence and accuracy over 15 bins of equal width, weighted by their rows (Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602). */
  readonly calibrationError: number;
  readonly classes: readonly ClassMetrics[];
  /** Of one label a row: [actual][predicted] rows. Of several: for each label [[neither, predicted only], [missed, both]]. */
  readonly confusion: readonly (readonly number[])[] | readonly (readonly (readonly number[])[])[];
}

/** Measures predictions. */
export function classificationMetrics(
  predictions: readonly Prediction[],
  labels: readonly string[],
  kind: 'single' | 'multi',
): ClassificationMetrics {
  const tables = labels.map((_, k) => binaryTable(predictions, k));
  const classes = tables.map(([[, extra], [missed, both]], k): ClassMetrics => {
    const f1 = ratio(2 * both, 2 * both + extra + missed);
    const [precision, recall] = [ratio(both, both + extra), ratio(both, both + missed)];
    return { label: labels[k]!, precision, recall, f1, support: both + missed };
  });
  const met = classes.filter(({ support }, k) => support > 0 || tables[k]![0][1] > 0);
  return {
    rows: predictions.length,
    accuracy: ratio(predictions.filter(isExact).length, predictions.length),
    macroF1: ratio(
      met.reduce((sum, { f1 }) => sum + f1, 0),
      met.length,
    ),
    calibrationError: calibrationError(predictions, kind),
    classes,
    confusion: kind === 'multi' ? tables : confusionMatrix(predictions, labels.length),
  };
}

/** What always giving the labels that most training rows have would reach. */
export function majorityMetrics(
  predictions: readonly Prediction[],
  labels: readonly string[],
  kind: 'single' | 'multi',
  { counts, rows }: { readonly counts: readonly number[]; readonly rows: number },
): { readonly labels: readonly string[]; readonly accuracy: number; readonly macroF1: number } {
  const most = counts.indexOf(Math.max(...counts));
  const always = kind === 'single' ? [most] : counts.flatMap((count, k) => (2 * count > rows ? [k] : []));
  const given = predictions.map((one) => ({ ...one, predicted: always }));
  const { accuracy, macroF1 } = classificationMetrics(given, labels, kind);
  return { labels: always.map((k) => labels[k]!), accuracy, macroF1 };
}

type BinaryTable = readonly [readonly [number, number], readonly [number, number]];

function binaryTable(predictions: readonly Prediction[], k: number): BinaryTable {
  const table: [[number, number], [number, number]] = [
    [0, 0],
    [0, 0],
  ];
  for (const { predicted, actual } of predictions) {
    table[actual.includes(k) ? 1 : 0][predicted.includes(k) ? 1 : 0]++;
  }
  return table;
}

/** A row that was given no label, as none of these, stands in no column. */
function confusionMatrix(predictions: readonly Prediction[], classes: number): number[][] {
  const matrix = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (const { predicted, actual } of predictions) {
    const [row, column] = [matrix[actual[0]!], predicted[0]];
    if (row !== undefined && column !== undefined) row[column]!++;
  }
  return matrix;
}

function isExact({ predicted, actual }: Prediction): boolean {
  return predicted.length === actual.length && predicted.every((k) => actual.includes(k));
}

const BINS = 15;

/** Mean distance of confidence and accuracy, see {@link ClassificationMetrics.calibrationError}. */
export function calibrationError(predictions: readonly Prediction[], kind: 'single' | 'multi'): number {
  const claims = predictions.flatMap(({ probabilities, actual }) => {
    if (kind === 'multi') return probabilities.map((p, k) => ({ p, isRight: actual.includes(k) }));
    const p = Math.max(...probabilities);
    return [{ p, isRight: actual.includes(probabilities.indexOf(p)) }];
  });
  const bins = Array.from({ length: BINS }, () => ({ p: 0, right: 0 }));
  for (const { p, isRight } of claims) {
    const bin = bins[Math.min(BINS - 1, Math.floor(p * BINS))]!;
    bin.p += p;
    if (isRight) bin.right++;
  }
  return ratio(
    bins.reduce((sum, { p, right }) => sum + Math.abs(p - right), 0),
    claims.length,
  );
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
