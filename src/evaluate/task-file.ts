import { basename } from 'node:path';
import { z } from 'zod';
import { nearestName, TunesmithError } from '../errors/index.ts';
import { readText } from '../io/index.ts';
import { METRICS, type Metric, rowFault } from './scorers/index.ts';
import { FEWEST_VOICES } from './scorers/voice.ts';
import { STANDARDS, type Standard, standardTask } from './standard.ts';
import type { AnswerItem, Marking, Task } from './tasks.ts';

const ChoiceRow = z.strictObject({
  context: z.string(),
  choices: z.array(z.string().min(1)).min(2),
  gold: z.int().min(0),
});

const Turn = z.looseObject({ role: z.enum(['system', 'user', 'assistant']), content: z.string() });
const References = z.union([z.string(), z.array(z.string()).min(1), z.record(z.string(), z.unknown())]);

/** Names of what marks the rows of a file. */
const MARKINGS = [...METRICS, 'code', 'judge', 'voice'] as const;
type MarkingName = (typeof MARKINGS)[number];

const AnswerRow = z
  .looseObject({
    prompt: z.string().min(1).optional(),
    messages: z.array(Turn).min(1).optional(),
    references: References.optional(),
    completion: z.string().min(1).optional(),
    metric: z.enum(MARKINGS).optional(),
    schema: z.record(z.string(), z.unknown()).optional(),
    tests: z.string().min(1).optional(),
    language: z.enum(['javascript', 'python']).optional(),
    maxTokens: z.int().min(1).optional(),
  })
  .refine(({ prompt, messages }) => (prompt === undefined) !== (messages === undefined), {
    message: 'a row has a prompt, or else messages',
  });
type AnswerRow = z.infer<typeof AnswerRow>;

/** Columns of rows that no function of the user's looks at: what is misspelt there would be passed over. */
const COLUMNS = ['id', ...Object.keys(AnswerRow.shape)];

/** Longest answer that is generated, in tokens, where the rows say nothing. */
const MAX_TOKENS: Readonly<Record<MarkingName | 'function', number>> = {
  ...(Object.fromEntries(METRICS.map((metric) => [metric, 64])) as Record<Metric, number>),
  'rouge-l': 128,
  bleu: 128,
  chrf: 128,
  json: 192,
  slots: 192,
  code: 384,
  judge: 256,
  voice: 128,
  function: 128,
};

/**
 * Reads a task: rows of a standard benchmark, recognised by their columns or named (`hellaswag:FILE`); rows of `{context, choices, gold}`; or rows of
 * `{prompt | messages, references, metric?}` with one metric for the whole file (default `exact`). JSONL, a JSON array, or plain text.
 *
 * @param file a path, or FORMAT:PATH
 * @param scorer a function of the user's, which marks all answers
 * @throws EVAL_TASK with the line of each fault, FILE_NOT_FOUND
 */
export function loadTask(file: string, scorer?: Marking & { readonly kind: 'function' }): Task {
  const [, format, named] = /^([a-z][a-z0-9-]+):(.+)$/.exec(file) ?? [];
  const path = named ?? file;
  const name = basename(path).replace(/\.(jsonl?|txt)$/i, '');
  const asked = format === undefined ? undefined : standardNamed(format, file);
  if (/\.txt$/i.test(path)) {
    return standardTask(asked ?? STANDARDS.wikitext, name, [{ page: readText(path) }], (_, message) => {
      throw fault(path, undefined, message);
    });
  }
  const rows = readRows(path);
  if (rows.length === 0) throw fault(path, undefined, 'holds no items.');
  const first = rows[0]!.value;
  const isObject = typeof first === 'object' && first !== null;
  const fields = isObject ? (first as Readonly<Record<string, unknown>>) : {};
  const standard = asked ?? Object.values(STANDARDS).find((one) => one.recognises(fields));
  if (standard !== undefined) return standardRows(path, name, rows, standard);
  const isChoice = rows.some(({ value }) => typeof value === 'object' && value !== null && 'choices' in value);
  return isChoice ? choiceTask(path, name, rows) : answerTask(path, name, rows, scorer);
}

function standardNamed(format: string, file: string): Standard {
  const found = Object.entries(STANDARDS).find(([name]) => name === format)?.[1];
  if (found !== undefined) return found;
  const near = nearestName(format, Object.keys(STANDARDS));
  const fix = near === undefined ? `formats are ${Object.keys(STANDARDS).join(', ')}` : `did you mean ${near}?`;
  throw new TunesmithError('EVAL_TASK', { file, message: `names a format ${format}, which is unknown.`, fix });
}

