import {
  assertNoErrors,
  createFindingLog,
  type FindingLog,
  mergeGroups,
  type PreparedExample,
  type Render,
  type Row,
  readPairs,
  splitRows,
  withoutOldestTurns,
} from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { specialTexts } from '../text/index.ts';
import {
  type Dataset,
  type DatasetOptions,
  findingText,
  isValidFile,
  requireVocabulary,
  rolesOf,
  systemPrompt,
  validationOf,
} from '../train/dataset.ts';
import type { RewardMethod } from '../train/methods.ts';
import { isAligned, isOnline, type Objectives } from '../train/objective.ts';
import { rowRenderer } from '../train/rows.ts';
import { openOnline } from './online/open.ts';
import type { OpenReward } from './online/rewards.ts';
import { beginRewardSession } from './reward/session.ts';
import { loadPreferences, type PreferenceOptions, type PreferenceRow } from './rows.ts';
import type { PreferenceMethod } from './rules.ts';
import { type Answered, answered, rewarded, withPrompt } from './scored.ts';
import { beginSession } from './session.ts';

/** Answers that a run trains or evaluates on; those of a row follow one another, the best one first. */
export interface Part {
  readonly answers: readonly Answered[];
  /** Answers of each row. */
  readonly sizes: readonly number[];
  /** By how much the first answer of a row is better; 0 where that is not said. */
  readonly margins: readonly number[];
  /** Of answers that are marked by themselves. */
  readonly isGood: readonly boolean[];
}

/** The parts of a data set. */
export type Parts = Readonly<Record<'train' | 'select' | 'report', Part>>;

/** Methods that learn from answers that are ranked or marked. */
type RankedMethod = PreferenceMethod | RewardMethod;

/**
 * Objectives of the methods that learn from answers that are ranked, marked or rewarded.
 *
 * @param openReward opens what rewards answers, but for reward models
 */
export function alignment(openReward: OpenReward): Objectives {
  return (method) => {
    if (!isAligned(method)) return undefined;
    if (isOnline(method)) return { open: (options) => openOnline(method, options, openReward) };
    return { open: (options) => openPreferences(method as RankedMethod, options) };
  };
}

/**
 * Reads, checks, splits and renders preferences. All findings come in one pass.
 *
 * @throws the first error among the findings, with all of them in its message
 */
async function openPreferences(method: RankedMethod, options: DatasetOptions): Promise<Dataset> {
  const { data, text, model, longest, seed } = options;
  const load: PreferenceOptions = {
    format: text.format,
    system: systemPrompt(data),
    vocabSize: model.vocabSize,
    specialTokens: text.tokenizer === undefined ? [] : specialTexts(text.tokenizer),
    allow: data.allow,
    roles: rolesOf(data.role),
    map: readPairs('map', data.map),
    margins: method.kind === 'reward',
    rankedAs: method.kind === 'kto' ? 'marks' : 'pairs',
  };
  requireLength(data.maxLength, model.maxPositions);
  const loaded = await loadPreferences(data.train, load);
  const held = isValidFile(data.valid) ? await loadPreferences(data.valid, load) : undefined;
  const log = createFindingLog(data.allow);
  const rows = fitting(method, loaded.rows, log);
  const heldRows = held && fitting(method, held.rows, log);
  const byRow = new Map([...rows, ...(heldRows ?? [])].map((row) => [firstOf(row), row]));
  const split = splitRows(rows.map(firstOf), { validation: validationOf(data, heldRows?.map(firstOf)), seed });
  const limit = Math.min(model.maxPositions, longest);
  const render = renderer(method, options, log);
  const parts = { train: split.train, select: split.select, report: split.report };
  const drawn = Object.entries(parts).map(([name, own]) => {
    const most = name === 'train' ? (data.maxLength ?? limit) : model.maxPositions;
    return [
      name,
      render(
        own.map((row) => byRow.get(row)!),
        most,
      ),
    ] as const;
  });
  const rendered = Object.fromEntries(drawn) as Record<keyof Parts, Rendered>;
  if (method.kind === 'kto') requireBothKinds(rendered.train, data.train, log);
  const findings = mergeGroups(...[loaded, held, split].map((part) => part?.findings ?? []), log.groups());
  assertNoErrors(findings);
  const { train, select, report } = rendered;
  for (const part of [train, select, report]) requireVocabulary(part.examples, model.vocabSize);
  const maxLength = data.maxLength ?? train.examples.reduce((n, { example }) => Math.max(n, example.ids.length), 2);
  return {
    train: train.examples,
    select: select.examples,
    report: report.examples,
    files: [...loaded.files, ...(held?.files ?? [])],
    classes: undefined,
    maxLength,
    lengthOrigin: data.maxLength === undefined ? 'the longest row' : 'given',
    aligned: {
      sizes: { train: train.sizes, select: select.sizes, report: report.sizes },
      staysTogether: method.kind !== 'kto',
      begin: async (run, state, signal) =>
        method.kind === 'reward'
          ? beginRewardSession({ run, state, method, parts: rendered })
          : beginSession({ run, state, method, parts: rendered, signal }),
    },
    warnings: [
      ...findings.map((group) => ({ code: group.code, message: findingText(group) })),
      ...split.notes.map((message) => ({ code: 'DATA_SPLIT', message })),
    ],
  };
}

function requireLength(maxLength: number | undefined, positions: number): void {
  if (maxLength === undefined || maxLength <= positions) return;
  throw new TunesmithError('CLI_OPTION_VALUE', {
    message: `--max-length ${maxLength} is more than the ${positions} positions of the model.`,
    fix: `lower it to at most ${positions}`,
  });
}

/** The row by which a preference is compared with others, and shown. */
function firstOf(row: PreferenceRow): Row {
  return answersOf(row)[0]!;
}

