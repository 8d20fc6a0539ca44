import { TunesmithError } from '../errors/index.ts';
import { POOLED } from '../evaluate/advice.ts';
import type { EvaluationEvent, EvaluationRequest } from '../evaluate/evaluation.ts';
import type { Task } from '../evaluate/tasks.ts';
import { answersFolder, type RunEvaluationEvent } from '../registry/evaluate-run.ts';
import { locateBase } from '../registry/locate.ts';
import type { Context, OptionSpecs, Values } from './command.ts';
import type { ModelRequest } from './domain.ts';
import { countText, durationText, table } from './format.ts';
import { judgeOptions, type OpenJudge, openJudge } from './judge.ts';
import { modelOptions, placesOf, pulling, requestModel } from './models.ts';
import { openProgress } from './progress.ts';
import { loadScorer } from './scorer-file.ts';
import { domain } from './wiring.ts';

/** Options of commands that evaluate. */
export const evaluationOptions = {
  ...modelOptions,
  against: { type: 'string', value: 'MODEL', description: 'what to compare with (default: what a run started from)' },
  suite: {
    type: 'string',
    choices: ['quick', 'full', 'none'],
    description: 'probes of general ability: quick has 1,032 items and general text, full 120 answers more',
    default: 'quick',
  },
  task: {
    type: 'string',
    value: '[FORMAT:]FILE',
    many: true,
    description: 'items of your own, or of a benchmark such as hellaswag:FILE',
  },
  scorer: {
    type: 'string',
    value: 'FILE',
    description: 'a .ts or .js file whose function marks the answers to --task',
  },
  ...judgeOptions,
  limit: { type: 'integer', value: 'N', description: 'most items of each task' },
} as const satisfies OptionSpecs;

/** Forward passes of general text and probes, tokens; what `eval` says beforehand. */
const TOKENS_PER_ITEM = 14;

/** Puts together what the options ask for. @throws EVAL_TASK, CLI_OPTION_VALUE, CLI_ARGUMENT */
export async function evaluationRequest(
  name: string,
  options: Values<typeof evaluationOptions>,
  context: Context,
): Promise<EvaluationRequest & { readonly judge: OpenJudge | undefined }> {
  const { limit } = options;
  if (limit !== undefined && limit < 1) {
    throw new TunesmithError('CLI_OPTION_VALUE', { message: `--limit ${limit} leaves no item.` });
  }
  const { tasks, suite } = await readTasks(options);
  const model = await requestModel(name, options, context);
  const against = options.against === undefined ? await startOf(model, context) : await other(options, context);
  const isCompared = against !== undefined || model.adapter !== undefined;
  const judge = await openJudge(options, tasks, isCompared, context);
  const folder = answersFolder(context.home);
  return { model, against, suite, tasks, heldOut: options.against === undefined, folder, judge };
}

async function readTasks({ task = [], suite = 'quick', limit, scorer }: Values<typeof evaluationOptions>) {
  const { fullSuite, limited, quickSuite } = await import('../evaluate/tasks.ts');
  const { loadTask } = await import('../evaluate/task-file.ts');
  const cut = (tasks: readonly Task[]) => (limit === undefined ? tasks : tasks.map((one) => limited(one, limit)));
  const marking = scorer === undefined ? undefined : await loadScorer(scorer);
  const tasks = task.map((file) => loadTask(file, marking));
  if (marking !== undefined && !tasks.some((one) => one.kind === 'answer')) {
    const message = '--scorer has no effect: no --task is answered in words.';
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message, fix: 'leave --scorer out' });
  }
  const probes = { quick: quickSuite, full: fullSuite, none: () => [] }[suite as 'quick' | 'full' | 'none'];
  return { tasks: cut(tasks), suite: cut(probes()) };
}

const other = (options: Values<typeof evaluationOptions>, context: Context) =>
  requestModel(options.against!, { ...options, adapter: undefined, strength: undefined }, context);

/** The base of a run of full weights, which its folder does not hold; an adapter is switched off instead. */
async function startOf(model: ModelRequest, context: Context): Promise<ModelRequest | undefined> {
  if (model.run === undefined || model.adapter !== undefined) return undefined;
  const { path, hubId } = await locateBase(model.run, placesOf(context), pulling(context));
  return { path, hubId, baseWeights: model.baseWeights, ...(model.compute && { compute: model.compute }) };
}

/** Runs an evaluation, shows its plan and how it goes, and returns what came of it. */
export async function runEvaluation(
  request: EvaluationRequest & { readonly judge: OpenJudge | undefined },
  context: Context,
): Promise<EvaluationEvent[]> {
  const events = await watchEvaluation(domain.evaluate(request, context.signal), context).finally(() =>
    request.judge?.close(),
  );
  return events.flatMap((event) => (event.type === 'evaluated' ? [] : [event]));
}

/** Shows the plan of an evaluation and how it goes, and returns what came of it. */
export async function watchEvaluation(
  evaluation: AsyncIterable<RunEvaluationEvent>,
  { terminal }: Context,
): Promise<RunEvaluationEvent[]> {
  const progress = openProgress(terminal, 'eval');
  const events: RunEvaluationEvent[] = [];
  const since = Date.now();
  try {
    for await (const event of evaluation) {
      if (event.type === 'progress') {
        progress.update(event.done, event.total, `${event.model}: ${event.task} ${event.done} of ${event.total}`);
        continue;
      }
      events.push(event);
      if (event.type === 'plan') terminal.say(planText(event));
      if (event.type === 'note') progress.say(event.message);
      terminal.emit(event);
    }
  } finally {
    progress.stop();
  }
  if (events.some(({ type }) => type === 'plan')) {
    terminal.say(`Answered in ${durationText((Date.now() - since) / 1000)}.`);
  }
  return events;
}

/** What is asked, and what it can show. */
function planText({ tasks, compared }: EvaluationEvent & { type: 'plan' }): string {
  const percent = (share: number | undefined) => (share === undefined ? '-' : `${(100 * share).toFixed(1)} %`);
  const asked = tasks.filter(({ task }) => task !== POOLED).reduce((n, { items }) => n + items, 0);
  const rows = tasks.map((one) => [one.task, countText(one.items), percent(one.chance), percent(one.detectable)]);
  const cost = `${countText(asked)} items, some ${countText(asked * TOKENS_PER_ITEM)} tokens${compared ? ' for each of the two models; answers that are known are not asked again' : ''}`;
  return `${table([['task', 'items', 'guessing', 'finds a change of'], ...rows])}\n${cost}`;
}
