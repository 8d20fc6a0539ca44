import type { Classification } from '../evaluate/classification.ts';
import { openAppender, readText, writeAtomic } from '../io/index.ts';
import { likeliest } from '../train/classify/decide.ts';
import { classificationMetrics } from '../train/classify/metrics.ts';
import { finished, metaOf } from './answer-file.ts';
import { classificationText } from './classification.ts';
import type { Context } from './command.ts';
import type { ClassifierSession, RowReading } from './domain.ts';
import { countText } from './format.ts';
import { openProgress } from './progress.ts';

/** Rows that are classified at once. */
const BATCH = 64;

/** What is classified, and where the labels go. */
export interface ClassifyRequest {
  readonly session: ClassifierSession;
  readonly data: string;
  readonly reading: RowReading;
  readonly out: string;
}

type Line = Classification & { readonly index: number; readonly reference?: readonly string[] };

/**
 * Classifies all rows of a file, a line for each in its order: `{index, labels, confident?, noneOfThese?, probabilities, reference?}`. A file that an
 * earlier call left unfinished is completed; what it was begun with stands beside it in `OUT.meta.json`. Where every row brings its labels,
 * the figures come last.
 *
 * @throws DATA_*, TEMPLATE_*, FILE_EXISTS if --out holds something else, GENERATE_OUT_DIFFERS
 */
export async function classifyFile({ session, data, reading, out }: ClassifyRequest, context: Context): Promise<void> {
  const { terminal, signal } = context;
  const { inputs, labels, file, prompts } = await session.rows(data, reading);
  const { base: model, adapter = null } = await session.identity();
  const begun = { model, adapter, data: file, prompts };
  const { lines: from, bytes } = finished(out, inputs.length, BATCH, begun);
  if (from > 0 && from < inputs.length) terminal.say(`${out} holds ${from} rows already; going on with the next.`);
  if (from === 0) writeAtomic(metaOf(out), `${JSON.stringify(begun, null, 2)}\n`);
  const appender = openAppender(out, bytes);
  const progress = openProgress(terminal, 'classify');
  try {
    for (let start = from; start < inputs.length && !signal.aborted; start += BATCH) {
      const lines: Line[] = [];
      for await (const result of session.classify(inputs.slice(start, start + BATCH))) {
        const index = start + lines.length;
        const reference = labels[index];
        lines.push({ index, ...rounded(result), ...(reference === undefined ? {} : { reference }) });
      }
      appender.append(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
      for (const line of lines) terminal.emit({ type: 'row', ...line });
      const done = start + lines.length;
      progress.update(done, inputs.length, `${done} of ${inputs.length} rows`);
    }
  } finally {
    progress.stop();
    appender.close();
  }
  if (signal.aborted) terminal.say('The same command goes on where this one stopped.');
  else {
    terminal.print(`${countText(inputs.length)} rows in ${out}`);
    tellFigures(session, readLines(out), context);
  }
}

/** Six digits are more than is known. */
function rounded({ probabilities, ...rest }: Classification): Classification {
  const short = Object.entries(probabilities).map(([label, p]) => [label, Number(p.toFixed(6))] as const);
  return { ...rest, probabilities: Object.fromEntries(short) };
}

function readLines(out: string): Line[] {
  return readText(out)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
}

/** Compares with the labels that the rows bring, if all do. */
function tellFigures(
  { labels, kind, calibration }: ClassifierSession,
  lines: readonly Line[],
  { terminal }: Context,
): void {
  if (lines.length === 0 || lines.some(({ reference }) => reference === undefined)) return;
  const strange = lines.flatMap(({ reference }) => reference!.filter((name) => !labels.includes(name)))[0];
  if (strange !== undefined) {
    terminal.say(`No figures: the rows have labels that the classifier does not know, such as "${strange}".`);
    return;
  }
  const numbers = (names: readonly string[]) => names.map((name) => labels.indexOf(name));
  const predictions = lines.map(({ probabilities, reference }) => {
    const p = labels.map((label) => probabilities[label]!);
    return { predicted: likeliest(p, kind), actual: numbers(reference!), probabilities: p };
  });
  const metrics = classificationMetrics(predictions, labels, kind);
  const classes = metrics.classes.map((one, k) => ({ ...one, threshold: calibration?.thresholds[k] ?? null }));
  const confident = lines.flatMap((line) => (line.confident ?? []).map((label) => line.reference!.includes(label)));
  const calibrated = calibration && {
    temperature: calibration.temperature,
    precision: calibration.precision,
    confident: confident.length,
    confidentRight: confident.filter((isRight) => isRight).length,
    noneOfThese: lines.filter(({ noneOfThese }) => noneOfThese === true).length,
  };
  const figures = { ...metrics, classes, ...(calibrated === null ? {} : { calibrated }) };
  terminal.emit({ type: 'classification', ...figures });
  terminal.print(classificationText(figures));
}