/** The answers of a row, the best one first. */
export function answersOf(row: PreferenceRow): readonly Row[] {
  if (row.kind === 'pair') return [row.chosen, row.rejected];
  return row.kind === 'ranked' ? row.answers : [row.answer];
}

/** Rows that the method learns from: pairs, lists, or answers that are marked, of which a pair is two. */
function fitting(method: RankedMethod, rows: readonly PreferenceRow[], log: FindingLog): PreferenceRow[] {
  return rows.flatMap((row): PreferenceRow[] => {
    if (row.kind === 'marked' && method.kind !== 'kto') {
      const message = `is one answer that is marked, and ${method.kind} learns from pairs.`;
      log.add({ code: 'DATA_PREFERENCE', ...row.source, message, fix: '--method kto learns from single answers.' });
      return [];
    }
    if (row.kind === 'ranked' && method.kind !== 'reward') {
      const message = `is a list of ${row.answers.length} answers, and ${method.kind} learns from pairs.`;
      log.add({
        code: 'DATA_PREFERENCE',
        ...row.source,
        message,
        fix: 'make pairs of it; --method reward takes lists.',
      });
      return [];
    }
    if (row.kind !== 'pair' || method.kind !== 'kto') return [row];
    const { source, chosen, rejected } = row;
    return [
      { source, kind: 'marked', answer: chosen, isGood: true },
      { source, kind: 'marked', answer: rejected, isGood: false },
    ];
  });
}

interface Rendered extends Part {
  readonly examples: readonly PreparedExample[];
}

function renderer(method: RankedMethod, { data, text }: DatasetOptions, log: FindingLog) {
  const render = rowRenderer({ ...text, trainOn: 'last' }, 'train');
  const fix = 'raise --max-length, or leave such rows out with --on-long drop.';
  return (rows: readonly PreferenceRow[], most: number): Rendered => {
    const examples: PreparedExample[] = [];
    const answers: Answered[] = [];
    const isGood: boolean[] = [];
    const sizes: number[] = [];
    const margins: number[] = [];
    for (const row of rows) {
      const own = answersOf(row);
      const whole = tryRender(() => own.map((part) => answered(render(part)[0]!)), row, log);
      if (whole === undefined || isSame(whole, row, log)) continue;
      const tokens = longestOf(whole);
      const trim = () => (data.onLong === 'trim-context' ? trimmed(own, render, most) : undefined);
      const drawn = tokens > most ? tryRender(trim, row, log) : whole;
      if (tokens > most) {
        const how = drawn === undefined ? 'left out' : 'shortened by its oldest turns';
        const isRefused = drawn === undefined && data.onLong !== 'drop';
        const message = `has ${tokens} tokens, more than ${most}${isRefused ? ', and no answer is cut' : `: ${how}`}.`;
        log.add({ code: isRefused ? 'DATA_TOO_LONG' : 'DATA_ROW_LONG', ...row.source, message, fix });
      }
      if (drawn === undefined) continue;
      const learned = asLearned(method, drawn);
      answers.push(...learned);
      examples.push(...learned.map(({ example }, i) => ({ row: own[i]!, example })));
      sizes.push(learned.length);
      margins.push(row.kind === 'pair' ? (row.margin ?? 0) : 0);
      if (row.kind === 'marked') isGood.push(row.isGood);
    }
    return { examples, answers, isGood, sizes, margins };
  };
}

function asLearned({ kind }: RankedMethod, drawn: readonly Answered[]): readonly Answered[] {
  if (kind === 'reward') return drawn.map(rewarded);
  // ORPO learns the whole chosen text, its prompt included.
  return kind === 'orpo' ? [withPrompt(drawn[0]!), ...drawn.slice(1)] : drawn;
}

function longestOf(answers: readonly Answered[]): number {
  return Math.max(...answers.map(({ example }) => example.ids.length));
}

/** The answers of a row after the longest context with which all of them fit, which is the same for all; undefined where there is none. */
function trimmed(own: readonly Row[], render: Render, most: number): Answered[] | undefined {
  const [first, ...others] = own.map((row) => [...withoutOldestTurns(row)]);
  for (const [i, row] of first!.entries()) {
    const shorter = [row, ...others.map((rows) => rows[i]!)].map((part) => answered(render(part)[0]!));
    if (longestOf(shorter) <= most) return shorter;
  }
  return undefined;
}

function tryRender(
  render: () => Answered[] | undefined,
  { source }: PreferenceRow,
  log: FindingLog,
): Answered[] | undefined {
  try {
    return render();
  } catch (error) {
    if (!(error instanceof TunesmithError)) throw error;
    const { message, fix } = error.details;
    log.add({ code: error.code, ...source, message, fix });
    return undefined;
  }
}

function isSame(answers: readonly Answered[], { source, kind }: PreferenceRow, log: FindingLog): boolean {
  if (new Set(answers.map(({ example }) => String(example.ids))).size === answers.length) return false;
  const message = kind === 'ranked' ? 'has an answer twice.' : 'has the same answer as chosen and as rejected.';
  log.add({ code: 'DATA_PREFERENCE_SAME', ...source, message });
  return true;
}

function requireBothKinds({ isGood }: Part, file: string | readonly string[], log: FindingLog): void {
  const good = isGood.filter((mark) => mark).length;
  if (good > 0 && good < isGood.length) return;
  if (isGood.length === 0) return;
  const name = typeof file === 'string' ? file : file[0]!;
  const message = `has ${isGood.length} answers to train on, all of them ${good > 0 ? 'good' : 'bad'}.`;
  log.add({ code: 'DATA_PREFERENCE_ONE_KIND', file: name, message });
}
