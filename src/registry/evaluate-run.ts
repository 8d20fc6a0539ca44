import { basename, join } from 'node:path';
import { type EvaluationEvent, evaluate } from '../evaluate/evaluation.ts';
import { quickSuite } from '../evaluate/tasks.ts';
import type { ModelRequest } from '../evaluate/types.ts';
import { folderExists, writeAtomic } from '../io/index.ts';
import type { RunConfig } from '../train/config.ts';
import type { PreparedRun, RunBase } from '../train/run.ts';
import { writeReport } from './report.ts';

/** What the evaluation at the end of a run reports; `evaluated` comes last and names the report that a browser opens. */
export type RunEvaluationEvent = EvaluationEvent | { readonly type: 'evaluated'; readonly report: string };

/** Items of the quick suite, and tokens of their forward passes, about. */
export const QUICK_SUITE = { items: 1062, tokens: 17_000 };

/** Where answers are kept, so that a base is asked only once. */
export function answersFolder(home: string): string {
  return join(home, 'evaluations');
}

/** Whether a run is evaluated when it is done: it was not asked to leave that, and its model speaks and started from one that did. */
export function isEvaluated({ output, method }: RunConfig): boolean {
  const speaks = method.kind !== 'classify' && !(method.kind === 'pretrain' && method.fromScratch !== undefined);
  return output.eval !== false && speaks;
}

/**
 * Lets a run that is done answer the quick suite and its held-out rows, and the base that it started from too: in the engine that trained, where that
 * holds both. Writes evaluation.json and report.html into the run's folder. Aborting leaves the run as it is: done.
 *
 * @param home the folder whose `evaluations` keeps answers
 * @throws the signal's reason when it is aborted, and what {@link evaluate} throws
 */
export async function* evaluateRun(
  run: PreparedRun,
  base: RunBase,
  home: string,
  signal: AbortSignal,
): AsyncGenerator<RunEvaluationEvent> {
  const report = join(run.path, 'report.html');
  const request = requestOf(run, base, home);
  const events: EvaluationEvent[] = [];
  if (isEvaluated(run.config)) {
    const lent = run.lend();
    // Weights that trained in full lie where the base lay: it is loaded anew, and never beside them.
    if (lent === undefined) await run.close();
    for await (const event of evaluate(request, signal, lent)) {
      if (event.type !== 'progress') events.push(event);
      if (event.type !== 'done') yield event;
    }
    signal.throwIfAborted();
    writeAtomic(join(run.path, 'evaluation.json'), `${JSON.stringify(events, null, 1)}\n`);
  }
  writeReport(report, request, events);
  yield { type: 'evaluated', report };
}

function requestOf({ path, config }: PreparedRun, { path: basePath, hubId }: RunBase, home: string) {
  const { threads } = config.compute;
  const compute = { device: 'cpu', ...(threads === undefined ? {} : { threads }) } as const;
  const best = join(path, 'best');
  const isFull = config.weights.kind === 'full';
  const model: ModelRequest = isFull
    ? { path: best, hubId, run: path, compute }
    : { path: basePath, hubId, adapter: best, run: path, compute };
  const against: ModelRequest | undefined = isFull ? { path: basePath, hubId, compute } : undefined;
  return { model, against, suite: quickSuite(), tasks: [], heldOut: true, folder: answersFolder(home) };
}

/** How a run that was not evaluated to its end is measured later, as a command. */
export function evaluateLater(run: string): string {
  const name = folderExists(join('runs', basename(run))) ? basename(run) : run;
  return `tunesmith eval ${name} --html ${join(run, 'report.html')}`;
}
