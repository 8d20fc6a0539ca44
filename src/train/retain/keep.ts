import { join } from 'node:path';
import { writeAtomic, writeFolderAtomic } from '../../io/index.ts';
import { readTrained, type WriteModel } from '../checkpoint.ts';
import type { RunContext } from '../context.ts';
import { meanLoss } from '../evaluate-loss.ts';
import type { TrainEvent } from '../events.ts';
import type { Guard } from './guard.ts';
import { searchWithin } from './search.ts';

/** Puts the best model within the budget in the place of the best, and writes down from what it was chosen. */
export async function keepBudget(
  run: RunContext,
  guard: Guard,
  best: { readonly folder: string; readonly write: WriteModel },
  signal: AbortSignal,
): Promise<TrainEvent> {
  const select = run.dataset.select.map(({ example }) => example);
  const found = await searchWithin(run, guard, {
    loss: async () => (await meanLoss(run.net, select, signal, { ...run, kind: 'evaluate' })).loss,
    ability: () => guard.measure(signal),
  });
  const tensors = await readTrained(run.net);
  await writeFolderAtomic(best.folder, (folder) => best.write(folder, tensors));
  const { start, startReport: before } = guard.state();
  const report = { before, after: await guard.reportLoss(signal) };
  const facts = { budget: guard.budget, start, ...found, isKept: found.chosen.used <= 1, report };
  writeAtomic(join(run.path, 'forgetting.json'), `${JSON.stringify({ version: 1, ...facts }, null, 2)}\n`);
  return { type: 'forgetting', ...facts };
}
