import {
  assertNoErrors,
  type FindingGroup,
  formatFindings,
  type LoadedFile,
  type LoadOptions,
  loadRows,
  mergeGroups,
  type Prepared,
  type PreparedExample,
  prepareExamples,
  type Row,
  readPairs,
  splitRows,
  type Validation,
} from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { fileExists, readText } from '../io/index.ts';
import type { ModelConfig } from '../model/config.ts';
import { type Role, specialTexts, templateSystemPrompt } from '../text/index.ts';
import { type Classes, classRenderer, findClasses, keepLabelsTrained } from './classify/classes.ts';
import type { DataConfig } from './config.ts';
import type { Method } from './methods.ts';
import type { Aligned } from './objective.ts';
import type { Pretraining } from './pretrain/pretraining.ts';
import type { Replay } from './retain/replay.ts';
import { rowRenderer, type TextSetup } from './rows.ts';
import { openShards, type ShardPlace } from './shards.ts';

/** Rows as the model will see them, and what is to be known about them. */
export interface Dataset {
  readonly train: readonly PreparedExample[];
  readonly select: readonly PreparedExample[];
  readonly report: readonly PreparedExample[];
  readonly files: readonly LoadedFile[];
  /** What rows are told apart by, where they are classified. */
  readonly classes: Classes | undefined;
  readonly maxLength: number;
  readonly lengthOrigin: string;
  readonly warnings: readonly { readonly code: string; readonly message: string }[];
  /** How documents lie in blocks, where they are pre-trained on. */
  readonly pretraining?: Pretraining | undefined;
  /** What is mixed into every step so that it is not forgotten. */
  readonly replay?: Replay | undefined;
  /** What preferences are trained with; the examples of a row follow one another, in all parts. */
  readonly aligned?: Aligned | undefined;
}

/** What a data set is read with. */
export interface DatasetOptions {
  readonly data: DataConfig;
  readonly method: Method['kind'];
  readonly text: TextSetup;
  readonly model: ModelConfig;
  /** Tokens of the longest row that memory allows to train. */
  readonly longest: number;
  readonly seed: number;
  /** Where rendered rows of large files are kept; nowhere if not given. */
  readonly rendered?: Omit<ShardPlace, 'options'> | undefined;
}

/**
 * Reads, checks, splits and renders everything that a run trains and evaluates on. All findings come in one pass.
 *
 * @throws the first error among the findings, with all of them in its message
 */
export async function openDataset({
  data,
  method,
  text,
  model,
  longest,
  seed,
  rendered,
}: DatasetOptions): Promise<Dataset> {
  const isClassified = method === 'classify';
  const load: LoadOptions = {
    ...(isClassified ? { answers: 'optional', labels: 'required' } : {}),
    format: text.format,
    system: systemPrompt(data),
    vocabSize: model.vocabSize,
    specialTokens: text.tokenizer === undefined ? [] : specialTexts(text.tokenizer),
    allow: data.allow,
    roles: rolesOf(data.role),
    map: readPairs('map', data.map),
    shape: data.shape,
  };
  if (data.maxLength !== undefined && data.maxLength > model.maxPositions) {
    throw new TunesmithError('CLI_OPTION_VALUE', {
      message: `--max-length ${data.maxLength} is more than the ${model.maxPositions} positions of the model.`,
      fix: `lower it to at most ${model.maxPositions}`,
    });
  }
  const loaded = await loadRows(data.train, load);
  const validLoaded = isValidFile(data.valid) ? await loadRows(data.valid, load) : undefined;
  const drawn = splitRows(loaded.rows, { validation: validationOf(data, validLoaded?.rows), seed });
  const split = isClassified && validLoaded === undefined ? keepLabelsTrained(drawn, loaded.rows) : drawn;
  const found = isClassified ? findClasses(split, data.allow) : undefined;
  if (isClassified) requireSystemUsed(load.system, loaded.rows);
  const { maxLength, onLong, allow } = data;
  const limit = Math.min(model.maxPositions, longest);
  const length = { maxLength, limit, limitedBy: longest < model.maxPositions ? 'memory' : 'the model', onLong, allow };
  const place = rendered && {
    ...rendered,
    options: { load, trainOn: text.trainOn },
  };
  const shards =
    found === undefined
      ? openShards(loaded.rows, loaded.files, rowRenderer(text, 'train'), place)
      : { render: classRenderer(text, found.classes), keep: () => {} };
  const { render } = shards;
  const train = prepareExamples(split.train, render, length);
  // Validation rows are not shortened: they need no backward pass, and the figures should be of whole rows.
  const rest = { ...length, maxLength: model.maxPositions };
  const [select, report] = [split.select, split.report].map((rows) => prepareExamples(rows, render, rest)) as [
    Prepared,
    Prepared,
  ];
  shards.keep();
  const findings = mergeGroups(
    ...[loaded, validLoaded, split, found, train, select, report].map((part) => part?.findings ?? []),
  );
  assertNoErrors(findings);
  for (const part of [train, select, report]) requireVocabulary(part.examples, model.vocabSize);
  return {
    train: train.examples,
    select: select.examples,
    report: report.examples,
    files: [...loaded.files, ...(validLoaded?.files ?? [])],
    classes: found?.classes,
    maxLength: train.maxLength,
    lengthOrigin: train.lengthOrigin,
    warnings: [
      ...findings.map((group) => ({ code: group.code, message: findingText(group) })),
      ...split.notes.map((message) => ({ code: 'DATA_SPLIT', message })),
      ...systemWarning(text, loaded.rows),
      ...rewriteNote(train.examples),
    ],
  };
}

