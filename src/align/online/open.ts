import {
  assertNoErrors,
  createFindingLog,
  mergeGroups,
  type PreparedExample,
  type Row,
  readPairs,
  splitRows,
} from '../../data/index.ts';
import { TunesmithError } from '../../errors/index.ts';
import { checkPrompt } from '../../generate/index.ts';
import { IGNORE, renderPrompt, renderRawPrompt, specialTexts } from '../../text/index.ts';
import {
  type Dataset,
  type DatasetOptions,
  findingText,
  isValidFile,
  requireVocabulary,
  rolesOf,
  systemPrompt,
  validationOf,
} from '../../train/dataset.ts';
import type { OnlineMethod } from '../../train/methods.ts';
import { requireTemplate, requireTokenizer, type TextSetup } from '../../train/rows.ts';
import type { PreferenceOptions } from '../rows.ts';
import { tryRewards } from './dry-run.ts';
import { loadPrompts, type OnlinePrompt } from './prompts.ts';
import { isRewardFolder, openRewardModel } from './reward-model.ts';
import { type OpenReward, parseReward, type WeighedReward } from './rewards.ts';
import { beginOnline, type RenderedPrompt } from './session.ts';

/**
 * Reads, checks, splits and renders prompts, opens the rewards, and tries those that need no model on right answers and on junk.
 *
 * @throws the first error among the findings, with all of them in its message; REWARD_*
 */
export async function openOnline(
  method: OnlineMethod,
  options: DatasetOptions,
  openReward: OpenReward,
): Promise<Dataset> {
  const { data, text, model, seed } = options;
  requireTokenizer(text);
  const rewards = await openRewards(method, openReward);
  const load: PreferenceOptions = {
    format: text.format,
    system: systemPrompt(data),
    vocabSize: model.vocabSize,
    specialTokens: text.tokenizer === undefined ? [] : specialTexts(text.tokenizer),
    allow: data.allow,
    roles: rolesOf(data.role),
    map: readPairs('map', data.map),
  };
  const loaded = await loadPrompts(data.train, load);
  const held = isValidFile(data.valid) ? await loadPrompts(data.valid, load) : undefined;
  const log = createFindingLog(data.allow);
  const render = (prompt: OnlinePrompt): RenderedPrompt[] => {
    const rendered = tryRender(prompt, method, options, log);
    return rendered === undefined ? [] : [rendered];
  };
  const byRow = new Map([...loaded.prompts, ...(held?.prompts ?? [])].flatMap(render).map((one) => [one.row, one]));
  const rowsOf = (prompts: readonly OnlinePrompt[]) => prompts.map(({ row }) => row).filter((row) => byRow.has(row));
  const split = splitRows(rowsOf(loaded.prompts), {
    validation: validationOf(data, held && rowsOf(held.prompts)),
    seed,
  });
  const findings = mergeGroups(...[loaded, held, split].map((part) => part?.findings ?? []), log.groups());
  assertNoErrors(findings);
  const promptsOf = (rows: readonly Row[]) => rows.map((row) => byRow.get(row)!);
  const prompts = { train: promptsOf(split.train), select: promptsOf(split.select), report: promptsOf(split.report) };
  const opened = rewards.filter((one): one is WeighedReward => 'reward' in one);
  for (const { reward } of opened) requireReferences(reward, [...prompts.train, ...prompts.select, ...prompts.report]);
  // With a model among the rewards only the whole sum tells, and that is tried once the model is there.
  const tried = opened.length === rewards.length ? await tryRewards(opened, prompts.train) : [];
  const stop = model.eosIds[0] ?? 0;
  const longest = (count: number) => (prompt: RenderedPrompt) =>
    new Array<PreparedExample>(count).fill(placeholder(prompt, method.maxTokens, stop));
  const train = prompts.train.flatMap(longest(method.group));
  const [select, report] = [prompts.select.flatMap(longest(1)), prompts.report.flatMap(longest(1))];
  for (const part of [train, select, report]) requireVocabulary(part, model.vocabSize);
  const ones = (rows: readonly unknown[]) => rows.map(() => 1);
  return {
    train,
    select,
    report,
    files: [...loaded.files, ...(held?.files ?? [])],
    classes: undefined,
    maxLength: train.reduce((n, { example }) => Math.max(n, example.ids.length), 2),
    lengthOrigin: 'the longest prompt and --max-tokens',
    aligned: {
      sizes: { train: prompts.train.map(() => method.group), select: ones(select), report: ones(report) },
      staysTogether: false,
      begin: async (run, state, signal) => {
        const all = await Promise.all(
          rewards.map(async (one) =>
            'reward' in one ? one : { reward: await openRewardModel(one.model, run), weight: one.weight },
          ),
        );
        if (all.length > opened.length && !run.isResumed) await tryRewards(all, prompts.train);
        return beginOnline({ run, state, method, prompts, rewards: all, signal });
      },
    },
    warnings: [
      ...findings.map((group) => ({ code: group.code, message: findingText(group) })),
      ...split.notes.map((message) => ({ code: 'DATA_SPLIT', message })),
      ...tried,
    ],
  };
}

