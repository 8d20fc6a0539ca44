import { mean, sum } from '../math/stats.ts';
import { POOLED } from './advice.ts';
import { unitOfMetric } from './scorers/index.ts';
import {
  bootstrapRatio,
  detectableDifference,
  holm,
  type Interval,
  mcnemarExact,
  signFlipTest,
  type Verdict,
  verdictOf,
} from './statistics.ts';
import type { ItemResult } from './subject.ts';
import type { Marking, Task } from './tasks.ts';

/**
 * What a figure counts: the share of right answers, the mean of marks from 0 to 1, the share of answers that a judge preferred to the other model's,
 * nats per token of the base's tokens, or bits per byte.
 */
export type Unit = 'accuracy' | 'score' | 'preference' | 'loss' | 'bits';

/** What the two models did on a task. */
export interface Comparison {
  readonly task: string;
  /** `target` is what was to be learned, `general` what was not to be forgotten. */
  readonly role: 'target' | 'general';
  readonly unit: Unit;
  readonly items: number;
  readonly tuned: number;
  readonly base: number;
  /** Of the tuned model over the base, above 0 where it is better, with its 95 % bootstrap interval. */
  readonly gain: Interval;
  /** Of McNemar's exact test for accuracies, else of sign flips. */
  readonly p: number;
  /** By Holm, over all tasks of the evaluation. */
  readonly correctedP: number;
  readonly verdict: Verdict;
}

/** A task with what both models made of it. */
export interface Answered {
  readonly task: Pick<Task, 'kind' | 'name'> & { readonly marking?: Marking; readonly by?: string };
  readonly role: Comparison['role'];
  readonly tuned: readonly ItemResult[];
  readonly base: readonly ItemResult[];
}

/** What a task's results count. */
export function unitOf(task: Pick<Task, 'kind'> & { readonly marking?: Marking; readonly by?: string }): Unit {
  switch (task.kind) {
    case 'text':
    case 'rows':
      return 'loss';
    case 'bytes':
      return 'bits';
    case 'cloze':
      return 'accuracy';
    case 'choice':
      return task.by === 'mass' ? 'score' : 'accuracy';
    case 'answer':
      if (task.marking?.kind === 'judge') return 'preference';
      if (task.marking?.kind === 'function' || task.marking?.kind === 'voice') return 'score';
      return task.marking?.kind === 'metric' ? unitOfMetric(task.marking.metric) : 'accuracy';
    default:
      return task.kind satisfies never;
  }
}

/** Whether less is better. */
export function isLoss(unit: Unit): boolean {
  return unit === 'loss' || unit === 'bits';
}

/** The mean of a task's results, weighed: an accuracy, or nats per token. */
export function scoreOf(all: readonly ItemResult[]): number {
  const results = all.filter(({ fault }) => fault === undefined);
  return sum(results.map(({ value }) => value)) / sum(results.map(({ weight }) => weight));
}

/** Compares two models that answered the same items of several tasks, and corrects for the number of tasks. The same results give the same figures. */
export function compareAnswers(answered: readonly Answered[]): Comparison[] {
  const verdicts = verdictsOf(answered);
  return answered.map((one, i) => ({ ...compareTask(one), ...verdicts[i]! }));
}

/** The verdicts alone, without intervals. */
export function verdictsOf(answered: readonly Answered[]): Pick<Comparison, 'p' | 'correctedP' | 'verdict'>[] {
  const tests = answered.map(testTask);
  const corrected = holm(tests.map(({ p }) => p));
  return tests.map(({ p, gain }, i) => ({ p, correctedP: corrected[i]!, verdict: verdictOf(gain, corrected[i]!) }));
}

/** All skills of general ability as one task, which finds smaller differences than any of them. */
export function pooledSkills(answered: readonly Answered[]): Answered | undefined {
  const skills = answered.filter(({ task, role }) => task.kind === 'choice' && role === 'general');
  if (skills.length < 2) return undefined;
  const [tuned, base] = [skills.flatMap((one) => one.tuned), skills.flatMap((one) => one.base)];
  return { task: { kind: 'choice', name: POOLED }, role: 'general', tuned, base };
}

/** Differences of the items that both models' answers have a mark for; above 0 the tuned model is better. */
function differencesOf({ task, ...answers }: Answered) {
  const { tuned, base } = markedOnly(answers, task.name);
  const sign = isLoss(unitOf(task)) ? -1 : 1;
  return { tuned, base, differences: tuned.map(({ value }, i) => sign * (value - base[i]!.value)) };
}

/** The p of what is tested, and a number with the sign of the gain. */
function testTask(answered: Answered): { readonly p: number; readonly gain: number } {
  const { differences } = differencesOf(answered);
  const gained = differences.filter((d) => d > 0).length;
  const lost = differences.filter((d) => d < 0).length;
  const isAccuracy = unitOf(answered.task) === 'accuracy';
  return { p: isAccuracy ? mcnemarExact(gained, lost) : signFlipTest(differences), gain: sum(differences) };
}

function compareTask(answered: Answered): Omit<Comparison, 'p' | 'correctedP' | 'verdict'> {
  const { task, role } = answered;
  const { tuned, base, differences } = differencesOf(answered);
  // Models with other tokenizers cut the same text into other numbers of tokens.
  const weights = base.map(({ weight }) => weight);
  return {
    task: task.name,
    role,
    unit: unitOf(task),
    items: tuned.length,
    tuned: sum(tuned.map(({ value }) => value)) / sum(weights),
    base: scoreOf(base),
    gain: bootstrapRatio(differences, weights),
  };
}

/** The items that both models' answers have a mark for. */
function markedOnly({ tuned, base }: Pick<Answered, 'tuned' | 'base'>, name: string) {
  if (tuned.length !== base.length) throw new Error(`internal: unequal numbers of answers to ${name}`);
  const isMarked = (_: ItemResult, i: number) => tuned[i]!.fault === undefined && base[i]!.fault === undefined;
  return { tuned: tuned.filter(isMarked), base: base.filter(isMarked) };
}

/** The smallest difference that a task of so many items finds, as a share, where `tests` are corrected for; none is known for losses beforehand. */
export function detectable(items: number, tests: number): number {
  return detectableDifference(items, { level: 0.05 / Math.max(1, tests) });
}

/** The accuracy of guessing. */
export function chanceOf(task: Task): number | undefined {
  return task.kind === 'choice' ? mean(task.items.map(({ choices }) => 1 / choices.length)) : undefined;
}
