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

/** What a record is and by what that shows, or why it is none of the shapes. */
export type Recognised =
  | { readonly shape: RowShape; readonly reason: string }
  | {
      readonly shape?: undefined;
      readonly code: 'DATA_SHAPE_UNKNOWN' | 'DATA_SHAPE_AMBIGUOUS';
      readonly message: string;
      readonly fix?: string;
    };

/** What is known of a record before it is looked at. */
export interface RecogniseOptions {
  /** Required if not given. */
  readonly answers?: Answers | undefined;
  /** The shape that was asked for: its columns are read, whatever else is there. */
  readonly shape?: RowShape | undefined;
  /** Shapes that come into question: all if not given. */
  readonly among?: readonly RowShape[] | undefined;
}

/** Whether rows bring the answers that are trained, or are questions that may have one. */
export type Answers = 'required' | 'optional';

/** Recognises a record by the names of its columns. */
export function recognise(value: unknown, options: RecogniseOptions = {}): Recognised {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { code: 'DATA_SHAPE_UNKNOWN', message: `is ${kindOf(value)} where an object is expected.` };
  }
  const fields = value as Fields;
  const { answers = 'required', shape, among } = options;
  const preference = PREFERENCE.find((name) => present(fields, name));
  if (answers === 'required' && (preference !== undefined || isUnpaired(fields))) {
    const column = preference ?? 'label';
    const message = `has the column "${column}" of preference rows, which sft does not train on.`;
    const fix = `use a method for preferences, or remove the column and the answers that are not wanted.`;
    return { code: 'DATA_SHAPE_UNKNOWN', message, fix };
  }
  return shape === undefined ? recogniseAmong(fields, answers, among ?? SHAPES) : asked(fields, shape, answers);
}

function recogniseAmong(fields: Fields, answers: Answers, among: readonly RowShape[]): Recognised {
  // Tables hold null where a row lacks a column, so columns with a value come first.
  const isHere = (name: string) => present(fields, name);
  const found = shapesOf(isHere).filter((shape) => among.includes(shape));
  const shapes = found.length > 1 ? withoutRendering(fields, found) : found;
  if (shapes.length > 1) return ambiguous(shapes);
  const shape =
    shapes[0] ??
    (answers === 'optional' ? questionShape(isHere) : undefined) ??
    shapesOf((name) => Object.hasOwn(fields, name))[0];
  return shape === undefined ? unknownShape(fields) : { shape, reason: reasonOf(shape, fields) };
}

function asked(fields: Fields, shape: RowShape, answers: Answers): Recognised {
  const needed = answers === 'optional' ? NEEDED[shape].slice(0, 1) : NEEDED[shape];
  const missing = needed.find((names) => !names.some((name) => Object.hasOwn(fields, name)));
  if (missing === undefined) return { shape, reason: 'it was asked for' };
  const message = `has no column ${missing.join(' or ')}, which the shape ${shape} needs.`;
  return { code: 'DATA_SHAPE_UNKNOWN', message, fix: `--map THEIRS=${missing[0]} reads another column as it.` };
}

function reasonOf(shape: RowShape, fields: Fields): string {
  const used = NEEDED[shape].map((names) => names.find((name) => Object.hasOwn(fields, name)) ?? names[0]);
  return `it has the column${used.length > 1 ? 's' : ''} ${used.join(' and ')}`;
}

/** Columns that make a shape; of each list one is enough. */
const NEEDED: Readonly<Record<RowShape, readonly (readonly string[])[]>> = {
  messages: [['messages']],
  conversations: [['conversations']],
  alpaca: [['instruction'], ALPACA_ANSWERS],
  'prompt/completion': [['prompt'], ['completion']],
  'prompt/response': [['prompt'], ['response']],
  'question/answer': [['question'], ['answer']],
  'input/output': [['input'], ['output']],
  text: [['text']],
  input_ids: [['input_ids']],
};

/** The shapes whose columns are there, without those whose columns are all part of another's. */
function shapesOf(has: (name: string) => boolean): RowShape[] {
  const found = SHAPES.filter((shape) => NEEDED[shape].every((names) => names.some(has)));
  return found.includes('alpaca') ? found.filter((shape) => shape !== 'input/output') : found;
}

/** A text that holds the row's own answer is the row as somebody rendered it, and brings nothing of its own. */
function withoutRendering(fields: Fields, shapes: readonly RowShape[]): RowShape[] {
  const text = typeof fields.text === 'string' ? fields.text : undefined;
  const others = shapes.filter((shape) => shape !== 'text');
  if (text === undefined || others.length === shapes.length) return [...shapes];
  const isRendering = others.every((shape) => {
    const answer = answerText(fields, shape);
    return answer !== undefined && answer !== '' && text.includes(answer);
  });
  return isRendering ? others : [...shapes];
}

function answerText(fields: Fields, shape: RowShape): string | undefined {
  if (shape !== 'messages' && shape !== 'conversations') {
    const answer = NEEDED[shape]
      .at(-1)
      ?.map((name) => fields[name])
      .find((value) => typeof value === 'string');
    return typeof answer === 'string' ? answer.trim() : undefined;
  }
  const list: unknown = fields[shape];
  const last: unknown = Array.isArray(list) ? list.at(-1) : undefined;
  const content = typeof last === 'object' && last !== null ? ((last as Fields).content ?? (last as Fields).value) : '';
  return typeof content === 'string' ? content.trim() : undefined;
}

function ambiguous(shapes: readonly RowShape[]): Recognised {
  const message = `can be read as ${shapes.slice(0, -1).join(', ')} or ${shapes.at(-1)}: it has the columns of each.`;
  const fix = `name the one that is meant: ${shapes.map((shape) => `--shape ${shape}`).join(' or ')}.`;
  return { code: 'DATA_SHAPE_AMBIGUOUS', message, fix };
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
  const code = 'DATA_SHAPE_UNKNOWN';
  if (names.length === 0) return { code, message: 'has no columns.' };
  const message = `has the columns ${names.slice(0, 12).join(', ')}, which is none of the shapes.`;
  const renames = helpfulRenames(names);
  if (renames.length === 0) {
    const fix = 'name the columns of one of the shapes, such as --map THEIRS=prompt --map THEIRS=response.';
    return { code, message, fix };
  }
  const maps = renames.map(([from, to]) => `--map ${from}=${to}`).join(' ');
  return {
    code,
    message,
    fix: `${renames.map(([from, to]) => `rename "${from}" to "${to}"`).join(', ')}, or ${maps}.`,
  };
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
  return shapesOf((name) => after.has(name)).length === 0 ? [] : useful;
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
