import { join } from 'node:path';
import { evidence, RECITED, robustScores } from '../data/check/deep/loss-outliers.ts';
import type { Placed } from '../data/check/types.ts';
import { TunesmithError } from '../errors/index.ts';
import { fileExists, fileSize, readJson, readText } from '../io/files.ts';
import { median } from '../math/stats.ts';
import { type LoggedRow, ROW_LOG } from '../train/row-log.ts';

/** A row at one visit of a run. */
export interface Visit {
  readonly step: number;
  /** Before the step's update, nats per token. */
  readonly loss: number;
  readonly tokens: number;
  /** Share of its tokens of which the model was surer than of all others together. */
  readonly known: number;
}

/** What became of a row in a run. */
export interface Trajectory {
  readonly file: string;
  readonly line: number;
  readonly visits: readonly Visit[];
  /** Visits at which clearly less of the row was known than at the one before. */
  readonly forgotten: number;
}

/** Share of a row's tokens that must be lost between two visits; of a row with one token that is the event of Toneva et al. 2019. */
const LOST = 0.1;

/** Whether a run noted anything of its rows. */
export function hasTrajectories(run: string): boolean {
  const path = join(run, ROW_LOG);
  return fileExists(path) && fileSize(path) > 0;
}

/**
 * Reads what a run noted of its rows, in the order of the first visits. A row that became several examples has one trajectory for each.
 *
 * @throws RUN_NO_ROWS where the run noted nothing: it is older, or its loss is not that of tokens
 */
export function readTrajectories(run: string): Trajectory[] {
  const lines = hasTrajectories(run) ? readText(join(run, ROW_LOG)).split('\n') : [];
  const visits = new Map<string, { readonly file: string; readonly line: number; readonly visits: Visit[] }>();
  for (const text of lines) {
    // The last line may be torn.
    if (!text.endsWith('}')) continue;
    const { step, rows } = JSON.parse(text) as { readonly step: number; readonly rows: readonly LoggedRow[] };
    for (const { file, line, part = 0, loss, tokens, known } of rows) {
      const key = `${file}\u0000${line}\u0000${part}`;
      const row = visits.get(key) ?? { file, line, visits: [] };
      row.visits.push({ step, loss, tokens, known: known / tokens });
      visits.set(key, row);
    }
  }
  if (visits.size === 0) {
    const message = 'holds no losses of rows: the run is older, or its method compares answers.';
    throw new TunesmithError('RUN_NO_ROWS', { file: run, message });
  }
  return [...visits.values()].map((row) => ({ ...row, forgotten: forgottenIn(row.visits) }));
}

function forgottenIn(visits: readonly Visit[]): number {
  return visits.filter(({ known }, i) => i > 0 && visits[i - 1]!.known - known >= LOST).length;
}

/** Deviations that a row must stay above the others at its last visit. */
const UNLEARNED = 4;
const FEWEST = 20;

/**
 * What trajectories say about rows: those that were known when they were first met, those that training did not bring down as it did the others,
 * and those that were learned and forgotten again. Rows are held against others of the same time, since all losses fall.
 */
export function* trajectoryFindings(trajectories: readonly Trajectory[]): Iterable<Placed> {
  if (trajectories.length < FEWEST) return;
  const lasts = trajectories.map(({ visits }) => visits.at(-1)!);
  const usual = usualLoss(trajectories);
  const scores = robustScores(
    lasts.map(({ step, loss }) => loss - usual(step)),
    0.15,
  );
  for (const [i, { file, line, visits, forgotten }] of trajectories.entries()) {
    const { step, loss, tokens } = lasts[i]!;
    const source = { file, line };
    const first = visits[0]!;
    const limit = Math.min(RECITED.nats, usual(first.step) / 4);
    if (first.loss <= limit && tokens >= RECITED.tokens) {
      const message = `had a loss of ${first.loss.toFixed(2)} nats per token when the run first met it, where others stood at ${usual(first.step).toFixed(2)}: the answer stands in the question, or the model saw it.`;
      yield { code: 'DATA_LOSS_LOW', severity: 'review', source, message, score: 1 - 0.5 * (first.loss / limit) };
    }
    const course = visits.map((visit) => visit.loss.toFixed(2)).join(' → ');
    const deviations = scores.of(loss - usual(step)) * Math.sqrt(tokens / (tokens + 4));
    if (deviations >= UNLEARNED && loss - usual(step) >= 0.5) {
      const message = `went ${course} nats per token in the run, where others stood at ${usual(step).toFixed(2)} by then.`;
      yield { code: 'DATA_UNLEARNED', severity: 'review', source, message, score: evidence(deviations, UNLEARNED) };
    }
    if (forgotten > 0) {
      const shares = visits.map((visit) => `${Math.round(100 * visit.known)} %`).join(' → ');
      const message = `was forgotten ${forgotten === 1 ? 'once' : `${forgotten} times`} in the run: of its tokens were known ${shares}.`;
      yield { code: 'DATA_FORGOTTEN', severity: 'review', source, message, score: evidence(forgotten, 2) };
    }
  }
}

/** Of all visits about the time of a step the median loss. */
function usualLoss(trajectories: readonly Trajectory[]): (step: number) => number {
  const visits = trajectories.flatMap((row) => row.visits).sort((a, b) => a.step - b.step);
  const steps = visits.at(-1)!.step;
  const reach = Math.max(1, Math.round(steps / 20));
  const known = new Map<number, number>();
  return (step) => {
    let usual = known.get(step);
    if (usual === undefined) {
      usual = median(visits.filter((visit) => Math.abs(visit.step - step) <= reach).map(({ loss }) => loss)) ?? 0;
      known.set(step, usual);
    }
    return usual;
  };
}

/** The files that a run trained on. @throws FILE_NOT_FOUND, FILE_NOT_JSON */
export function trainedFiles(run: string): string[] {
  const { data } = readJson(join(run, 'config.json')) as {
    readonly data: string | { readonly train: string | readonly string[] };
  };
  const train = typeof data === 'string' ? data : data.train;
  return typeof train === 'string' ? [train] : [...train];
}
