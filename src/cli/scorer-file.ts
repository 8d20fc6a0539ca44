import { extname, resolve } from 'node:path';
import { createJiti } from 'jiti';
import { TunesmithError } from '../errors/index.ts';
import type { Marking } from '../evaluate/tasks.ts';
import { fileExists } from '../io/files.ts';

type FunctionMarking = Marking & { readonly kind: 'function' };

/**
 * Loads a function of the user's that marks answers: the default export of a .ts or .js file.
 *
 * @throws FILE_NOT_FOUND, EVAL_SCORER
 */
export async function loadScorer(file: string): Promise<FunctionMarking> {
  if (!fileExists(file)) throw new TunesmithError('FILE_NOT_FOUND', { file, message: 'is not there.' });
  const fault = (message: string, cause?: unknown) => new TunesmithError('EVAL_SCORER', { file, message, cause });
  if (!/^\.[mc]?[tj]s$/.test(extname(file))) throw fault('is no .ts or .js file.');
  let loaded: unknown;
  try {
    loaded = await createJiti(import.meta.url, { fsCache: false }).import(resolve(file), { default: true });
  } catch (cause) {
    const why = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
    throw fault(`cannot be loaded: ${why.replace(/\.$/, '')}.`, cause);
  }
  if (typeof loaded !== 'function') throw fault('has no default export that is a function.');
  return { kind: 'function', mark: loaded as FunctionMarking['mark'] };
}
