import { join } from 'node:path';
import type { Example } from '../text/example.ts';
import { loadTrained } from './checkpoint.ts';
import type { RunContext } from './context.ts';
import { createNetwork, type Network } from './network.ts';
import { isOnline } from './objective.ts';

/** What the engine of a run that is done still holds, so that nothing is loaded again to measure it. */
export interface Lent {
  /** With the run's best weights. */
  readonly tuned: Network;
  /** Without the adapter. */
  readonly base: Network;
  /** The rows that were used for nothing else. */
  readonly report: readonly Example[];
}

/** Lends what a run trained; undefined where its weights took the place of the base's, or where it labels rows. @throws RUN_CHECKPOINT */
export function lend({
  engine,
  base,
  net,
  dataset,
  path,
  frozen,
}: Pick<RunContext, 'engine' | 'base' | 'net' | 'dataset' | 'path' | 'frozen'>): Lent | undefined {
  if (net.adapter === undefined || net.classifier !== undefined) return undefined;
  loadTrained(join(path, 'best'), net);
  // What is generated is as it was drawn; what is scored is scored as any model is.
  const tuned = net.temperature === undefined ? net : { ...net, temperature: undefined, programs: new Map() };
  const report = isOnline(frozen.config.method) ? [] : dataset.report.map(({ example }) => example);
  return { tuned, base: createNetwork({ engine, base }), report };
}
