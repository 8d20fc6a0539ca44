import { join } from 'node:path';
import { compareConfigs, listRuns, type RunDetails, removeRuns, resolveRun, showRun } from '../../registry/runs.ts';
import { hasTrajectories, readTrajectories, trajectoryFindings } from '../../registry/trajectories.ts';
import { classificationText } from '../classification.ts';
import { defineCommand, type OptionSpecs } from '../command.ts';
import { countText, curve, lossText, table } from '../format.ts';
import { RUNS } from '../models.ts';
import { rewardText } from '../rewards.ts';

const options = {
  out: { type: 'string', value: 'DIR', description: 'folder that holds the runs', default: RUNS },
} as const satisfies OptionSpecs;

const when = (iso: string) => iso.slice(0, 16).replace('T', ' ');

/** `tunesmith runs ls`. */
export const runsLs = defineCommand({
  name: 'runs ls',
  summary: 'Lists the runs, the most recently active last.',
  positionals: [],
  options,
  examples: ['runs ls'],
  async run({ options: { out = RUNS } }, { terminal }) {
    const runs = listRuns(out);
    for (const run of runs) {
      const { name, path, model, method, weights, status, steps, loss, best, active } = run;
      terminal.emit({ type: 'run', name, path, model, method, weights, status, steps, loss, best, active });
    }
    if (runs.length === 0) terminal.print(`No runs in ${out} yet.`);
    else {
      const rows = runs.map((r) => [
        ...[r.name, r.model, `${r.method} ${r.weights}`, r.status, String(r.steps)],
        ...[lossText(r.loss), lossText(r.best), when(r.active)],
      ]);
      terminal.print(table([['run', 'model', 'what', 'status', 'steps', 'loss', 'best valid', 'active'], ...rows]));
    }
    return 0;
  },
});

/** `tunesmith runs show`. */
export const runsShow = defineCommand({
  name: 'runs show',
  summary: 'Shows a run: its config, its losses as a curve, its evaluations and checkpoints.',
  positionals: ['RUN'],
  options,
  examples: ['runs show @last'],
  async run({ options: { out = RUNS }, positionals: [name = ''] }, { terminal }) {
    const run = showRun(resolveRun(name, out).run);
    const { events: _, ...summary } = run;
    terminal.emit({ type: 'run', ...summary });
    terminal.print(`${run.name}: ${run.status}, ${run.steps} steps, last active ${when(run.active)}\n${run.path}\n`);
    terminal.print(table(Object.entries(run.config).map(([key, value]) => [`  ${key}`, JSON.stringify(value) ?? ''])));
    const losses = run.events.flatMap((event) => (event.type === 'step' ? event.loss : []));
    if (losses.length > 1) {
      const unit = run.method === 'classify' ? 'row' : 'token';
      terminal.print(`\nloss by step, nats per ${unit}\n${curve(losses, { columns: terminal.columns - 12, rows: 6 })}`);
    }
    const evals = run.events.flatMap((event) => (event.type === 'eval' ? [event] : []));
    if (evals.length > 0) {
      const rows = evals.map((event) => [String(event.step), lossText(event.loss), String(event.tokens)]);
      terminal.print(`\n${table([['step', 'valid loss', 'tokens'], ...rows])}`);
    }
    const figures = run.events.findLast((event) => event.type === 'classification');
    if (figures !== undefined) terminal.print(`\n${classificationText(figures)}`);
    const rewards = run.events.findLast((event) => event.type === 'reward');
    if (rewards !== undefined) terminal.print(`\n${rewardText(rewards)}`);
    const rows = rowsText(run.path);
    if (rows !== undefined) terminal.print(`\n${rows}`);
    const kept = run.checkpoints.map((step) => `step-${step}`).join(', ') || 'none';
    terminal.print(`\ncheckpoints: ${kept}`);
    if (run.status === 'new' || run.status === 'stopped')
      terminal.print(`It goes on with: tunesmith train --resume ${run.name}`);
    return 0;
  },
});

/** Rows of a run that are named. */
const NAMED = 5;

/** The rows that stand out by what they lost; undefined where none does, or nothing was noted. */
function rowsText(run: string): string | undefined {
  const found = hasTrajectories(run) ? [...trajectoryFindings(readTrajectories(run))] : [];
  if (found.length === 0) return undefined;
  const first = found.sort((a, b) => (b.score ?? 0) - (a.score ?? 0)).slice(0, NAMED);
  const lines = first.map(({ source, message }) => `  ${source?.file}:${source?.line} ${message}`);
  const more = `tunesmith data check --run ${run} says more`;
  return [`${countText(found.length)} rows stand out; ${more}:`, ...lines].join('\n');
}

/** `tunesmith runs compare`. */
export const runsCompare = defineCommand({
  name: 'runs compare',
  summary: 'Shows in what runs differ, and what came of it.',
  positionals: ['RUN', 'RUN...'],
  options,
  examples: ['runs compare lr-low lr-high', 'runs compare baseline @last'],
  async run({ options: { out = RUNS }, positionals }, { terminal }) {
    const runs = positionals.map((name) => showRun(resolveRun(name, out).run));
    const differences = compareConfigs(runs);
    const outcome = (key: string, value: (run: RunDetails) => unknown) => ({ key, values: runs.map(value) });
    const outcomes = [
      outcome('status', (run) => run.status),
      outcome('steps', (run) => run.steps),
      outcome('loss', (run) => run.loss),
      outcome('best valid loss', (run) => run.best),
      ...(runs.some((run) => macroF1(run) !== undefined) ? [outcome('macro-F1', macroF1)] : []),
    ];
    terminal.emit({ type: 'compare', runs: runs.map((run) => run.name), differences, outcomes });
    const cell = (value: unknown) => (typeof value === 'number' ? String(Number(value.toPrecision(6))) : text(value));
    const lines = [...differences, ...outcomes].map(({ key, values }) => [key, ...values.map(cell)]);
    terminal.print(table([['', ...runs.map((run) => run.name)], ...lines]));
    return 0;
  },
});

/** Of a classifier, on the reporting rows. */
function macroF1({ events }: RunDetails): number | undefined {
  return events.findLast((event) => event.type === 'classification')?.macroF1;
}

const text = (value: unknown) =>
  value === undefined ? '-' : typeof value === 'string' ? value : JSON.stringify(value);

/** `tunesmith runs rm`. */
export const runsRm = defineCommand({
  name: 'runs rm',
  summary: 'Removes runs with all that is in their folders.',
  positionals: ['RUN', '[RUN...]'],
  options,
  examples: ['runs rm first-try'],
  async run({ options: { out = RUNS }, positionals }, { terminal }) {
    // All names are looked up before anything goes.
    const runs = positionals.map((name) => resolveRun(name, out));
    removeRuns(runs.map(({ run }) => run));
    for (const { run, name } of runs) {
      terminal.emit({ type: 'removed', name, path: run });
      terminal.print(`removed ${join(run)}`);
    }
    return 0;
  },
});