/** @throws TOKENIZER_MISMATCH */
export function requireVocabulary(examples: readonly PreparedExample[], vocabSize: number): void {
  for (const { row, example } of examples) {
    const beyond = example.ids.find((id) => id >= vocabSize);
    if (beyond === undefined) continue;
    throw new TunesmithError('TOKENIZER_MISMATCH', {
      ...row.source,
      message: `is rendered with token id ${beyond}, and the embedding of the model has ${vocabSize} rows.`,
      fix: 'use the tokenizer that belongs to the model',
    });
  }
}

/** @throws CLI_OPTION_CONFLICT */
function requireSystemUsed(system: string | undefined, rows: readonly Row[]): void {
  if (system === undefined || rows.length === 0 || rows.some((row) => row.kind === 'messages')) return;
  throw new TunesmithError('CLI_OPTION_CONFLICT', {
    message: '--system has no effect on texts that are classified, only on messages.',
    fix: 'leave --system out',
  });
}

/** What was found, without the code that stands before it anyway. */
export function findingText(group: FindingGroup): string {
  return formatFindings([group]).trim().replace(`warning ${group.code} `, '');
}

/** `bot=assistant` as a table. */
export function rolesOf(pairs: readonly string[]): Record<string, Role> {
  return Object.fromEntries(pairs.map((pair) => pair.split('=') as [string, Role]));
}

/** `--system` is a text, or the name of a file that holds it. */
export function systemPrompt(data: Pick<DataConfig, 'system'>): string | undefined {
  if (data.system === undefined) return undefined;
  return fileExists(data.system) ? readText(data.system).trim() : data.system;
}

/** Whether validation rows come from a file. */
export function isValidFile(valid: DataConfig['valid']): valid is string {
  return typeof valid === 'string' && valid !== 'none';
}

/** Where validation rows come from; `rows` are those of a file. */
export function validationOf({ valid }: DataConfig, rows: readonly Row[] | undefined): Validation {
  if (rows !== undefined) return { kind: 'rows', rows };
  if (valid === 'none') return { kind: 'none' };
  return typeof valid === 'number' ? { kind: 'share', share: valid } : { kind: 'auto' };
}

/** Where the template rewrites history, each answer is a row of its own, under exactly what serving would show before it. */
function rewriteNote(examples: readonly PreparedExample[]): { code: string; message: string }[] {
  const counts = new Map<Row, number>();
  for (const { row } of examples) if (row.kind === 'messages') counts.set(row, (counts.get(row) ?? 0) + 1);
  const several = [...counts.values()].filter((count) => count > 1);
  if (several.length === 0) return [];
  const rows = several.reduce((sum, count) => sum + count, 0);
  return [
    {
      code: 'TEMPLATE_REWRITES',
      message: `${several.length} conversations became ${rows} rows, one for each answer: the chat template rewrites what was said before.`,
    },
  ];
}

/** A template that inserts a system prompt of its own makes the model introduce itself as somebody else. */
function systemWarning({ template }: TextSetup, rows: readonly Row[]): { code: string; message: string }[] {
  const inserted = template === undefined ? undefined : templateSystemPrompt(template);
  if (inserted === undefined) return [];
  const bare = rows.filter((row) => row.kind === 'messages' && row.messages[0]?.role !== 'system').length;
  if (bare === 0) return [];
  return [
    {
      code: 'TEMPLATE_SYSTEM',
      message: `in ${bare} rows without a system prompt the chat template says: "${inserted}" Set your own with --system.`,
    },
  ];
}
