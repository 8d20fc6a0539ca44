import { TunesmithError } from '../../errors/index.ts';
import type { RunConfig } from '../config.ts';

/** Options of other methods that a classifier would ignore. */
const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  'data.trainOn': '--train-on',
  'data.format': '--format',
};

/**
 * Refuses options that have no effect on a classifier, whatever value they were given.
 *
 * @param origins where each value comes from, by dotted path
 * @throws CLI_OPTION_CONFLICT
 */
export function requireClassifierOptions({ method }: RunConfig, origins: Readonly<Record<string, string>>): void {
  if (method.kind !== 'classify') return;
  for (const [path, flag] of Object.entries(WITHOUT_EFFECT)) {
    const origin = origins[path] ?? 'default';
    // A run that another starts from brings every value that it was told.
    if (origin === 'default' || origin.startsWith('run ')) continue;
    const message = `${flag} has no effect on --method classify: a text is classified as it is, a conversation through the chat template.`;
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message, fix: `leave ${flag} out` });
  }
}
