import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TunesmithError } from '../errors/index.ts';
import type { Comparison } from '../evaluate/compare.ts';
import type { EvaluationEvent, EvaluationRequest } from '../evaluate/evaluation.ts';
import type { Task } from '../evaluate/tasks.ts';
import { locateBase } from '../registry/locate.ts';
import type { Context, OptionSpecs, Values } from './command.ts';
import type { ModelRequest } from './domain.ts';
import { countText, durationText, lossText, table } from './format.ts';
import { modelOptions, placesOf, pulling, requestModel } from './models.ts';
import { openProgress } from './progress.ts';
import { domain } from './wiring.ts';

/** Options of commands that evaluate. */
export const evaluationOptions = {
  ...modelOptions,
  against: { type: 'string', value: 'MODEL', description: 'what to compare with (default: what a run started from)' },
  suite: {
    type: 'string',
    choices: ['quick', 'none'],
    description: 'probes of general ability: quick has 1,032 items and general text',
    default: 'quick',
  },
  task: { type: 'string', value: 'FILE', many: true, description: 'items of your own' },
  limit: { type: 'integer', value: 'N', description: 'most items of each task' },
} as const satisfies OptionSpecs;

/** The general text lies as deep beneath src as beneath dist. */
const GENERAL_TEXT = fileURLToPath(new URL('../../examples/general.txt', import.meta.url));

/** Forward passes of general text and probes, tokens; what `eval` says beforehand. */
const TOKENS_PER_ITEM = 14;

/** Puts together what the options ask for. @throws EVAL_TASK, CLI_OPTION_VALUE, CLI_ARGUMENT */
export async function evaluationRequest(
  name: string,
  options: Values<typeof evaluationOptions>,
  context: Context,
): Promise<EvaluationRequest> {
  const { limit } = options;
  if (limit !== undefined && limit < 1) {
    throw new TunesmithError('CLI_OPTION_VALUE', { message: `--limit ${limit} leaves no item.` });
  }
  const { tasks, suite } = await readTasks(options);
  const model = await requestModel(name, options, context);
  const against = options.against === undefined ? await startOf(model, context) : await other(options, context);
  const folder = join(context.home, 'evaluations');
  return { model, against, suite, tasks, heldOut: options.against === undefined, folder };
}

async function readTasks({ task = [], suite = 'quick', limit }: Values<typeof evaluationOptions>) {
  const { limited, loadTask, quickSuite } = await import('../evaluate/tasks.ts');
  const cut = (tasks: readonly Task[]) => (limit === undefined ? tasks : tasks.map((one) => limited(one, limit)));
  return { tasks: cut(task.map(loadTask)), suite: suite === 'none' ? [] : cut(quickSuite(GENERAL_TEXT)) };
}

const other = (options: Values<typeof evaluationOptions>, context: Context) =>
  requestModel(options.against!, { ...options, adapter: undefined }, context);

/** The base of a run of full weights, which its folder does not hold; an adapter is switched off instead. */
async function startOf(model: ModelRequest, context: Context): Promise<ModelRequest | undefined> {
  if (model.run === undefined || model.adapter !== undefined) return undefined;
  const { path, hubId } = await locateBase(model.run, placesOf(context), pulling(context));
  return { path, hubId, baseWeights: model.baseWeights, ...(model.compute && { compute: model.compute }) };
}

/** Runs an evaluation, shows its plan and how it goes, and returns what came of it. */
export async function runEvaluation(
  request: EvaluationRequest,
  { terminal, signal }: Context,
): Promise<EvaluationEvent[]> {
  const progress = openProgress(terminal, 'eval');
  const events: EvaluationEvent[] = [];
  const since = Date.now();
  try {
    for await (const event of domain.evaluate(request, signal)) {
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
  terminal.say(`Answered in ${durationText((Date.now() - since) / 1000)}.`);
  return events;
}

/** What is asked, and what it can show. */
function planText({ tasks, compared }: EvaluationEvent & { type: 'plan' }): string {
  const percent = (share: number | undefined) => (share === undefined ? '-' : `${(100 * share).toFixed(1)} %`);
  const asked = tasks.filter(({ task }) => task !== 'all skills').reduce((n, { items }) => n + items, 0);
  const rows = tasks.map((one) => [one.task, countText(one.items), percent(one.chance), percent(one.detectable)]);
  const cost = `${countText(asked)} items, some ${countText(asked * TOKENS_PER_ITEM)} tokens${compared ? ' for each of the two models; answers that are known are not asked again' : ''}`;
  return `${table([['task', 'items', 'guessing', 'finds a change of'], ...rows])}\n${cost}`;
}

/** The outcome in words and percent. */
export function outcomeText(events: readonly EvaluationEvent[]): string {
  const comparisons = events.flatMap((event) => (event.type === 'comparison' ? [event] : []));
  const scores = events.flatMap((event) => (event.type === 'score' ? [event] : []));
  const lines = scores.map(({ task, unit, value }) =>
    unit === 'accuracy' ? `${task}: ${(100 * value).toFixed(1)} % right` : `${task}: ${lossText(value)} nats per token`,
  );
  const groups = (['gained', 'lost', 'unsure'] as const).flatMap((verdict) => {
    const own = comparisons.filter((one) => one.verdict === verdict);
    return own.length === 0 ? [] : [HEADS[verdict], ...own.map((one) => `  ${comparisonText(one)}`)];
  });
  const kl = events.flatMap((event) =>
    event.type === 'divergence'
      ? [`On the task's prompts the next token changed by ${event.kl.toFixed(3)} nats (KL from the base).`]
      : [],
  );
  return [...lines, ...groups, ...kl].join('\n');
}

/** Headlines of the verdicts. */
export const HEADS = {
  gained: 'Learned, or better than before:',
  lost: 'Forgotten, or worse than before:',
  unsure: "Can't tell a difference:",
} as const satisfies Record<Comparison['verdict'], string>;

/** A comparison in words: `grammar: 93.5 % -> 91.0 % right, 2.5 points worse (0.4 to 4.6)`. */
export function comparisonText({ task, unit, tuned, base, gain }: Comparison): string {
  const { worse, size, low, high, name } = inWords(unit, gain);
  const range = `${low} to ${high}`;
  if (unit === 'accuracy') {
    return `${task}: ${(100 * base).toFixed(1)} % -> ${(100 * tuned).toFixed(1)} % right, ${size} points ${worse ? 'worse' : 'better'} (${range})`;
  }
  return `${task}: ${size} % ${worse ? 'harder' : 'easier'} (${range}; ${name})`;
}

/** Points of accuracy, or per cent of perplexity; the range is in the direction of the size. */
function inWords(unit: Comparison['unit'], gain: Comparison['gain']) {
  const scale = (x: number) => (unit === 'accuracy' ? 100 * x : 100 * (1 - Math.exp(-x)));
  const worse = gain.estimate < 0;
  const sign = worse ? -1 : 1;
  const ends = [sign * scale(gain.low), sign * scale(gain.high)].sort((a, b) => a - b);
  const text = (x: number) => x.toFixed(1).replace(/^-(0\.0)$/, '$1');
  return {
    worse,
    size: text(Math.abs(scale(gain.estimate))),
    low: text(ends[0]!),
    high: text(ends[1]!),
    name: 'perplexity',
  };
}
