import type { RunContext } from '../train/context.ts';
import { type AlignedSession, type AlignedStep, rowsTogether } from '../train/objective.ts';
import type { OptimizerState, StepOptions } from '../train/step.ts';
import { mismatched } from './mismatched.ts';
import type { Part, Parts } from './open.ts';
import { referencesOf } from './reference.ts';
import { hasReference, type Judged, type PreferenceMethod, rowRule } from './rules.ts';
import { type Answered, type Scored, scoreAnswers } from './scored.ts';
import { preferenceStep, type StepBatch } from './step.ts';
import { batchFacts, gather } from './totals.ts';
import { watchChosen } from './watch.ts';

/** What a session is begun with. */
export interface SessionStart {
  readonly run: RunContext;
  readonly state: OptimizerState;
  readonly method: PreferenceMethod;
  readonly parts: Parts;
  readonly signal: AbortSignal;
}

type Name = keyof Parts;

/** Answers of a part, and what an estimate of the divergence is made from. */
export interface PartAtWork extends Part {
  /** Prompts with answers of other rows, for kto; else empty. */
  readonly strangers: readonly Answered[];
}

/**
 * Sets a run to work on preferences: scores all answers with the model as the run starts, once; a resumed run reads what was found then.
 *
 * @throws RUN_CHECKPOINT if a resumed run lacks it
 */
export async function beginSession({ run, state, method, parts, signal }: SessionStart): Promise<AlignedSession> {
  const isEstimated = method.kind === 'kto' && method.loss === 'kto';
  const { maxPositions } = run.net.config;
  const withStrangers = (part: Part): PartAtWork => {
    return { ...part, strangers: isEstimated ? mismatched(part.answers, maxPositions) : [] };
  };
  const work: Readonly<Record<Name, PartAtWork>> = {
    train: withStrangers(parts.train),
    select: withStrangers(parts.select),
    report: withStrangers(parts.report),
  };
  const references = hasReference(method) ? await referencesOf(run, work, signal) : undefined;
  const rule = rowRule(method);
  const together = rowsTogether(method);
  const watch = watchChosen(hasReference(method));
  const { net } = run;
  const judge = (name: Name, index: number, scored: Scored): Judged => ({
    ...scored,
    reference: references?.[name].answers[index] ?? 0,
    isGood: work[name].isGood[index],
  });
  return {
    async takeStep(rows, options: StepOptions): Promise<AlignedStep> {
      const indices = rows.flatMap((row) => Array.from({ length: together }, (_, i) => row * together + i));
      const { answers, strangers } = work.train;
      const strange = strangers.length === 0 ? [] : await scoreAnswers(net, pick(strangers, indices), signal);
      const batch: StepBatch = {
        answers: pick(answers, indices),
        together,
        rule,
        judge: (i, scored) => judge('train', indices[i]!, scored),
        kl: divergence(strange, pick(references?.train.strangers ?? [], indices)),
      };
      const step = await preferenceStep(net, state, batch, { ...options, microBatch: run.frozen.loop.microBatch });
      return { ...step, warnings: watch.step(step.metrics ?? {}) };
    },
    async evaluate(name, kind, stop) {
      const { answers, strangers } = work[name];
      const total = answers.length + strangers.length;
      let done = 0;
      const tell = (count: number) => {
        done += count;
        run.onActivity({ kind, done, total, unit: 'rows' });
      };
      tell(0);
      const scored = await scoreAnswers(net, answers, stop, tell);
      const strange = await scoreAnswers(net, strangers, stop, tell);
      const kl = divergence(strange, references?.[name].strangers ?? []);
      const facts = { ...batchFacts(answers, together), kl: kl ?? 0 };
      const totals = gather({ kl });
      for (let row = 0; row < facts.rows; row++) {
        const own = scored.slice(row * together, (row + 1) * together);
        totals.add(
          rule(
            own.map((one, i) => judge(name, row * together + i, one)),
            facts,
          ),
        );
      }
      const { loss, metrics } = totals.result();
      if (name === 'select') watch.evaluation(metrics);
      return { loss, tokens: scored.reduce((n, { tokens }) => n + tokens, 0), metrics };
    },
  };
}

function pick<T>(all: readonly T[], indices: readonly number[]): T[] {
  return all.length === 0 ? [] : indices.map((index) => all[index]!);
}

/** How much likelier answers that belong elsewhere have become, on average; not below 0. Undefined where it is not estimated. */
function divergence(scored: readonly Scored[], reference: readonly number[]): number | undefined {
  if (scored.length === 0) return undefined;
  const sum = scored.reduce((total, { logp }, i) => total + logp - reference[i]!, 0);
  return Math.max(0, sum / scored.length);
}
