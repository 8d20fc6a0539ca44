import { basename } from 'node:path';
import { advice, headline } from '../evaluate/advice.ts';
import type { EvaluationEvent, EvaluationRequest } from '../evaluate/evaluation.ts';
import { type Report, reportHtml } from '../evaluate/report.ts';
import { comparisonText, noteTexts, scoreText } from '../evaluate/words.ts';
import { writeAtomic } from '../io/atomic.ts';
import { type RunDetails, showRun } from './runs.ts';

/** Writes an evaluation as an HTML file; a run brings its loss curves and what it said in training. @throws FILE_WRITE_FAILED, DISK_FULL */
export function writeReport(
  file: string,
  { model, against }: Pick<EvaluationRequest, 'model' | 'against'>,
  events: readonly EvaluationEvent[],
): void {
  const run = model.run === undefined ? undefined : showRun(model.run);
  const name = run?.name ?? basename(model.path);
  const base = model.run === undefined ? basename(against?.path ?? '') : 'what it started from';
  const compared = events.flatMap((event) => (event.type === 'comparison' ? [event] : []));
  const scores = events.flatMap((event) => (event.type === 'score' ? [scoreText(event)] : []));
  const answers = events.flatMap((event) => (event.type === 'answers' ? [{ ...event, base: event.base }] : []));
  const report: Report = {
    title: `Report of ${name}`,
    about: `${aboutText(run)}${compared.length === 0 ? 'Compared with nothing.' : `Compared with ${base}, on the same items.`}`,
    headline: headline(compared),
    comparisons: compared.map((event) => ({ ...event, words: comparisonText(event) })),
    curves: run === undefined ? [] : curvesOf(run),
    budget: run === undefined ? undefined : budgetOf(run),
    answers: [...answers, ...(run === undefined ? [] : samplesOf(run))],
    notes: [...scores, ...noteTexts(events), ...(run === undefined ? [] : lossesOf(run))],
    next: compared.length === 0 ? [] : advice(compared, run?.name),
  };
  writeAtomic(file, reportHtml(report));
}

function aboutText(run: RunDetails | undefined): string {
  if (run === undefined) return '';
  const { model, method, weights, steps } = run;
  return `${basename(model)}, ${method} with ${weights} weights, ${steps} steps. `;
}

/** What the run itself measured on rows that it used for nothing else. */
function lossesOf({ events }: RunDetails): string[] {
  return events.flatMap((event) => {
    if (event.type === 'report') {
      return [
        `Loss on rows that were used for nothing else: ${event.before.toFixed(4)} before, ${event.after.toFixed(4)} after.`,
      ];
    }
    if (event.type !== 'classification') return [];
    const { accuracy, macroF1, rows } = event;
    return [
      `Labels of ${rows} rows that were used for nothing else: ${(100 * accuracy).toFixed(1)} % right, macro-F1 ${macroF1.toFixed(3)}.`,
    ];
  });
}

/** What it answered to the prompts that it was asked in training, at the first time and at the last. */
function samplesOf({ events }: RunDetails): Report['answers'] {
  const samples = events.flatMap((event) => (event.type === 'sample' ? [event] : []));
  const last = samples.at(-1)?.step;
  return samples
    .filter(({ step }) => step === 0)
    .flatMap(({ index, prompt, text }) => {
      const after = samples.find((one) => one.index === index && one.step === last && last > 0);
      return after === undefined ? [] : [{ task: 'held-out prompt', prompt, base: text, tuned: after.text }];
    });
}

/** What was chosen within the budget of the run, and what the trainer did to keep it. */
function budgetOf({ events }: RunDetails): Report['budget'] {
  const found = events.flatMap((event) => (event.type === 'forgetting' ? [event] : [])).at(-1);
  const acts = events.flatMap((event) => (event.type === 'act' ? [event] : []));
  return found && { found, acts };
}

function curvesOf({ events }: RunDetails): Report['curves'] {
  const points = (type: 'step' | 'eval') =>
    events.flatMap((event) => (event.type === type ? [{ step: event.step, loss: event.loss }] : []));
  return [
    { name: 'training', points: points('step') },
    { name: 'validation', points: points('eval') },
  ];
}
