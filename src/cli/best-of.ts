import { requireReferences } from '../align/online/open.ts';
import { loadPrompts, type OnlinePrompt } from '../align/online/prompts.ts';
import { parseReward, rewardAnswers, type WeighedReward } from '../align/online/rewards.ts';
import { assertNoErrors, readPairs } from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { judgePlace } from '../evaluate/judge-reward.ts';
import { verifiers } from '../evaluate/verifiers.ts';
import { fileExists, openAppender, readText, writeAtomic } from '../io/index.ts';
import { mean } from '../math/stats.ts';
import { rolesOf } from '../train/dataset.ts';
import { type BegunWith, metaOf, requireSame } from './answer-file.ts';
import type { Context, OptionSpecs, Values } from './command.ts';
import type { ModelSession, Prompt, RowReading, Sampling } from './domain.ts';
import { agree } from './judge.ts';
import { openProgress } from './progress.ts';

/** Options that keep the best of several answers. */
export const bestOfOptions = {
  'best-of': {
    type: 'integer',
    value: 'N',
    description: 'draws N answers to each row of --data, and keeps the one that --reward gives most: rows to train on',
  },
  reward: {
    type: 'string',
    value: 'REWARD',
    many: true,
    description: 'what answers are worth, as in train --method grpo',
  },
  least: { type: 'number', value: 'X', description: 'leaves out rows whose best answer is worth less' },
  yes: { type: 'boolean', description: 'agree beforehand that answers are sent to --reward judge:URL#MODEL' },
} as const satisfies OptionSpecs;

/** Rows that are answered at once. */
const BATCH = 4;

/** What is answered, and what of it is kept. */
export interface BestOfRequest {
  readonly session: ModelSession;
  readonly data: string;
  readonly reading: RowReading;
  readonly out: string;
  readonly base: boolean;
  readonly sampling: Sampling;
  readonly count: number;
  readonly rewards: readonly WeighedReward[];
  /** As they were given. */
  readonly specs: readonly string[];
  readonly least: number | undefined;
}

/**
 * Reads the options, and opens the rewards.
 *
 * @returns undefined where one answer to each row is asked for
 * @throws CLI_OPTION_CONFLICT, CLI_OPTION_VALUE, CLI_ARGUMENT, REWARD_*, EVAL_JUDGE
 */
export async function bestOf(
  options: Values<typeof bestOfOptions> & { readonly data?: string | undefined; readonly against?: string | undefined },
  { temperature }: Sampling,
  context: Context,
): Promise<Pick<BestOfRequest, 'count' | 'rewards' | 'specs' | 'least'> | undefined> {
  const { 'best-of': count, reward: specs = [], least, yes, data, against } = options;
  const conflict = (message: string, fix?: string) => new TunesmithError('CLI_OPTION_CONFLICT', { message, fix });
  if (count === undefined) {
    const stray = (['reward', 'least', 'yes'] as const).find((name) => options[name] !== undefined);
    if (stray !== undefined) throw conflict(`--${stray} has no effect without --best-of.`, '--best-of 8');
    return undefined;
  }
  if (count < 2) throw new TunesmithError('CLI_OPTION_VALUE', { message: `--best-of ${count} is not at least 2.` });
  if (data === undefined) throw conflict('--best-of is for the rows of --data.');
  if (against !== undefined) throw conflict('--against has no place beside --best-of: only the best answer is kept.');
  if (temperature === 0)
    throw conflict('--best-of draws answers that differ, and --temperature 0 does not.', '--temperature 1');
  if (specs.length === 0) {
    const fix = '--reward numeric, or another of those that tunesmith train --help lists';
    throw new TunesmithError('CLI_ARGUMENT', { message: 'nothing says which answer is the best.', fix });
  }
  return { count, specs, least, rewards: await openRewards(specs, yes === true, context) };
}

async function openRewards(specs: readonly string[], isAgreed: boolean, context: Context): Promise<WeighedReward[]> {
  const open = verifiers({ judgeKey: context.env.TUNESMITH_JUDGE_KEY });
  const opened: WeighedReward[] = [];
  for (const spec of specs) {
    const { name, weight } = parseReward(spec);
    const place = judgePlace(name);
    if (place !== undefined) await agree(place.url, 'All prompts, right answers and drawn answers', isAgreed, context);
    const reward = await open(name);
    if (reward === undefined) {
      const message = `--reward "${name}" is no verifier, judge or function; a reward model has no place here yet.`;
      throw new TunesmithError('REWARD_UNKNOWN', { message });
    }
    opened.push({ reward, weight });
  }
  return opened;
}

/** What was kept. */
interface Kept {
  rows: number;
  readonly best: number[];
  readonly all: number[];
}

/**
 * Draws several answers to each row, and writes the best one as a row to train on (best-of-n, Stiennon et al. 2020, arXiv:2009.01325; with `least` it is
 * rejection sampling): `{index, messages | prompt and completion, reward, mean_reward}`. A file that an earlier call left unfinished is completed.
 *
 * @throws DATA_*, TEMPLATE_*, REWARD_*, FILE_EXISTS, GENERATE_OUT_DIFFERS
 */
