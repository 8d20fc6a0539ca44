import { TunesmithError } from '../../errors/index.ts';
import type { RunConfig } from '../config.ts';

/** Options that say how conversations become text; documents are text already. */
const OF_CONVERSATIONS: Readonly<Record<string, string>> = {
  'data.system': '--system',
  'data.format': '--format',
  'data.trainOn': '--train-on',
  'data.onLong': '--on-long',
  'data.role': '--role',
};

/**
 * Refuses options that have no effect on pre-training, or none without another that is missing.
 *
 * @param origins where each value comes from, by dotted path
 * @throws CLI_OPTION_CONFLICT
 */
export function requirePretrainOptions({ method }: RunConfig, origins: Readonly<Record<string, string>>): void {
  if (method.kind !== 'pretrain') return;
  const { replay, fromScratch, vocab } = method;
  if (vocab !== undefined && fromScratch === undefined) {
    throw conflict('--vocab has no effect on a model that has a tokenizer.', 'leave --vocab out');
  }
  if (replay !== undefined && fromScratch !== undefined) {
    throw conflict(
      '--replay has no place beside --from-scratch: a new model has nothing to forget.',
      'leave --replay out',
    );
  }
  if (replay !== undefined) return;
  for (const [path, flag] of Object.entries(OF_CONVERSATIONS)) {
    const origin = origins[path] ?? 'default';
    // A run that another starts from brings every value that it was told.
    if (origin === 'default' || origin.startsWith('run ')) continue;
    throw conflict(`${flag} has no effect on --method pretrain: documents are taken as they are.`, `leave ${flag} out`);
  }
}

function conflict(message: string, fix: string): TunesmithError {
  return new TunesmithError('CLI_OPTION_CONFLICT', { message, fix });
}
