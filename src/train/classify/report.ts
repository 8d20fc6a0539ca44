import type { PreparedExample } from '../../data/index.ts';
import { loadTrained } from '../checkpoint.ts';
import type { RunContext } from '../context.ts';
import type { TrainEvent } from '../events.ts';
import { type Calibration, calibrate, FEWEST_ROWS, type Judged } from './calibrate.ts';
import type { Classes } from './classes.ts';
import { decide, likeliest } from './decide.ts';
import { writeClassifier } from './file.ts';
import { classificationMetrics, majorityMetrics } from './metrics.ts';
import { classLogits } from './predict.ts';

type Context = Pick<RunContext, 'net' | 'dataset' | 'frozen' | 'onActivity'>;

/**
 * Calibrates the best checkpoint of a classifier on the selecting rows, stores that beside it, and measures it on the reporting rows.
 *
 * @param best the folder of the best checkpoint
 */
export async function* reportClassifier(
  run: Context,
  classes: Classes,
  best: string,
  signal: AbortSignal,
): AsyncGenerator<TrainEvent> {
  const { method } = run.frozen.config;
  if (method.kind !== 'classify') throw new Error('internal: classes without a classifier');
  loadTrained(best, run.net);
  const select = await judge(run, run.dataset.select, 'evaluate', signal);
  const calibration = calibrate(select, method.precision) ?? null;
  yield* calibrationWarnings(calibration, classes, select);
  writeClassifier(best, { kind: classes.kind, labels: [...classes.names], calibration: stored(calibration) });
  if (run.dataset.report.length === 0) return;
  yield measure(await judge(run, run.dataset.report, 'report', signal), classes, calibration);
}

function stored(calibration: Calibration | null) {
  return calibration === null ? null : { ...calibration, thresholds: [...calibration.thresholds] };
}

async function judge(
  { net, dataset: { classes }, onActivity }: Context,
  rows: readonly PreparedExample[],
  kind: 'evaluate' | 'report',
  signal: AbortSignal,
): Promise<Judged> {
  const examples = rows.map(({ example }) => example);
  let done = 0;
  const tell = (count: number) => {
    done += count;
    onActivity({ kind, done, total: examples.length, unit: 'rows' });
  };
  if (examples.length > 0) tell(0);
  const logits: Float32Array[] = [];
  for await (const row of classLogits(net, examples, signal, tell)) logits.push(row);
  return { kind: classes!.kind, logits, classes: examples.map((example) => example.classes ?? []) };
}

function* calibrationWarnings(
  calibration: Calibration | null,
  { names }: Classes,
  { logits }: Judged,
): Generator<TrainEvent> {
  if (calibration === null) {
    const message = `${logits.length} validation rows select, and ${FEWEST_ROWS} are needed: probabilities are not calibrated, no label has a threshold, nothing is "none of these".`;
    yield { type: 'warning', code: 'CLASSIFY_UNCALIBRATED', message };
    return;
  }
  const without = names.filter((_, k) => calibration.thresholds[k] === null);
  if (without.length === 0) return;
  const shown = `${without.slice(0, 10).join(', ')}${without.length > 10 ? ', ...' : ''}`;
  const message = `${without.length} of ${names.length} labels reach a precision of ${calibration.precision} at no threshold on ${logits.length} validation rows, and are never confident: ${shown}. Lower --precision, or hold out more rows.`;
  yield { type: 'warning', code: 'CLASSIFY_PRECISION', message };
}

/** The figures of a classifier on rows that were used for nothing else. */
export function measure(judged: Judged, classes: Classes, calibration: Calibration | null): TrainEvent {
  const { kind, names } = classes;
  const decisions = judged.logits.map((logits) => decide(logits, kind, calibration));
  const predictions = decisions.map(({ probabilities }, row) => {
    return { predicted: likeliest(probabilities, kind), actual: judged.classes[row]!, probabilities };
  });
  const metrics = classificationMetrics(predictions, names, kind);
  const labels = metrics.classes.map((one, k) => ({ ...one, threshold: calibration?.thresholds[k] ?? null }));
  return {
    type: 'classification',
    ...metrics,
    classes: labels,
    baseline: majorityMetrics(predictions, names, kind, classes),
    ...(calibration === null ? {} : { calibrated: calibratedFigures(decisions, judged, calibration) }),
  };
}

function calibratedFigures(
  decisions: readonly ReturnType<typeof decide>[],
  { classes }: Judged,
  { temperature, precision }: Calibration,
) {
  const confident = decisions.flatMap(({ confident }, row) => (confident ?? []).map((k) => classes[row]!.includes(k)));
  const right = confident.filter((isRight) => isRight).length;
  const noneOfThese = decisions.filter(({ isNone }) => isNone === true).length;
  return { temperature, precision, confident: confident.length, confidentRight: right, noneOfThese };
}
