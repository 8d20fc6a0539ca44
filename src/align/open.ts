import {
  assertNoErrors,
  createFindingLog,
  type FindingLog,
  mergeGroups,
  type PreparedExample,
  type Row,
  readPairs,
  splitRows,
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
import { isAligned, type Objectives, rowsTogether } from '../train/objective.ts';
import { rowRenderer } from '../train/rows.ts';
import { loadPreferences, type PreferenceOptions, type PreferenceRow } from './rows.ts';
import type { PreferenceMethod } from './rules.ts';
import { type Answered, answered, withPrompt } from './scored.ts';
import { beginSession } from './session.ts';

/** Answers that a run trains or evaluates on; those of a pair follow one another, the chosen one first. */
export interface Part {
  readonly answers: readonly Answered[];
  /** Of answers that are marked by themselves. */
  readonly isGood: readonly boolean[];
}

/** The parts of a data set. */
export type Parts = Readonly<Record<'train' | 'select' | 'report', Part>>;

/** Objectives of the methods that learn from ranked or marked answers. */
export const preferences: Objectives = (method) =>
  isAligned(method) ? { open: (options) => openPreferences(method as PreferenceMethod, options) } : undefined;

/**
 * Reads, checks, splits and renders preferences. All findings come in one pass.
 *
 * @throws the first error among the findings, with all of them in its message
 */
async function openPreferences(method: PreferenceMethod, options: DatasetOptions): Promise<Dataset> {
  const { data, text, model, longest, seed } = options;
  const load: PreferenceOptions = {
    format: text.format,
    system: systemPrompt(data),
    vocabSize: model.vocabSize,
    specialTokens: text.tokenizer === undefined ? [] : specialTexts(text.tokenizer),
    allow: data.allow,
    roles: rolesOf(data.role),
    map: readPairs('map', data.map),
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
      together: rowsTogether(method),
      begin: (run, state, signal) => beginSession({ run, state, method, parts: rendered, signal }),
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
  return row.kind === 'pair' ? row.chosen : row.answer;
}

/** Rows that the method learns from: pairs, or answers that are marked, of which a pair is two. */
function fitting(method: PreferenceMethod, rows: readonly PreferenceRow[], log: FindingLog): PreferenceRow[] {
  return rows.flatMap((row): PreferenceRow[] => {
    if (row.kind === 'marked' && method.kind !== 'kto') {
      const message = `is one answer that is marked, and ${method.kind} learns from pairs.`;
      log.add({ code: 'DATA_PREFERENCE', ...row.source, message, fix: '--method kto learns from single answers.' });
      return [];
    }
    if (row.kind === 'marked' || method.kind !== 'kto') return [row];
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

function renderer(method: PreferenceMethod, { data, text }: DatasetOptions, log: FindingLog) {
  const render = rowRenderer({ ...text, trainOn: 'last' }, 'train');
  const fix = 'raise --max-length, or leave such rows out with --on-long drop.';
  return (rows: readonly PreferenceRow[], most: number): Rendered => {
    const examples: PreparedExample[] = [];
    const answers: Answered[] = [];
    const isGood: boolean[] = [];
    for (const row of rows) {
      const own = row.kind === 'pair' ? [row.chosen, row.rejected] : [row.answer];
      const drawn = tryRender(() => own.map((part) => answered(render(part)[0]!)), row, log);
      if (drawn === undefined || isSame(drawn, row, log)) continue;
      const tokens = Math.max(...drawn.map(({ example }) => example.ids.length));
      if (tokens > most) {
        const isDropped = data.onLong === 'drop';
        const message = `has ${tokens} tokens, more than ${most}${isDropped ? ': left out' : ', and no answer is cut'}.`;
        log.add({ code: isDropped ? 'DATA_ROW_LONG' : 'DATA_TOO_LONG', ...row.source, message, fix });
        continue;
      }
      // ORPO learns the whole chosen text, its prompt included.
      const learned = method.kind === 'orpo' ? [withPrompt(drawn[0]!), ...drawn.slice(1)] : drawn;
      answers.push(...learned);
      examples.push(...learned.map(({ example }, i) => ({ row: own[i]!, example })));
      if (row.kind === 'marked') isGood.push(row.isGood);
    }
    return { examples, answers, isGood };
  };
}

function tryRender(render: () => Answered[], { source }: PreferenceRow, log: FindingLog): Answered[] | undefined {
  try {
    return render();
  } catch (error) {
    if (!(error instanceof TunesmithError)) throw error;
    const { message, fix } = error.details;
    log.add({ code: error.code, ...source, message, fix });
    return undefined;
  }
}

function isSame([one, other]: readonly Answered[], { source }: PreferenceRow, log: FindingLog): boolean {
  if (other === undefined || String(one!.example.ids) !== String(other.example.ids)) return false;
  log.add({ code: 'DATA_PREFERENCE_SAME', ...source, message: 'has the same answer as chosen and as rejected.' });
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
