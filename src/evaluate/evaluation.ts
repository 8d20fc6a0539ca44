import { join } from 'node:path';
import { fileExists, folderExists, readJson, sha256File } from '../io/index.ts';
import type { Example } from '../text/index.ts';
import type { RunConfig } from '../train/config.ts';
import { openDataset } from '../train/dataset.ts';
import type { Lent } from '../train/lend.ts';
import { normalisedData, readFrozen } from '../train/run.ts';
import { POOLED } from './advice.ts';
import {
  type Answered,
  type Comparison,
  chanceOf,
  compareAnswers,
  detectable,
  pooledSkills,
  scoreOf,
  unitOf,
} from './compare.ts';
import { promptDivergence } from './divergence.ts';
import { type Judge, judgeAnswers } from './judge.ts';
import { type LabelFigures, labelFigures } from './label-figures.ts';
import type { OpenedText } from './open.ts';
import { openSubject, type Subject } from './subject.ts';
import type { Task } from './tasks.ts';
import type { ModelRequest } from './types.ts';

/** What to measure, with which models. */
export interface EvaluationRequest {
  readonly model: ModelRequest;
  /** Another model to compare with; undefined compares a run with what it started from, where that is known. */
  readonly against: ModelRequest | undefined;
  /** The suite of general ability. */
  readonly suite: readonly Task[];
  /** The user's tasks. */
  readonly tasks: readonly Task[];
  /** Whether the rows that a run kept for its report are measured. */
  readonly heldOut: boolean;
  /** Where answers are kept. */
  readonly folder: string;
  /** Compares the answers of the two models to the tasks that want it. */
  readonly judge?: Judge | undefined;
}

/** A task and what it can show, stated before it is answered. */
export interface PlannedTask {
  readonly task: string;
  readonly role: Comparison['role'];
  readonly items: number;
  /** Accuracy of guessing, where there are choices. */
  readonly chance?: number;
  /** Smallest difference in accuracy that is found in 80 of 100 cases, where one answer in ten changes. */
  readonly detectable?: number;
}

/** What an evaluation reports, in this order; lines of `--json`. */
export type EvaluationEvent =
  | { readonly type: 'plan'; readonly compared: boolean; readonly tasks: readonly PlannedTask[] }
  | { readonly type: 'note'; readonly message: string }
  | {
      readonly type: 'progress';
      readonly model: 'base' | 'tuned' | 'judge';
      readonly task: string;
      readonly done: number;
      readonly total: number;
    }
  /** The score of a model that is compared with none: accuracy, or nats per token. */
  | {
      readonly type: 'score';
      readonly task: string;
      readonly role: Comparison['role'];
      readonly unit: Comparison['unit'];
      readonly items: number;
      readonly value: number;
    }
  | ({ readonly type: 'comparison' } & Comparison)
  /** How the labels of a task are told apart. */
  | {
      readonly type: 'labels';
      readonly task: string;
      readonly tuned: LabelFigures;
      readonly base?: LabelFigures;
    }
  /** Mean KL(base || tuned) of the next token on the prompts of the run's held-out rows, nats. */
  | { readonly type: 'divergence'; readonly kl: number; readonly positions: number }
  | {
      readonly type: 'answers';
      readonly task: string;
      readonly prompt: string;
      readonly base?: string;
      readonly tuned: string;
    }
  | { readonly type: 'done' };

type Placed = { readonly task: Task; readonly role: Comparison['role'] };

/** Answers shown of each task that is answered in words. */
const SHOWN = 5;

/**
 * Lets a model, and the model that it is compared with, answer the same items. Each answer is on the disk once it is there, so that an evaluation which
 * was interrupted goes on, and a base is asked only once.
 *
 * @param lent what the engine of the run holds already; it stays open
 * @throws the errors of models, adapters and data; the signal's reason when it is aborted
 */
