import { resolve } from 'node:path';
import type { Placed, RowsOptions } from '../../../data/check/index.ts';
import { readTrajectories, trajectoryFindings } from '../../../registry/trajectories.ts';
import type { Context } from '../../command.ts';
import type { ByteProgress } from '../../data.ts';
import type { ModelRequest } from '../../domain.ts';
import { countText, durationText } from '../../format.ts';
import { openProgress } from '../../progress.ts';

/** What evidence is gathered from, beside the rows themselves. */
interface Sources {
  readonly files: readonly string[];
  readonly heldOut: readonly string[];
  /** A run's folder. */
  readonly run: string | undefined;
  /** A model that reads every row. */
  readonly model: ModelRequest | undefined;
}

/** What a model and a run say about rows; undefined where neither is asked. */
export function openEvidence(
  { files, heldOut, run, model }: Sources,
  reading: { readonly reading: RowsOptions; readonly allow: readonly string[] },
  { terminal, signal }: Context,
  before: ByteProgress,
): (() => AsyncIterable<Placed>) | undefined {
  if (run === undefined && model === undefined) return undefined;
  // Read before the rows are, so that a run without losses is refused at once.
  const trajectories = run === undefined ? undefined : readTrajectories(run);
  return async function* evidence() {
    before.stop();
    if (trajectories !== undefined) yield* named(trajectoryFindings(trajectories), files);
    if (model === undefined) return;
    const { deepFindings } = await import('../../../evaluate/deep.ts');
    const progress = openProgress(terminal, 'the model reads');
    let since: number | undefined;
    const onProgress = (done: number, total: number) => {
      since ??= Date.now();
      const left = done === 0 ? '' : ` · ${durationText(((Date.now() - since) / 1000 / done) * (total - done))} left`;
      progress.update(done, total, `${countText(done)} of ${countText(total)} rows${left}`);
    };
    try {
      yield* deepFindings(model, { ...reading, files, heldOut, onProgress, signal });
    } finally {
      progress.stop();
    }
  };
}

/** A run knows its files by their whole path; here they have the names that they were given. */
function* named(found: Iterable<Placed>, files: readonly string[]): Iterable<Placed> {
  const names = new Map(files.map((file) => [resolve(file), file]));
  for (const placed of found) {
    const { source } = placed;
    yield source === undefined
      ? placed
      : { ...placed, source: { ...source, file: names.get(resolve(source.file)) ?? source.file } };
  }
}