type OpenedReward = WeighedReward | { readonly model: string; readonly weight: number };

async function openRewards({ reward }: OnlineMethod, open: OpenReward): Promise<OpenedReward[]> {
  const opened: OpenedReward[] = [];
  for (const spec of [reward ?? []].flat()) {
    const { name, weight } = parseReward(spec);
    if (isRewardFolder(name)) {
      opened.push({ model: name, weight });
      continue;
    }
    const found = await open(name);
    if (found === undefined)
      throw new TunesmithError('REWARD_UNKNOWN', { message: `--reward "${name}" is none that is known.` });
    opened.push({ reward: found, weight });
  }
  return opened;
}

/** @throws REWARD_REFERENCE where a reward compares with right answers and a row brings none */
export function requireReferences(
  { name, needsReference }: WeighedReward['reward'],
  prompts: readonly OnlinePrompt[],
): void {
  if (!needsReference) return;
  const without = prompts.find(({ references }) => references.length === 0);
  if (without === undefined) return;
  throw new TunesmithError('REWARD_REFERENCE', {
    ...without.row.source,
    message: `brings no right answer, which the reward ${name} compares with.`,
  });
}

function tryRender(
  prompt: OnlinePrompt,
  { maxTokens }: OnlineMethod,
  { model, text }: DatasetOptions,
  log: ReturnType<typeof createFindingLog>,
): RenderedPrompt | undefined {
  try {
    const ids = promptIds(prompt.row, text);
    checkPrompt(ids, model);
    if (ids.length + maxTokens <= model.maxPositions) return { ...prompt, ids };
    const message = `has ${ids.length} tokens, which with answers of ${maxTokens} are more than the model's ${model.maxPositions} positions.`;
    log.add({
      code: 'DATA_TOO_LONG',
      ...prompt.row.source,
      message,
      fix: 'lower --max-tokens, or shorten the prompt.',
    });
  } catch (error) {
    if (!(error instanceof TunesmithError)) throw error;
    const { message, fix } = error.details;
    log.add({ code: error.code, ...prompt.row.source, message, fix });
  }
  return undefined;
}

function promptIds(row: Row, text: TextSetup): readonly number[] {
  if (row.kind === 'ids') return row.ids;
  const tokenizer = requireTokenizer(text);
  if (row.kind === 'prompt') return renderRawPrompt(row.prompt, tokenizer);
  if (row.kind !== 'messages') throw new Error(`internal: a row of kind ${row.kind} among prompts`);
  return renderPrompt(row.messages, row.tools, { tokenizer, template: requireTemplate(text) });
}

/** A prompt with the longest answer that there may be: what a step costs at most. */
function placeholder({ row, ids }: RenderedPrompt, maxTokens: number, token: number): PreparedExample {
  const all = Int32Array.from([...ids, ...new Array<number>(maxTokens).fill(token)]);
  return { row, example: { ids: all, labels: all.map((id, i) => (i < ids.length ? IGNORE : id)) } };
}