export async function* evaluate(
  request: EvaluationRequest,
  signal: AbortSignal,
  lent?: Lent,
): AsyncGenerator<EvaluationEvent> {
  const { model, against, folder } = request;
  const tuned = await openSubject(model, folder, lent);
  const other = against === undefined ? undefined : await openSubject(against, folder);
  const base = other ?? (model.adapter === undefined ? undefined : tuned.base());
  try {
    const rows = request.heldOut ? await heldOutRows(model, tuned.opened, lent?.report) : undefined;
    if (typeof rows === 'string') yield { type: 'note', message: rows };
    const tasks: Placed[] = [
      ...(rows === undefined || typeof rows === 'string' ? [] : [{ task: rows, role: 'target' } as const]),
      ...request.tasks.map((task) => ({ task, role: 'target' }) as const),
      ...request.suite.map((task) => ({ task, role: 'general' }) as const),
    ];
    yield planOf(tasks, base !== undefined);
    const before = base === undefined ? undefined : yield* answerAll(base, 'base', tasks, signal);
    // Two models never lie in memory at once.
    await other?.close();
    const after = yield* answerAll(tuned, 'tuned', tasks, signal);
    if (before !== undefined) yield* judged(request, tasks, { before, after }, signal);
    yield* samples(tasks, before, after);
    yield* faults(tasks, before, after);
    yield* labels(tasks, before, after);
    if (before === undefined) yield* scores(tasks, after);
    else yield* comparisons(tasks, before, after);
    if (other === undefined && before !== undefined && typeof rows === 'object' && rows.kind === 'rows') {
      const examples = rows.items.map((row) => ({
        ids: Int32Array.from(row.ids),
        labels: Int32Array.from(row.labels),
      }));
      const found = await promptDivergence(await tuned.networks(), examples, signal);
      if (found !== undefined) yield { type: 'divergence', ...found };
    }
    yield { type: 'done' };
  } finally {
    await other?.close();
    await tuned.close();
  }
}

function planOf(tasks: readonly Placed[], compared: boolean): EvaluationEvent {
  const skills = tasks.filter(({ task, role }) => task.kind === 'choice' && role === 'general');
  const tests = tasks.length + (skills.length < 2 ? 0 : 1);
  const planned = tasks.map(({ task, role }): PlannedTask => {
    const chance = chanceOf(task);
    return {
      task: task.name,
      role,
      items: task.items.length,
      ...(chance === undefined ? {} : { chance }),
      ...(unitOf(task) !== 'accuracy' || !compared ? {} : { detectable: detectable(task.items.length, tests) }),
    };
  });
  if (skills.length < 2) return { type: 'plan', compared, tasks: planned };
  const items = skills.reduce((n, { task }) => n + task.items.length, 0);
  const found = compared ? { detectable: detectable(items, tests) } : {};
  return { type: 'plan', compared, tasks: [...planned, { task: POOLED, role: 'general', items, ...found }] };
}

type Results = Awaited<ReturnType<Subject['answer']>>;

/** Answers task by task; progress is told between the items. */
async function* answerAll(
  subject: Subject,
  model: 'base' | 'tuned',
  tasks: readonly Placed[],
  signal: AbortSignal,
): AsyncGenerator<EvaluationEvent, Results[]> {
  const all: Results[] = [];
  for (const { task } of tasks) {
    const told = { model, task: task.name, total: task.items.length };
    all.push(yield* progressOf(told, (onItem) => subject.answer(task, signal, onItem)));
  }
  return all;
}

/** Tells how far a piece of work is until it is done. */
async function* progressOf<T>(
  of: Omit<EvaluationEvent & { readonly type: 'progress' }, 'type' | 'done'>,
  work: (onItem: (done: number) => void) => Promise<T>,
): AsyncGenerator<EvaluationEvent, T> {
  let [done, told, isOver] = [0, -1, false];
  const working = work((n) => {
    done = n;
  });
  const end = () => {
    isOver = true;
  };
  const over = working.then(end, end);
  while (!isOver) {
    if (done !== told) yield { type: 'progress', ...of, done };
    told = done;
    await Promise.race([over, new Promise((resolve) => setTimeout(resolve, 250).unref())]);
  }
  const result = await working;
  if (told < of.total) yield { type: 'progress', ...of, done: of.total };
  return result;
}

/** Puts the marks of a judge in the place of those that answers do not have yet. */
async function* judged(
  { judge, folder }: EvaluationRequest,
  tasks: readonly Placed[],
  { before, after }: { readonly before: Results[]; readonly after: Results[] },
  signal: AbortSignal,
): AsyncGenerator<EvaluationEvent> {
  for (const [t, { task }] of tasks.entries()) {
    if (task.kind !== 'answer' || task.marking.kind !== 'judge' || judge === undefined) continue;
    const answers = { base: before[t]!, tuned: after[t]! };
    const told = { model: 'judge', task: task.name, total: task.items.length } as const;
    const marked = yield* progressOf(told, (onItem) => judgeAnswers(task, answers, { judge, folder }, signal, onItem));
    [before[t], after[t]] = [marked.base, marked.tuned];
  }
}

