import { join } from 'node:path';
import { z } from 'zod';
import { TunesmithError } from '../../errors/index.ts';
import { fileExists, readJson, writeAtomic } from '../../io/index.ts';
import { shareInterval } from '../../math/stats.ts';
import { uploadBase } from '../../model/base.ts';
import { type Example, IGNORE } from '../../text/index.ts';
import { newestCheckpoint } from '../../train/checkpoint.ts';
import type { RunContext } from '../../train/context.ts';
import type { DrawnText } from '../../train/draw-answers.ts';
import type { TrainEvent } from '../../train/events.ts';
import type { OnlineMethod } from '../../train/methods.ts';
import { createNetwork, type Network } from '../../train/network.ts';
import type { AlignedSession, AlignedStep } from '../../train/objective.ts';
import { startNetwork } from '../../train/retain/start.ts';
import type { OptimizerState, StepOptions } from '../../train/step.ts';
import { advantages, type DrawnFacts, spread } from './objective.ts';
import type { OnlinePrompt } from './prompts.ts';
import { type Rewarded, rewardAnswers, type WeighedReward } from './rewards.ts';
import { openRoller } from './rollouts.ts';
import { type PolicyUpdate, policyStep, type StepAnswer, tokenLogps } from './step.ts';
import { watchOnline } from './watch.ts';

/** A prompt as the model sees it. */
export interface RenderedPrompt extends OnlinePrompt {
  readonly ids: readonly number[];
}

type Part = 'train' | 'select' | 'report';

/** What a session is begun with. */
export interface OnlineStart {
  readonly run: RunContext;
  readonly state: OptimizerState;
  readonly method: OnlineMethod;
  readonly prompts: Readonly<Record<Part, readonly RenderedPrompt[]>>;
  readonly rewards: readonly WeighedReward[];
  readonly signal: AbortSignal;
}

/** A step is finished whatever comes: it is saved after it. */
const WHOLE = new AbortController().signal;

/**
 * Sets a run to work on answers that it draws itself. What the model as the run starts reaches on the held-out prompts is measured first, and kept.
 *
 * @throws RUN_CHECKPOINT if a resumed run lacks that
 */
export async function beginOnline(start: OnlineStart): Promise<AlignedSession> {
  const { run, state, method, prompts, rewards } = start;
  const roller = openRoller(run, method);
  const reference = method.beta > 0 ? referenceNetwork(run, method) : undefined;
  const watch = watchOnline();
  let steps = 0;
  const answer = async (part: Part, kind: 'reference' | 'evaluate' | 'baseline' | 'report', signal: AbortSignal) => {
    const asked = prompts[part];
    if (asked.length === 0) return { totals: [], tokens: 0 };
    const tell = (done: number) => run.onActivity({ kind, done, total: asked.length, unit: 'rows' });
    tell(0);
    const drawn = await roller.draw(
      asked.map(({ ids }) => ids),
      1,
      undefined,
      signal,
      tell,
    );
    const { totals } = await rewardAnswers(
      rewards,
      drawn.map((one, i) => ({ ...one, prompt: asked[i]! })),
      signal,
    );
    return { totals, tokens: drawn.reduce((n, { ids }) => n + ids.length, 0) };
  };
  const started = await startRewards(run, prompts, (part) => answer(part, 'reference', start.signal));
  const compare = (part: Part, totals: readonly number[]) => {
    const before = started[part as 'select' | 'report'];
    const wins = totals.reduce((n, value, i) => n + (value > before[i]! ? 1 : value === before[i]! ? 0.5 : 0), 0);
    return { before: meanOf(before), after: meanOf(totals), wins, rows: totals.length };
  };
  let reported: readonly number[] = started.report;
  return {
    async takeStep(rows, options): Promise<AlignedStep> {
      steps++;
      const first = (options.step - 1) * run.frozen.loop.order.batch * method.group;
      const asked = rows.map((row) => prompts.train[row]!);
      const drawn = await roller.draw(
        asked.map(({ ids }) => ids),
        method.group,
        first,
        WHOLE,
      );
      const step = await learn({ run, state, method, rewards, reference }, asked, drawn, options);
      return { ...step, warnings: watch.step(step.metrics ?? {}) };
    },
    async evaluate(part, kind, signal) {
      // Before the first step nothing has changed since the start was measured.
      const isStart = steps === 0 && !(run.isResumed && newestCheckpoint(run.path) !== undefined);
      const { totals, tokens } =
        isStart && kind !== 'report' ? { totals: started[part], tokens: 0 } : await answer(part, kind, signal);
      if (part === 'report') reported = totals;
      const { before, after, wins, rows } = compare(part, totals);
      const metrics = { reward: after, reward_start: before, win_rate: wins / rows };
      return { loss: -after, tokens, metrics };
    },
    async *finish(): AsyncGenerator<TrainEvent> {
      const { before, after, wins, rows } = compare('report', reported);
      yield { type: 'win-rate', rows, before, after, winRate: wins / rows, interval: shareInterval(wins, rows) };
    },
  };
}

