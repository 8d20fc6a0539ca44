import { join } from 'node:path';
import { TunesmithError } from '../errors/index.ts';
import { type LockHolder, lockHolder, takeLock } from '../io/index.ts';

const NAME = 'run.lock';

/**
 * Makes this process the one that works on a run. A process that was killed holds nothing.
 *
 * @param folder where the run's files are being written, if it is not in its place yet
 * @returns what gives the run free again; harmless when called twice
 * @throws RUN_ACTIVE naming the process that holds it
 */
export function holdRun(run: string, folder = run): () => void {
  const lock = takeLock(join(folder, NAME), join(run, NAME));
  if (lock.kind === 'taken') return lock.release;
  throw runActive(run, lock.holder);
}

/** The process that works on a run, or undefined. */
export function runHolder(run: string): LockHolder | undefined {
  return lockHolder(join(run, NAME));
}

function runActive(run: string, { pid, host, since }: LockHolder): TunesmithError {
  const own = pid === process.pid ? 'this very process' : `process ${pid} on ${host}`;
  const wait = 'wait for it, or stop it with Ctrl-C, which saves the run';
  return new TunesmithError('RUN_ACTIVE', {
    file: run,
    message: `is being worked on by ${own} since ${since}.`,
    // What goes on elsewhere, in another container too, cannot be seen from here.
    fix: `${wait}; if that process is gone from ${host}, remove ${join(run, NAME)}`,
  });
}
