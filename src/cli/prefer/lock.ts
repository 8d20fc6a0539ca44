import { TunesmithError } from '../../errors/index.ts';
import { takeLock } from '../../io/index.ts';

/** Keeps other processes from writing to a file of rankings. @throws PREFER_BUSY */
export function lockRankings(file: string): { release(): void } {
  const lock = takeLock(`${file}.lock`);
  if (lock.kind === 'taken') return lock;
  const message = `process ${lock.holder.pid} writes to it since ${lock.holder.since}.`;
  throw new TunesmithError('PREFER_BUSY', { message, file });
}
