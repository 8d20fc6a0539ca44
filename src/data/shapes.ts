import { nearestName } from '../errors/index.ts';

/** The shapes in which rows come, named after their columns. */
export const SHAPES = [
  'messages',
  'conversations',
  'alpaca',
  'prompt/completion',
  'prompt/response',
  'question/answer',
  'input/output',
  'text',
  'input_ids',
] as const;
export type RowShape = (typeof SHAPES)[number];

/** A record of a file as an object. */
export type Fields = Readonly<Record<string, unknown>>;

/** The two columns of a shape that is a pair of texts. */
export const PAIRS = {
  'prompt/completion': ['prompt', 'completion'],
  'prompt/response': ['prompt', 'response'],
  'question/answer': ['question', 'answer'],
  'input/output': ['input', 'output'],
} as const satisfies Partial<Record<RowShape, readonly [string, string]>>;

/** Names under which Alpaca rows have their answer, and the text that the instruction is about. */
export const ALPACA_ANSWERS = ['output', 'response', 'completion', 'answer'] as const;
export const ALPACA_INPUTS = ['input', 'context'] as const;

/** Columns that each shape uses. */
export const COLUMNS: Readonly<Record<RowShape, readonly string[]>> = {
  messages: ['messages', 'system', 'tools', 'functions'],
  conversations: ['conversations', 'system', 'tools'],
  alpaca: ['instruction', ...ALPACA_INPUTS, ...ALPACA_ANSWERS, 'system', 'history'],
  'prompt/completion': ['prompt', 'completion', 'system', 'tools'],
  'prompt/response': ['prompt', 'response', 'system', 'tools'],
  'question/answer': ['question', 'answer', 'system'],
  'input/output': ['input', 'output', 'system'],
  text: ['text'],
  input_ids: ['input_ids', 'labels', 'attention_mask'],
};

/** Columns of rows for other objectives, which sft would train on wrongly. */
const PREFERENCE = ['chosen', 'rejected', 'preferred_output', 'non_preferred_output', 'kto_tag'];

/** What a record is, or why it is none of the shapes. */
export type Recognised =
  | { readonly shape: RowShape }
  | { readonly shape?: undefined; readonly message: string; readonly fix?: string };

/** Whether rows bring the answers that are trained, or are questions that may have one. */
export type Answers = 'required' | 'optional';

/** Recognises a record by the names of its columns. */
export function recognise(value: unknown, answers: Answers = 'required'): Recognised {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { message: `is ${kindOf(value)} where an object is expected.` };
  }
  const fields = value as Fields;
  const preference = PREFERENCE.find((name) => present(fields, name));
  if (answers === 'required' && (preference !== undefined || isUnpaired(fields))) {
    const column = preference ?? 'label';
    const message = `has the column "${column}" of preference rows, which sft does not train on.`;
    return { message, fix: `use a method for preferences, or remove the column and the answers that are not wanted.` };
  }
  // Tables hold null where a row lacks a column, so columns with a value come first.
  const shape =
    shapeOf((name) => present(fields, name)) ??
    (answers === 'optional' ? questionShape((name) => present(fields, name)) : undefined) ??
    shapeOf((name) => Object.hasOwn(fields, name));
  return shape === undefined ? unknownShape(fields) : { shape };
}

function shapeOf(has: (name: string) => boolean): RowShape | undefined {
  if (has('messages')) return 'messages';
  if (has('conversations')) return 'conversations';
  if (has('input_ids')) return 'input_ids';
  if (has('instruction') && ALPACA_ANSWERS.some(has)) return 'alpaca';
  for (const [shape, [prompt, answer]] of Object.entries(PAIRS)) {
    if (has(prompt) && has(answer)) return shape as RowShape;
  }
  return has('text') ? 'text' : undefined;
}

/** The shape of a row that asks and has no answer. */
function questionShape(has: (name: string) => boolean): RowShape | undefined {
  if (has('instruction')) return 'alpaca';
  return (Object.keys(PAIRS) as (keyof typeof PAIRS)[]).find((shape) => has(PAIRS[shape][0]));
}

/** Answers marked good or bad, as KTO takes them. A text label (`spam`) is something else. */
function isUnpaired(fields: Fields): boolean {
  return typeof fields.label === 'boolean' && !present(fields, 'text');
}

function unknownShape(fields: Fields): Recognised {
  const names = Object.keys(fields);
  if (names.length === 0) return { message: 'has no columns.' };
  const message = `has the columns ${names.slice(0, 12).join(', ')}, which is none of the shapes.`;
  const renames = helpfulRenames(names);
  if (renames.length === 0) {
    return { message, fix: 'rename the columns to one of the shapes, such as prompt and response.' };
  }
  return { message, fix: `${renames.map(([from, to]) => `rename "${from}" to "${to}"`).join(', ')}.` };
}

/** Misspelt columns and their names, if with these the record would be recognised. */
function helpfulRenames(names: readonly string[]): [string, string][] {
  const known = [...new Set(Object.values(COLUMNS).flat())];
  const renames: [string, string][] = [];
  const after = new Set(names);
  for (const name of names) {
    const near = known.includes(name) ? undefined : nearestName(name, known);
    if (near === undefined || after.has(near)) continue;
    renames.push([name, near]);
    after.add(near);
  }
  const useful = renames.filter(([, to]) => to !== 'system' && to !== 'tools');
  return shapeOf((name) => after.has(name)) === undefined ? [] : useful;
}

/** Whether a column is there and not null. */
export function present(fields: Fields, name: string): boolean {
  return Object.hasOwn(fields, name) && fields[name] !== null && fields[name] !== undefined;
}

/** `an array`, `a number`, ... for messages. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'an array';
  const kind = typeof value;
  return `${kind === 'object' ? 'an' : 'a'} ${kind}`;
}