interface Work {
  readonly run: RunContext;
  readonly state: OptimizerState;
  readonly method: OnlineMethod;
  readonly rewards: readonly WeighedReward[];
  readonly reference: Network | undefined;
}

/** Rewards what was drawn, and updates the model. */
async function learn(
  { run, state, method, rewards, reference }: Work,
  asked: readonly RenderedPrompt[],
  drawn: readonly DrawnText[],
  options: StepOptions,
): Promise<Omit<AlignedStep, 'warnings'>> {
  const { net, frozen } = run;
  const promptOf = (i: number) => asked[Math.floor(i / method.group)]!;
  const rewarded = await rewardAnswers(
    rewards,
    drawn.map((one, i) => ({ ...one, prompt: promptOf(i) })),
    WHOLE,
  );
  const examples = drawn.map(({ ids }, i) => exampleOf(promptOf(i).ids, ids));
  const isLearned = drawn.map(({ isTruncated }) => !(method.maskTruncated && isTruncated));
  const needsOld = method.iterations > 1 || (method.kind === 'rloo' && reference !== undefined);
  const old = needsOld ? await tokenLogps(net, examples) : undefined;
  const references = reference === undefined ? undefined : await tokenLogps(reference, examples);
  const distance = method.kind === 'rloo' && references && distances(old!, references);
  const worth = distance ? rewarded.totals.map((total, i) => total - method.beta * distance.sums[i]!) : rewarded.totals;
  const gains = advantages(worth, method);
  const facts: DrawnFacts = {
    answers: drawn.length,
    tokens: drawn.reduce((n, { ids }, i) => n + (isLearned[i] ? ids.length : 0), 0),
  };
  const answers = examples.flatMap((example, i): StepAnswer[] => {
    // What has no advantage over its group has no gradient, but for the distance from the start.
    const teaches = gains[i] !== 0 || (method.kind === 'grpo' && references !== undefined);
    if (!isLearned[i] || !teaches) return [];
    return [{ example, advantage: gains[i]!, old: old?.[i], reference: references?.[i] }];
  });
  const updates: PolicyUpdate[] = [];
  for (let i = 0; i < (answers.length === 0 ? 0 : method.iterations); i++) {
    const step = (options.step - 1) * method.iterations + i + 1;
    const told = { ...options, step, method, microBatch: frozen.loop.microBatch };
    updates.push(await policyStep(net, state, answers, facts, told));
  }
  const metrics = {
    ...rewardMetrics(rewarded, worth, method),
    ...lengthMetrics(drawn),
    ...meanMetrics(updates),
    ...(distance ? { kl: distance.mean } : {}),
  };
  return {
    loss: meanOf(updates.map(({ loss }) => loss)) || 0,
    gradNorm: updates.at(-1)?.gradNorm ?? 0,
    tokens: facts.tokens,
    realTokens: updates.reduce((n, update) => n + update.realTokens, 0),
    metrics,
  };
}