function standardRows(file: string, name: string, rows: readonly NumberedRow[], standard: Standard): Task {
  const faults: TunesmithError[] = [];
  const values = rows.map(({ value }) => value);
  const task = standardTask(standard, name, values, (row, message) => {
    faults.push(fault(file, rows[row]!.line, message));
  });
  throwAll(faults);
  return task;
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

function answerTask(
  file: string,
  name: string,
  rows: readonly NumberedRow[],
  scorer: (Marking & { readonly kind: 'function' }) | undefined,
): Task {
  const columns = scorer === undefined ? COLUMNS : undefined;
  const first = parsed(AnswerRow, rows[0]!.value);
  const named = typeof first === 'string' ? undefined : first.metric;
  const marking = named ?? (scorer === undefined ? 'exact' : 'function');
  let maxTokens = 0;
  const items = checked(file, rows, ({ value }) => {
    const row = parsed(AnswerRow, value);
    if (typeof row === 'string') return row;
    const unknown = columns && Object.keys(row).find((key) => !columns.includes(key));
    if (unknown !== undefined) return `has a column ${unknown}; columns are ${columns!.join(', ')}.`;
    const item = { ...itemOf(row), ...(marking === 'function' ? { row: value } : {}) };
    maxTokens = Math.max(maxTokens, row.maxTokens ?? 0);
    return answerFault(row, item, marking, scorer !== undefined) ?? item;
  });
  if (marking === 'voice' && items.length < FEWEST_VOICES) {
    throw fault(
      file,
      undefined,
      `has ${items.length} items, and the metric voice wants ${FEWEST_VOICES} to learn from.`,
    );
  }
  const most = maxTokens || MAX_TOKENS[marking];
  return { kind: 'answer', name, marking: scorer ?? markingOf(marking as MarkingName), maxTokens: most, items };
}

function markingOf(name: MarkingName): Marking {
  if (name === 'code' || name === 'judge' || name === 'voice') return { kind: name };
  return { kind: 'metric', metric: name };
}

/** What keeps a row from being marked as its file says. */
function answerFault(
  row: AnswerRow,
  item: AnswerItem,
  marking: MarkingName | 'function',
  hasScorer: boolean,
): string | undefined {
  if (hasScorer && row.metric !== undefined) return `names the metric ${row.metric}, and --scorer is given.`;
  if ((row.metric ?? marking) !== marking) return `has the metric ${row.metric}, and the first row ${marking}.`;
  if (marking !== 'code' && (row.tests !== undefined || row.language !== undefined)) {
    return `has ${row.tests === undefined ? 'a language' : 'tests'}, which only the metric code looks at.`;
  }
  if (marking === 'function' || marking === 'judge') return undefined;
  if (marking === 'code') return item.tests === undefined ? 'has no tests, which the metric code runs.' : undefined;
  if (marking === 'voice') {
    return item.references.length === 1
      ? undefined
      : 'has not one text of the brand as its reference: the metric is voice.';
  }
  const wrong = rowFault(marking, item);
  return wrong === undefined ? undefined : `${wrong}: the metric is ${marking}.`;
}

/** A row in its long form. The last answer of a conversation is its reference. */
function itemOf({ prompt, messages, references, completion, schema, tests, language }: AnswerRow): AnswerItem {
  const last = messages?.at(-1);
  const isAnswered = last?.role === 'assistant';
  const given = references ?? completion ?? (isAnswered ? last.content : undefined);
  const asked = isAnswered ? messages!.slice(0, -1) : messages;
  const list = given === undefined ? [] : Array.isArray(given) ? given : [given];
  return {
    prompt: prompt ?? asked!.map(({ role, content }) => ({ role, content })),
    references: list.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))),
    ...(schema === undefined ? {} : { schema }),
    ...(tests === undefined ? {} : { tests }),
    ...(language === undefined ? {} : { language }),
  };
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
  throwAll(results.flatMap(([line, one]) => (typeof one === 'string' ? fault(file, line, one) : [])));
  return results.flatMap(([, one]) => (typeof one === 'string' ? [] : [one]));
}

function throwAll(faults: readonly TunesmithError[]): void {
  if (faults.length === 1) throw faults[0]!;
  if (faults.length > 1) throw new AggregateError(faults.slice(0, 20));
}

function fault(file: string, line: number | undefined, message: string): TunesmithError {
  return new TunesmithError('EVAL_TASK', { file, line, message });
}
