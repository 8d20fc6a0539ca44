import { basename, isAbsolute, join, resolve, sep } from 'node:path';
import { nearestName, TunesmithError } from '../errors/index.ts';
import { remove } from '../io/atomic.ts';
import { fileExists, folderExists, listFolder, readJson } from '../io/files.ts';
import { modifiedAt } from '../io/modified.ts';
import type { TrainEvent } from '../train/events.ts';
import { holdRun, runHolder } from '../train/run-lock.ts';
import { readEvents } from './events.ts';

/** Where a run stands. A process works on it now (`running`), or it is to be resumed (`stopped`, or `new` before its first step). */
export type RunStatus = 'done' | 'running' | 'stopped' | 'new';

/** A run at a glance. */
export interface RunSummary {
  readonly name: string;
  readonly path: string;
  readonly model: string;
  readonly method: string;
  readonly weights: string;
  readonly status: RunStatus;
  /** Steps done. */
  readonly steps: number;
  /** Mean of the last ten steps' losses, nats per token. */
  readonly loss: number | undefined;
  /** Lowest validation loss, nats per token. */
  readonly best: number | undefined;
  /** When something last happened, as an ISO 8601 time. */
  readonly active: string;
}

/** A run with all that is in its folder. */
export interface RunDetails extends RunSummary {
  /** The frozen config, flattened: `train.lr` -> 0.001. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly events: readonly TrainEvent[];
  /** Steps that a checkpoint was kept of. */
  readonly checkpoints: readonly number[];
}

/** What a name of a run stands for. */
export interface RunReference {
  readonly name: string;
  /** The run's folder. */
  readonly run: string;
  /** The folder of weights or adapter that it names; undefined while the run has none. */
  readonly weights: string | undefined;
  /** Set if a step was named. */
  readonly step: number | undefined;
}

/** Whether a folder is a run: it holds a frozen config. */
export function isRun(path: string): boolean {
  return fileExists(join(path, 'config.json')) && fileExists(join(path, 'events.jsonl'));
}

/** The runs in a folder, the most recently active last. A folder that is not there holds none. */
export function listRuns(folder: string): RunSummary[] {
  return runFolders(folder).map((path) => showRun(path));
}

/** Reads a run's folder. @throws RUN_NOT_FOUND, RUN_BROKEN, FILE_NOT_JSON */
export function showRun(path: string): RunDetails {
  if (!isRun(path)) throw notFound(path, []);
  const config = configOf(path);
  const { events } = readEvents(join(path, 'events.jsonl'));
  const losses = events.flatMap((event) => (event.type === 'step' ? event.loss : []));
  const evals = events.flatMap((event) => (event.type === 'eval' ? event.loss : []));
  const last = losses.slice(-10);
  const text = (key: string) => (config[key] === undefined ? '?' : String(config[key]));
  return {
    name: basename(path),
    path,
    model: text('model'),
    method: text('method.kind'),
    weights: text('weights.kind'),
    status: statusOf(path, events),
    steps: events.reduce((most, event) => (event.type === 'step' ? Math.max(most, event.step) : most), 0),
    loss: last.length === 0 ? undefined : last.reduce((sum, loss) => sum + loss, 0) / last.length,
    best: evals.length === 0 ? undefined : Math.min(...evals),
    active: new Date(lastActive(path)).toISOString(),
    config,
    events,
    checkpoints: checkpointSteps(path),
  };
}

function statusOf(run: string, events: readonly TrainEvent[]): RunStatus {
  if (events.some((event) => event.type === 'done')) return 'done';
  if (runHolder(run) !== undefined) return 'running';
  return events.some((event) => event.type === 'step') ? 'stopped' : 'new';
}

/** The config as the user could have written it, without what the run froze beside it. */
function configOf(run: string): Record<string, unknown> {
  const entries = Object.entries(flatten(readJson(join(run, 'config.json'))));
  return Object.fromEntries(entries.filter(([key]) => !/^(frozen|origins)(\.|$)/.test(key)));
}

/**
 * Removes the folders of runs: all of them, or none.
 *
 * @throws RUN_NOT_FOUND if a folder is no run, so that nothing else is ever removed; RUN_ACTIVE if a process works on one
 */
export function removeRuns(paths: readonly string[]): void {
  const wrong = paths.find((path) => !isRun(path));
  if (wrong !== undefined) throw notFound(wrong, []);
  const held: (() => void)[] = [];
  try {
    // Held by this process, none can be resumed between the check and its end.
    for (const path of new Set(paths)) held.push(holdRun(path));
    for (const path of paths) remove(path);
  } finally {
    for (const release of held) release();
  }
}

