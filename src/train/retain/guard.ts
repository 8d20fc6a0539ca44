import { join } from 'node:path';
import { makeFolder, remove, type TensorToWrite, writeFolderAtomic } from '../../io/index.ts';
import { renderText } from '../../text/index.ts';
import { checkpointName } from '../checkpoint.ts';
import type { RunContext } from '../context.ts';
import { meanLoss } from '../evaluate-loss.ts';
import type { TrainEvent } from '../events.ts';
import { requireTokenizer } from '../rows.ts';
import { type Ability, type Act, type Budget, budgetOf, isLook, nextActs, shareUsed } from './budget.ts';

/** A model that a run had at an evaluation. */
export interface Candidate extends Ability {
  readonly step: number;
  /** On the selecting rows. */
  readonly loss: number;
}

/** What a guard remembers between steps; part of a checkpoint. */
export interface GuardState {
  /** Of the model as the run starts, on the text that is tracked. */
  readonly start: Ability;
  /** The same on the text that chooses nothing. */
  readonly startReport: number;
  readonly acts: readonly { readonly step: number; readonly act: Act }[];
  readonly last: number | undefined;
  readonly candidates: readonly Candidate[];
}

/** Watches what a run forgets, and acts. */
export interface Guard {
  readonly budget: Budget;
  state(): GuardState;
  /** Measures the network as it stands. */
  measure(signal: AbortSignal): Promise<Ability>;
  /** Loss on the general text that chooses nothing. */
  reportLoss(signal: AbortSignal): Promise<number>;
  /** Measures between evaluations where it is time to, and decides. @returns what was decided */
  look(step: number): Promise<TrainEvent[]>;
  /** Remembers a model, and decides. @returns what was decided */
  evaluated(candidate: Candidate, tensors: readonly TensorToWrite<'F32'>[]): Promise<TrainEvent[]>;
  /** Whether what is replayed is in the steps now. */
  readonly replays: () => boolean;
  /** The weight of the penalty now. */
  readonly klWeight: () => number;
  /** What the learning rate is multiplied by now. */
  readonly rate: () => number;
  readonly isStopped: () => boolean;
  readonly folderOf: (step: number) => string;
}

/** Weight of the penalty where the trainer turns it on. */
const KL_WEIGHT = 1;

type Write = (folder: string, tensors: readonly TensorToWrite<'F32'>[]) => void;

/**
 * Opens the guard of a run that has a budget. General text is cut in two: every other paragraph is tracked, the rest is only reported.
 *
 * @param known what a checkpoint remembers
 */
export async function openGuard(
  run: RunContext,
  known: GuardState | undefined,
  write: Write,
  signal: AbortSignal,
): Promise<Guard | undefined> {
  const { config, loop } = run.frozen;
  const { totalSteps } = loop;
  const budget = budgetOf(config);
  if (budget === undefined) return undefined;
  const { net, abilities } = run;
  const tokenizer = requireTokenizer(run.text);
  const longest = net.config.maxPositions;
  const examples = abilities.generalText().map((text) => {
    const { ids, labels } = renderText(text, { tokenizer, training: false });
    return { ids: ids.slice(0, longest), labels: labels.slice(0, longest) };
  });
  const half = (which: number) => examples.filter((_, i) => i % 2 === which);
  const [tracked, reported] = [half(0), half(1)];
  const lossOn = async (part: typeof examples, stop: AbortSignal) => (await meanLoss(net, part, stop)).loss;
  const measure: Guard['measure'] = async (stop) => ({
    generalText: await lossOn(tracked, stop),
    ...(budget.suite === undefined ? {} : { suite: await abilities.suite(net, tokenizer, stop) }),
  });
  let state: GuardState = known ?? {
    start: await measure(signal),
    startReport: await lossOn(reported, signal),
    acts: [],
    last: undefined,
    candidates: [],
  };
  const { method } = config;
  const given: Act[] = [
    ...('replay' in method && method.replay !== undefined ? (['replay'] as const) : []),
    ...('klWeight' in method && method.klWeight !== undefined ? (['kl'] as const) : []),
  ];
  const done = () => [...given, ...state.acts.map(({ act }) => act)];
  const decide = (step: number, used: number, isPossible: (act: Act) => boolean): TrainEvent[] => {
    // After the last step nothing is left to be done.
    const decided = step < totalSteps ? nextActs(used, state.last, done()).filter(isPossible) : [];
    state = { ...state, acts: [...state.acts, ...decided.map((act) => ({ step, act }))], last: used };
    return decided.map((act) => ({ type: 'act', step, act, used }));
  };
  const folderOf = (step: number) => join(run.path, 'candidates', checkpointName(step));
  return {
    budget,
    state: () => state,
    measure,
    reportLoss: (stop) => lossOn(reported, stop),
    async look(step) {
      if (!isLook(step)) return [];
      // As a step is: it is not interrupted. Training stops at evaluations only, for it must have something to choose from.
      const used = shareUsed(budget, state.start, await measure(new AbortController().signal));
      return decide(step, used, (act) => act !== 'stop');
    },
    async evaluated(candidate, tensors) {
      const { step } = candidate;
      const used = shareUsed(budget, state.start, candidate);
      // The model as the run starts has learned nothing, and is no candidate.
      if (step === 0) {
        state = { ...state, last: used };
        return [];
      }
      const others = state.candidates.filter((one) => one.step !== step);
      const candidates = front([...others, candidate]);
      if (candidates.includes(candidate)) {
        makeFolder(join(run.path, 'candidates'));
        await writeFolderAtomic(folderOf(step), (folder) => write(folder, tensors));
      }
      for (const one of others) if (!candidates.includes(one)) remove(folderOf(one.step));
      state = { ...state, candidates };
      return decide(step, used, () => true);
    },
    replays: () => done().includes('replay'),
    klWeight: () =>
      'klWeight' in method && method.klWeight !== undefined ? method.klWeight : done().includes('kl') ? KL_WEIGHT : 0,
    rate: () => 0.5 ** done().filter((act) => act === 'rate').length,
    isStopped: () => done().includes('stop'),
    folderOf,
  };
}

/** Candidates that no other beats in both what they learned and what they forgot. */
export function front(all: readonly Candidate[]): Candidate[] {
  const beats = (a: Candidate, b: Candidate) =>
    a.loss <= b.loss &&
    a.generalText <= b.generalText &&
    (a.suite ?? 0) >= (b.suite ?? 0) &&
    (a.loss < b.loss || a.generalText < b.generalText || a.step < b.step);
  return all.filter((one) => !all.some((other) => other !== one && beats(other, one)));
}
