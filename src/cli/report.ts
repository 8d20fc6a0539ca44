import { basename } from 'node:path';
import type { EvaluationEvent, EvaluationRequest } from '../evaluate/evaluation.ts';
import { type Report, reportHtml } from '../evaluate/report.ts';
import { writeAtomic } from '../io/atomic.ts';
import { showRun } from '../registry/runs.ts';
import { comparisonText } from './evaluation.ts';

/** Writes an evaluation as an HTML file; a run brings its loss curves. @throws FILE_WRITE_FAILED, DISK_FULL */
export function writeReport(
  file: string,
  { model, against }: EvaluationRequest,
  events: readonly EvaluationEvent[],
): void {
  const run = model.run === undefined ? undefined : showRun(model.run);
  const name = run?.name ?? basename(model.path);
  const base = against === undefined ? 'what it started from' : basename(against.path);
  const comparisons = events.flatMap((event) =>
    event.type === 'comparison' ? [{ ...event, words: comparisonText(event) }] : [],
  );
  const scores = events.flatMap((event) =>
    event.type === 'score'
      ? [
          `${event.task}: ${event.unit === 'accuracy' ? `${(100 * event.value).toFixed(1)} % right` : `${event.value.toFixed(4)} nats per token`}`,
        ]
      : [],
  );
  const notes = events.flatMap((event) => {
    if (event.type === 'note') return [event.message];
    return event.type === 'divergence' ? [`KL from the base on the task's prompts: ${event.kl.toFixed(3)} nats.`] : [];
  });
  const report: Report = {
    title: `Report of ${name}`,
    about: comparisons.length === 0 ? 'Compared with nothing.' : `Compared with ${base}, on the same items.`,
    comparisons,
    curves: run === undefined ? [] : curvesOf(run.events),
    answers: events.flatMap((event) => (event.type === 'answers' ? [{ ...event, base: event.base }] : [])),
    notes: [...scores, ...notes],
  };
  writeAtomic(file, reportHtml(report));
}

function curvesOf(events: ReturnType<typeof showRun>['events']): Report['curves'] {
  const points = (type: 'step' | 'eval') =>
    events.flatMap((event) => (event.type === type ? [{ step: event.step, loss: event.loss }] : []));
  return [
    { name: 'training', points: points('step') },
    { name: 'validation', points: points('eval') },
  ];
}