/**
 * Finds the run that a user named: by its name, its path, or `@last`, each with an optional `:step-100`, `:best` or `:last`.
 * Without one of these it stands for its best checkpoint, or the last where none was validated.
 *
 * @param folder the folder that holds the runs
 * @throws RUN_NOT_FOUND, RUN_CHECKPOINT_NOT_FOUND
 */
export function resolveRun(reference: string, folder: string): RunReference {
  const [, name = reference, which] = /^(.+?)(?::(step-\d+|best|last))?$/.exec(reference) ?? [];
  const run = findRun(name, folder);
  if (run === undefined) {
    const names = runFolders(folder).map((path) => basename(path));
    throw notFound(name, names);
  }
  const step = which?.startsWith('step-') ? Number(which.slice(5)) : undefined;
  return { name: basename(run), run, step, weights: weightsOf(run, which, step) };
}

/** As {@link resolveRun}, or undefined where no run has this name. */
export function tryResolveRun(reference: string, folder: string): RunReference | undefined {
  try {
    return resolveRun(reference, folder);
  } catch (error) {
    if (error instanceof TunesmithError && error.code === 'RUN_NOT_FOUND') return undefined;
    throw error;
  }
}

/** The steps that checkpoints were kept of, ascending. */
export function checkpointSteps(run: string): number[] {
  const folder = join(run, 'checkpoints');
  if (!folderExists(folder)) return [];
  return listFolder(folder)
    .flatMap((name) => Number(/^step-(\d+)$/.exec(name)?.[1] ?? Number.NaN))
    .filter((step) => !Number.isNaN(step))
    .sort((a, b) => a - b);
}

/** One line of a comparison: a key and its value in each run. */
export interface Difference {
  readonly key: string;
  readonly values: readonly unknown[];
}

/** In which config values runs differ. */
export function compareConfigs(runs: readonly RunDetails[]): Difference[] {
  const keys = [...new Set(runs.flatMap((run) => Object.keys(run.config)))].sort();
  return keys
    .map((key) => ({ key, values: runs.map((run) => run.config[key]) }))
    .filter(({ key, values }) => key !== 'output.name' && new Set(values.map((v) => JSON.stringify(v))).size > 1);
}

function findRun(name: string, folder: string): string | undefined {
  if (name === '@last') return runFolders(folder).at(-1);
  const named = join(folder, name);
  // A name is one folder deep; anything else is meant as a path.
  if (!name.includes('/') && !name.includes(sep) && isRun(named)) return named;
  const path = isAbsolute(name) ? name : resolve(name);
  return isRun(path) ? path : undefined;
}

function weightsOf(run: string, which: string | undefined, step: number | undefined): string | undefined {
  const steps = checkpointSteps(run);
  const newest = steps.at(-1);
  const checkpoint = (at: number) => join(run, 'checkpoints', `step-${String(at).padStart(6, '0')}`);
  if (step !== undefined) {
    if (steps.includes(step)) return checkpoint(step);
    const message = `run ${basename(run)} keeps no checkpoint of step ${step}; there are ${steps.join(', ') || 'none'}.`;
    throw new TunesmithError('RUN_CHECKPOINT_NOT_FOUND', { message });
  }
  const kept = (which === 'last' ? ['last'] : which === 'best' ? ['best'] : ['best', 'last'])
    .map((name) => join(run, name))
    .find((path) => folderExists(path));
  if (kept !== undefined) return kept;
  if (which === 'best') {
    throw new TunesmithError('RUN_CHECKPOINT_NOT_FOUND', {
      message: `run ${basename(run)} has no best checkpoint yet.`,
    });
  }
  return newest === undefined ? undefined : checkpoint(newest);
}

/** Paths of runs, the most recently active last. */
function runFolders(folder: string): string[] {
  if (!folderExists(folder)) return [];
  return (
    listFolder(folder)
      // What begins with a dot is a run in the making.
      .filter((name) => !name.startsWith('.'))
      .map((name) => join(folder, name))
      .filter(isRun)
      .map((path) => ({ path, time: lastActive(path) }))
      .sort((a, b) => a.time - b.time)
      .map(({ path }) => path)
  );
}

function lastActive(run: string): number {
  return modifiedAt(join(run, 'events.jsonl'));
}

function notFound(name: string, names: readonly string[]): TunesmithError {
  const near = nearestName(name, names);
  const message = name === '@last' ? 'there is no run yet.' : `there is no run ${name}.`;
  return new TunesmithError('RUN_NOT_FOUND', {
    message,
    fix: near === undefined ? undefined : `did you mean ${near}?`,
  });
}

/** Nested objects as dotted keys; arrays stay whole. */
export function flatten(value: unknown, prefix = ''): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { [prefix]: value };
  const join_ = (key: string) => (prefix === '' ? key : `${prefix}.${key}`);
  return Object.assign({}, ...Object.entries(value).map(([key, inner]) => flatten(inner, join_(key))));
}
