import { TunesmithError } from '../../errors/index.ts';
import type { RunConfig } from '../config.ts';
import type { Dataset } from '../dataset.ts';
import { SELF } from '../methods.ts';
import { hasHeld } from './session.ts';

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
  for (const [flag, given] of [
    ['--replay-prompts', method.replayPrompts],
    ['--replay-samples', method.replaySamples],
  ] as const) {
    if (given === undefined || method.replay === SELF) continue;
    throw conflict(`${flag} has no effect without --replay self.`, `give --replay self or leave ${flag} out`);
  }
  if (method.klWeight !== undefined && method.kind === 'pretrain' && method.fromScratch !== undefined) {
    throw conflict(
      '--kl-weight has no place beside --from-scratch: a new model has nothing to stay near to.',
      'leave --kl-weight out',
    );
  }
}

/**
 * Refuses a penalty where nothing can be held.
 *
 * @throws CLI_OPTION_CONFLICT
 */
export function requireHeld({ method }: Pick<RunConfig, 'method'>, dataset: Dataset): void {
  if (!('klWeight' in method) || method.klWeight === undefined || hasHeld(dataset)) return;
  throw conflict(
    '--kl-weight has no effect: the rows have no prompts, and nothing is replayed.',
    'give --replay FILE, or leave --kl-weight out',
  );
}

function conflict(message: string, fix: string): TunesmithError {
  return new TunesmithError('CLI_OPTION_CONFLICT', { message, fix });
}