/** Says which answers have no mark, and why: they count for neither model. */
function* faults(
  tasks: readonly Placed[],
  before: readonly Results[] | undefined,
  after: readonly Results[],
): Generator<EvaluationEvent> {
  for (const [t, { task }] of tasks.entries()) {
    const broken = after[t]!.flatMap(({ item, fault }, i) => {
      const why = fault ?? before?.[t]?.[i]?.fault;
      return why === undefined ? [] : [{ item, why }];
    });
    if (broken.length === 0) continue;
    const [{ item, why }] = broken as [(typeof broken)[number]];
    const share = `${broken.length} of ${task.items.length} items have no mark and count for neither model`;
    const message = `${task.name}: ${share}; the first is item ${item + 1}: ${why.split('\n')[0]}`;
    yield { type: 'note', message };
  }
}

/** How evenly the labels of a task are told apart. */
function* labels(
  tasks: readonly Placed[],
  before: readonly Results[] | undefined,
  after: readonly Results[],
): Generator<EvaluationEvent> {
  for (const [t, { task }] of tasks.entries()) {
    if (task.kind !== 'answer' || task.marking.kind !== 'metric' || task.marking.metric !== 'label') continue;
    const tuned = labelFigures(task, after[t]!);
    const base = before && labelFigures(task, before[t]!);
    yield { type: 'labels', task: task.name, tuned, ...(base === undefined ? {} : { base }) };
  }
}

function* samples(
  tasks: readonly Placed[],
  before: readonly Results[] | undefined,
  after: readonly Results[],
): Generator<EvaluationEvent> {
  for (const [t, { task }] of tasks.entries()) {
    if (task.kind !== 'answer') continue;
    for (const [i, item] of task.items.slice(0, SHOWN).entries()) {
      const prompt = typeof item.prompt === 'string' ? item.prompt : (item.prompt.at(-1)?.content ?? '');
      const base = before?.[t]?.[i]?.text;
      const tuned = after[t]?.[i]?.text ?? '';
      yield { type: 'answers', task: task.name, prompt, ...(base === undefined ? {} : { base }), tuned };
    }
  }
}

function* scores(tasks: readonly Placed[], after: readonly Results[]): Generator<EvaluationEvent> {
  for (const [t, { task, role }] of tasks.entries()) {
    yield {
      type: 'score',
      task: task.name,
      role,
      unit: unitOf(task),
      items: task.items.length,
      value: scoreOf(after[t]!),
    };
  }
}

function* comparisons(
  tasks: readonly Placed[],
  before: readonly Results[],
  after: readonly Results[],
): Generator<EvaluationEvent> {
  const answered = tasks
    .map(({ task, role }, t): Answered => ({ task, role, tuned: after[t]!, base: before[t]! }))
    .filter(({ tuned, base }) => tuned.some(({ fault }, i) => fault === undefined && base[i]!.fault === undefined));
  const pooled = pooledSkills(answered);
  for (const comparison of compareAnswers([...answered, ...(pooled === undefined ? [] : [pooled])])) {
    yield { type: 'comparison', ...comparison };
  }
}

/** The rows that selected nothing in a run, or why they cannot be had. */
async function heldOutRows(
  { run }: ModelRequest,
  opened: OpenedText,
  known: readonly Example[] | undefined,
): Promise<Task | string | undefined> {
  if (run === undefined) return undefined;
  const { config } = readFrozen(run);
  if (config.method.kind !== 'sft') return `Rows of the method ${config.method.kind} are not measured here.`;
  const report = known ?? (await reportRows(run, config, opened));
  if (typeof report === 'string') return report;
  if (report.length === 0) return 'The run kept no rows for its report.';
  const items = report.map(({ ids, labels }) => ({ ids: [...ids], labels: [...labels] }));
  return { kind: 'rows', name: 'held-out rows', items };
}

async function reportRows(
  run: string,
  config: RunConfig,
  { source, text }: OpenedText,
): Promise<readonly Example[] | string> {
  const changed = await changedFile(run);
  if (changed !== undefined)
    return `The held-out rows are not measured: ${changed} is not what the run was trained on.`;
  const { maxPositions } = source.config;
  const options = { data: normalisedData(config), method: config.method.kind, text, model: source.config };
  const { report } = await openDataset({ ...options, longest: maxPositions, seed: config.train.seed });
  return report.map(({ example }) => example);
}

async function changedFile(run: string): Promise<string | undefined> {
  const { files } = readJson(join(run, 'data.json')) as {
    readonly files: readonly { readonly path: string; readonly sha256: string }[];
  };
  for (const { path, sha256 } of files) {
    if (!fileExists(path) && !folderExists(path)) return path;
    if ((await sha256File(path)) !== sha256) return path;
  }
  return undefined;
}
