import { TunesmithError } from '../../errors/index.ts';
import type { RunConfig } from '../config.ts';

/**
 * Refuses what retaining would ignore.
 *
 * @throws CLI_OPTION_CONFLICT
 */
export function requireRetainOptions({ method }: RunConfig): void {
  if (method.kind !== 'sft' && method.kind !== 'pretrain') return;
  if (method.replayRatio !== undefined && method.replay === undefined) {
    throw conflict('--replay-ratio has no effect without --replay.', 'give --replay FILE or leave --replay-ratio out');
  }
}

function conflict(message: string, fix: string): TunesmithError {
  return new TunesmithError('CLI_OPTION_CONFLICT', { message, fix });
}
