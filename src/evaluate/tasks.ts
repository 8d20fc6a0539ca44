import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { TunesmithError } from '../errors/index.ts';
import { readText, sha256 } from '../io/index.ts';
import { type ChoiceItem, probeItems } from './probes/index.ts';
import { METRICS, type Metric, referenceFault } from './scorers.ts';

/** Something to be answered, and what a right answer holds. */
export interface AnswerItem {
  readonly prompt: string;
  readonly references: readonly string[];
}

/** What is measured: the likeliest of several choices, the loss on text, or answers that are generated. */
export type Task =
  | { readonly kind: 'choice'; readonly name: string; readonly items: readonly ChoiceItem[] }
  | { readonly kind: 'text'; readonly name: string; readonly items: readonly string[] }
  /** Rows of a run as token ids, -100 where a label is without loss. */
  | {
      readonly kind: 'rows';
      readonly name: string;
      readonly items: readonly { readonly ids: readonly number[]; readonly labels: readonly number[] }[];
    }
  | {
      readonly kind: 'answer';
      readonly name: string;
      readonly metric: Metric;
      readonly maxTokens: number;
      readonly items: readonly AnswerItem[];
    };

/** The general text lies as deep beneath src as beneath dist. */
const GENERAL_TEXT = fileURLToPath(new URL('../../examples/general.txt', import.meta.url));

/** The probes of general ability and general text, one item a paragraph. */
export function quickSuite(): Task[] {
  const probes = Object.entries(probeItems()).map(([name, items]) => ({ kind: 'choice', name, items }) as const);
  return [...probes, { kind: 'text', name: 'general text', items: generalText() }];
}

/** The paragraphs of the general text. */
export function generalText(): string[] {
  const paragraphs = readText(GENERAL_TEXT)
    .split(/\n\s*\n|\n/)
    .map((text) => text.trim());
  return paragraphs.filter((text) => text !== '');
}

/** The first items of a task, evenly spread, so that all of its kinds stay. */
export function limited(task: Task, limit: number): Task {
  const n = task.items.length;
  if (n <= limit) return task;
  const pick = <T>(items: readonly T[]) => Array.from({ length: limit }, (_, i) => items[Math.floor((i * n) / limit)]!);
  switch (task.kind) {
    case 'choice':
      return { ...task, items: pick(task.items) };
    case 'text':
      return { ...task, items: pick(task.items) };
    case 'rows':
      return { ...task, items: pick(task.items) };
    case 'answer':
      return { ...task, items: pick(task.items) };
    default:
      return task satisfies never;
  }
}

/** Equal for tasks that ask the same. */
export function taskHash({ name: _, ...task }: Task): string {
  return sha256(JSON.stringify(task));
}

const ChoiceRow = z.strictObject({
  context: z.string(),
  choices: z.array(z.string().min(1)).min(2),
  gold: z.int().min(0),
});
const AnswerRow = z.strictObject({
  prompt: z.string().min(1),
  references: z.union([z.string(), z.array(z.string()).min(1)]),
  metric: z.enum(METRICS as [Metric, ...Metric[]]).optional(),
});

/** Longest answer that is generated, in tokens. */
const MAX_TOKENS = 64;

/**
 * Reads a task: a JSONL file (or a JSON array) of `{context, choices, gold}`, or of `{prompt, references, metric?}` with one metric for the whole file
 * (default `exact`).
 *
 * @throws EVAL_TASK with the line of each fault, FILE_NOT_FOUND
 */
export function loadTask(file: string): Task {
  const rows = readRows(file);
  if (rows.length === 0) throw fault(file, undefined, 'holds no items.');
  const name = basename(file).replace(/\.jsonl?$/i, '');
  const isChoice = rows.some(({ value }) => typeof value === 'object' && value !== null && 'choices' in value);
  return isChoice ? choiceTask(file, name, rows) : answerTask(file, name, rows);
}

interface NumberedRow {
  readonly line: number;
  readonly value: unknown;
}

function readRows(file: string): NumberedRow[] {
  const text = readText(file);
  const parse = (part: string, line: number): unknown => {
    try {
      return JSON.parse(part);
    } catch {
      throw fault(file, line, 'is not JSON.');
    }
  };
  if (text.trimStart().startsWith('[')) {
    const all = parse(text, 1);
    return Array.isArray(all) ? all.map((value: unknown, i) => ({ line: i + 1, value })) : [];
  }
  return text
    .split(/\r?\n/)
    .flatMap((part, i) => (part.trim() === '' ? [] : { line: i + 1, value: parse(part, i + 1) }));
}

function choiceTask(file: string, name: string, rows: readonly NumberedRow[]): Task {
  const items = checked(file, rows, (row) => {
    const item = parsed(ChoiceRow, row.value);
    if (typeof item === 'string') return item;
    if (item.gold >= item.choices.length) return `has gold ${item.gold}, and ${item.choices.length} choices from 0 on.`;
    return new Set(item.choices).size < item.choices.length ? 'has the same choice twice.' : item;
  });
  return { kind: 'choice', name, items };
}

function answerTask(file: string, name: string, rows: readonly NumberedRow[]): Task {
  const first = parsed(AnswerRow, rows[0]!.value);
  const metric: Metric = typeof first === 'string' ? 'exact' : (first.metric ?? 'exact');
  const items = checked(file, rows, (row) => {
    const item = parsed(AnswerRow, row.value);
    if (typeof item === 'string') return item;
    if ((item.metric ?? metric) !== metric) return `has the metric ${item.metric}, and the first row ${metric}.`;
    const references = typeof item.references === 'string' ? [item.references] : item.references;
    const wrong = references.map((one) => referenceFault(metric, one)).find((one) => one !== undefined);
    return wrong === undefined
      ? { prompt: item.prompt, references }
      : `has a reference that ${wrong}, which the metric ${metric} needs otherwise.`;
  });
  return { kind: 'answer', name, metric, maxTokens: MAX_TOKENS, items };
}

/** The value, or what is wrong with it. */
function parsed<T>(schema: z.ZodType<T>, value: unknown): T | string {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  return result.error.issues.map(({ path, message }) => `${path.join('.') || 'the row'}: ${message}`).join('; ');
}

/** All rows, or all that is wrong with them. */
function checked<T>(file: string, rows: readonly NumberedRow[], read: (row: NumberedRow) => T | string): T[] {
  const results = rows.map((row) => [row.line, read(row)] as const);
  const faults = results.flatMap(([line, one]) => (typeof one === 'string' ? fault(file, line, one) : []));
  if (faults.length === 1) throw faults[0]!;
  if (faults.length > 1) throw new AggregateError(faults.slice(0, 20));
  return results.flatMap(([, one]) => (typeof one === 'string' ? [] : [one]));
}

function fault(file: string, line: number | undefined, message: string): TunesmithError {
  return new TunesmithError('EVAL_TASK', { file, line, message });
}