export async function bestOfFile(request: BestOfRequest, context: Context): Promise<void> {
  const { session, data, reading, out } = request;
  const { terminal, signal } = context;
  const { questions, file, prompts: hash } = await session.questions(data, reading);
  const prompts = await promptsOf(request);
  if (prompts.length !== questions.length)
    throw new Error('internal: a file has rows that only one of its readers takes');
  for (const { reward } of request.rewards) requireReferences(reward, prompts);
  const begun = await begunWith(request, { data: file, prompts: hash });
  const { from, bytes, kept } = resumed(out, begun, questions.length);
  if (from === 0) writeAtomic(metaOf(out), `${JSON.stringify(begun, null, 2)}\n`);
  const appender = openAppender(out, bytes);
  const progress = openProgress(terminal, 'generate');
  try {
    for (let start = from; start < questions.length; start += BATCH) {
      const lines = await answerRows(request, { questions, prompts, start, kept }, signal);
      if (signal.aborted) break;
      appender.append(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
      for (const line of lines) terminal.emit({ type: 'answer', ...line });
      const done = Math.min(start + BATCH, questions.length);
      progress.update(done, questions.length, `${done} of ${questions.length} rows`);
    }
  } finally {
    progress.stop();
    appender.close();
  }
  if (signal.aborted) return terminal.say('The same command goes on where this one stopped.');
  terminal.print(`${kept.rows} of ${questions.length} rows in ${out}`);
  if (kept.all.length > 0) {
    const [all, best] = [mean(kept.all), mean(kept.best)].map((x) => x.toFixed(3));
    terminal.print(`reward ${all} on average, ${best} of the best of ${request.count}`);
  }
}

/** The rows as rewards see them, with all their columns. The session has checked their texts. */
async function promptsOf({ session, data, reading }: BestOfRequest): Promise<readonly OnlinePrompt[]> {
  const { roles = [], map = [], allow = [] } = reading;
  const { prompts, findings } = await loadPrompts(data, {
    format: session.format,
    system: session.system,
    vocabSize: Number.MAX_SAFE_INTEGER,
    specialTokens: [],
    allow,
    roles: rolesOf(roles),
    map: readPairs('map', map),
  });
  assertNoErrors(findings);
  return prompts;
}

interface Rows {
  readonly questions: readonly { readonly prompt: Prompt }[];
  readonly prompts: readonly OnlinePrompt[];
  readonly start: number;
  readonly kept: Kept;
}

async function answerRows(request: BestOfRequest, { questions, prompts, start, kept }: Rows, signal: AbortSignal) {
  const { session, sampling, base, count, rewards, least = Number.NEGATIVE_INFINITY } = request;
  const own = questions.slice(start, start + BATCH);
  const all = own.flatMap(({ prompt }) => new Array<Prompt>(count).fill(prompt));
  const texts = new Array<string>(all.length);
  const first = start * count;
  for await (const event of session.generate(all, { ...sampling, base, firstIndex: first, signal })) {
    if (event.type === 'result') texts[event.index - first] = event.text;
  }
  if (signal.aborted) return [];
  const drawn = texts.map((text, i) => ({ prompt: prompts[start + Math.floor(i / count)]!, text, ids: [] }));
  const { totals } = await rewardAnswers(rewards, drawn, signal);
  return own.flatMap(({ prompt }, i) => {
    const values = totals.slice(i * count, (i + 1) * count);
    const reward = Math.max(...values);
    kept.all.push(...values);
    kept.best.push(reward);
    if (reward < least) return [];
    kept.rows++;
    const text = texts[i * count + values.indexOf(reward)]!;
    return [{ index: start + i, ...rowOf(prompt, text), reward, mean_reward: mean(values) }];
  });
}

function rowOf(prompt: Prompt, text: string) {
  if (prompt.kind === 'text') return { prompt: prompt.text, completion: text };
  const messages = [...prompt.messages, { role: 'assistant', content: text } as const];
  return prompt.tools === undefined ? { messages } : { messages, tools: prompt.tools };
}

async function begunWith(
  request: BestOfRequest,
  files: { readonly data: string; readonly prompts: string },
): Promise<BegunWith> {
  const { session, sampling, base, count, specs, least = null } = request;
  const { base: model, adapter } = await session.identity();
  return {
    model,
    adapter: base ? null : (adapter ?? null),
    bestOf: count,
    reward: specs,
    least,
    ...sampling,
    ...files,
  };
}

/** Where a file that an earlier call left unfinished goes on: at the batch of its last row. */
function resumed(out: string, begun: BegunWith, rows: number): { from: number; bytes: number; kept: Kept } {
  const nothing = { from: 0, bytes: 0, kept: { rows: 0, best: [], all: [] } };
  const text = fileExists(out) ? readText(out) : '';
  if (text === '') return nothing;
  const lines = text.split('\n').slice(0, -1);
  const indices = lines.map((line) => /^\{"index":(\d+),/.exec(line)?.[1]).map(Number);
  if (!fileExists(metaOf(out)) || indices.some((index, i) => !(index > (indices[i - 1] ?? -1)))) {
    const message = 'is there, and was not begun by this command.';
    throw new TunesmithError('FILE_EXISTS', { message, file: out, fix: 'name another file with --out' });
  }
  requireSame(out, begun);
  const last = indices.at(-1)!;
  const from = last + 1 >= rows ? rows : Math.floor((last + 1) / BATCH) * BATCH;
  const whole = lines.filter((_, i) => indices[i]! < from);
  const bytes = Buffer.byteLength(whole.map((line) => `${line}\n`).join(''));
  return { ...nothing, from, bytes, kept: { rows: whole.length, best: [], all: [] } };
}
