import type { PreparedExample } from '../../data/index.ts';
import { loadTrained } from '../checkpoint.ts';
import type { RunContext } from '../context.ts';
import type { TrainEvent } from '../events.ts';
import { type Calibration, calibrate, FEWEST_ROWS, type Judged } from './calibrate.ts';
import type { Classes } from './classes.ts';
import { decide, likeliest } from './decide.ts';
import { writeClassifier } from './file.ts';
import { distanceOf, fitLikeness, type Likeness, MOST_ROWS } from './likeness.ts';
import { classificationMetrics, majorityMetrics } from './metrics.ts';
import { classStates, type Seen } from './predict.ts';

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
  const select = await look(run, run.dataset.select, 'evaluate', signal);
  const likeness =
    select.logits.length < FEWEST_ROWS ? undefined : await likenessOf(run, run.dataset.train, classes.kind, signal);
  const judged = judgedBy(select, classes.kind, likeness);
  const calibration = calibrate(judged, method.precision) ?? null;
  yield* calibrationWarnings(calibration, classes, judged);
  const file = { kind: classes.kind, labels: [...classes.names], calibration: stored(calibration) };
  writeClassifier(best, file, likeness);
  if (run.dataset.report.length > 0) {
    const report = await look(run, run.dataset.report, 'report', signal);
    yield measure(judgedBy(report, classes.kind, likeness), classes, calibration);
  }
}

/** What the head sees of rows, and what they are. */
interface Looked extends Pick<Judged, 'logits' | 'classes'> {
  readonly states: readonly Float64Array[];
}

/** What the rows that trained are like, of so many as suffice, spread evenly over all. */
async function likenessOf(
  run: Context,
  rows: readonly PreparedExample[],
  kind: Judged['kind'],
  signal: AbortSignal,
): Promise<Likeness> {
  const count = Math.min(MOST_ROWS, rows.length);
  const some = Array.from({ length: count }, (_, i) => rows[Math.floor((i * rows.length) / count)]!);
  const { states, classes } = await look(run, some, 'evaluate', signal);
  return fitLikeness(
    states,
    classes.map((own) => (kind === 'single' ? own[0]! : 0)),
  );
}

function judgedBy({ logits, classes, states }: Looked, kind: Judged['kind'], likeness: Likeness | undefined): Judged {
  const distances = likeness === undefined ? [] : states.map((state) => distanceOf(likeness, state));
  return { kind, logits, classes, distances };
}

function stored(calibration: Calibration | null) {
  return calibration === null ? null : { ...calibration, thresholds: [...calibration.thresholds] };
}

async function look(
  { net, onActivity }: Context,
  rows: readonly PreparedExample[],
  kind: 'evaluate' | 'report',
  signal: AbortSignal,
): Promise<Looked> {
  const examples = rows.map(({ example }) => example);
  let done = 0;
  const tell = (count: number) => {
    done += count;
    onActivity({ kind, done, total: examples.length, unit: 'rows' });
  };
  if (examples.length > 0) tell(0);
  const seen: Seen[] = [];
  for await (const row of classStates(net, examples, signal, tell)) seen.push(row);
  return {
    logits: seen.map(({ logits }) => logits),
    states: seen.map(({ state }) => state),
    classes: examples.map((example) => example.classes ?? []),
  };
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
  const decisions = judged.logits.map((logits, row) => decide(logits, kind, calibration, judged.distances[row]));
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