function exampleOf(prompt: readonly number[], answer: readonly number[]): Example {
  const ids = Int32Array.from([...prompt, ...answer]);
  return { ids, labels: ids.map((id, i) => (i < prompt.length ? IGNORE : id)) };
}

/** log p - log p of the start, added up over each answer, and its mean over all tokens. */
function distances(old: readonly Float64Array[], references: readonly Float64Array[]) {
  const sums = old.map((own, i) => own.reduce((sum, logp, t) => sum + logp - references[i]![t]!, 0));
  const tokens = old.reduce((n, own) => n + own.length, 0);
  return { sums, mean: sums.reduce((a, b) => a + b, 0) / tokens };
}

function rewardMetrics({ byName, totals }: Rewarded, worth: readonly number[], { group }: OnlineMethod) {
  const own = byName.flatMap(({ name, values }) => {
    const [mean, deviation] = spread(values);
    return [
      [`rewards/${name}/mean`, mean],
      [`rewards/${name}/std`, deviation],
    ] as const;
  });
  const groups = Array.from({ length: worth.length / group }, (_, g) => worth.slice(g * group, (g + 1) * group));
  const same = groups.filter((values) => spread(values)[1] < 1e-8).length;
  const [reward, deviation] = spread(totals);
  return { ...Object.fromEntries(own), reward, reward_std: deviation, frac_reward_zero_std: same / groups.length };
}

function lengthMetrics(drawn: readonly DrawnText[]): Record<string, number> {
  const lengths = drawn.map(({ ids }) => ids.length);
  const ended = drawn.filter(({ isTruncated }) => !isTruncated).map(({ ids }) => ids.length);
  return {
    'completions/mean_length': meanOf(lengths),
    'completions/min_length': Math.min(...lengths),
    'completions/max_length': Math.max(...lengths),
    'completions/clipped_ratio': 1 - ended.length / drawn.length,
    'completions/mean_terminated_length': ended.length === 0 ? 0 : meanOf(ended),
  };
}

function meanMetrics(updates: readonly PolicyUpdate[]): Record<string, number> {
  const names = Object.keys(updates[0]?.metrics ?? {});
  return Object.fromEntries(names.map((name) => [name, meanOf(updates.map(({ metrics }) => metrics[name]!))]));
}

function meanOf(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

/** The model as the run starts; where all its weights train it lies beside in memory, as its file has it. */
function referenceNetwork(run: RunContext, { temperature }: OnlineMethod): Network {
  const beside = startNetwork(run);
  const { engine, source } = run;
  const own = temperature === 1 ? undefined : temperature;
  if (beside !== undefined) return { ...beside, temperature: own };
  return createNetwork({
    engine,
    base: uploadBase(engine, source.config, source.tensors, 'as-stored'),
    temperature: own,
  });
}

/** File of a run that holds what its start reached. */
const FILE = 'start-rewards.json';
const StartFile = z.strictObject({ version: z.literal(1), select: z.array(z.number()), report: z.array(z.number()) });
type Started = Readonly<Record<'select' | 'report', readonly number[]>>;

async function startRewards(
  run: RunContext,
  prompts: OnlineStart['prompts'],
  answer: (part: 'select' | 'report') => Promise<{ readonly totals: readonly number[] }>,
): Promise<Started> {
  const file = join(run.path, FILE);
  if (fileExists(file)) {
    const { data } = StartFile.safeParse(readJson(file));
    if (data?.select.length === prompts.select.length && data.report.length === prompts.report.length) return data;
    throw broken(file, 'does not hold the rewards of these rows');
  }
  if (run.isResumed && newestCheckpoint(run.path) !== undefined) throw broken(file, 'is gone');
  const started = { select: (await answer('select')).totals, report: (await answer('report')).totals };
  writeAtomic(file, `${JSON.stringify({ version: 1, ...started })}\n`);
  return started;
}

function broken(file: string, what: string): TunesmithError {
  const message = `${what}: what the model reached as the run started, which it is measured against.`;
  return new TunesmithError('RUN_CHECKPOINT', { file, message, fix: 'start the run anew' });
}
