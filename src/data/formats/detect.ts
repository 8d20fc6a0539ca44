import { LABEL_COLUMNS } from '../labels.ts';
import { type Fields, PAIRS, present, type RowShape, recognise } from '../shapes.ts';
import type { Format } from './content.ts';

/** The format of a record and by what it shows, or why there is none. */
export type Detected =
  | { readonly format: Format; readonly shape?: RowShape; readonly reason: string }
  | {
      readonly format?: undefined;
      readonly code: 'DATA_SHAPE_UNKNOWN' | 'DATA_SHAPE_AMBIGUOUS';
      readonly message: string;
      readonly fix?: string;
    };

/** Shapes that a format may have. */
const SHAPES_OF: Readonly<Partial<Record<Format, readonly RowShape[]>>> = {
  openai: ['messages'],
  'prompt-completion': Object.keys(PAIRS) as (keyof typeof PAIRS)[],
  alpaca: ['alpaca'],
  sharegpt: ['conversations'],
  text: ['text'],
  labelled: ['text', 'messages', 'conversations'],
  llamafactory: ['conversations', 'messages', 'alpaca', 'text'],
  tokens: ['input_ids'],
};

const FORMAT_OF: Readonly<Record<RowShape, Format>> = {
  messages: 'openai',
  conversations: 'sharegpt',
  alpaca: 'alpaca',
  'prompt/completion': 'prompt-completion',
  'prompt/response': 'prompt-completion',
  'question/answer': 'prompt-completion',
  'input/output': 'prompt-completion',
  text: 'text',
  input_ids: 'tokens',
};

/** Finds the format of a record by its columns; `forced` is what was asked for. */
export function detect(value: unknown, forced?: Format): Detected {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  const special = isObject ? specialFormats(value as Fields) : [];
  if (forced !== undefined) {
    const found = special.find(({ format }) => format === forced);
    return found === undefined ? forcedShape(value, forced) : { ...found, reason: 'it was asked for' };
  }
  if (special.length > 1) {
    const names = special.map(({ format }) => format);
    return {
      code: 'DATA_SHAPE_AMBIGUOUS',
      message: `can be read as ${names.join(' or ')}: it has the columns of each.`,
      fix: `name the one that is meant: ${names.map((name) => `--format ${name}`).join(' or ')}.`,
    };
  }
  return special[0] ?? byShape(value);
}

type Found = Detected & { readonly format: Format };

/** Formats with columns that no format of plain rows has. */
function specialFormats(fields: Fields): Found[] {
  const has = (name: string) => present(fields, name);
  const found: Found[] = [];
  const add = (format: Format, reason: string, shape?: RowShape) =>
    found.push({ format, reason: `it has ${reason}`, ...(shape === undefined ? {} : { shape }) });
  if (has('preferred_output') && has('non_preferred_output')) {
    add('openai-preference', 'the columns preferred_output and non_preferred_output');
  }
  if (has('chosen') && has('rejected')) {
    const beside = ['conversations', 'instruction'].find(has);
    if (beside !== undefined) add('llamafactory', `the columns chosen and rejected beside ${beside}`);
    else add('preference', 'the columns chosen and rejected');
  }
  const conversation = (['messages', 'conversations', 'instruction'] as const).find(has);
  if (has('kto_tag')) add('llamafactory', 'the column kto_tag');
  else if (typeof fields.label === 'boolean' && has('prompt') && has('completion')) {
    add('unpaired', 'the columns prompt and completion, and a label that is true or false');
  } else if (typeof fields.label === 'boolean' && conversation !== undefined) {
    add('llamafactory', `the column ${conversation}, and a label that is true or false, which marks its answer`);
  } else if (LABEL_COLUMNS.some(has) && !has('input_ids') && (has('text') || has('messages') || has('conversations'))) {
    const inner = (['messages', 'conversations', 'text'] as const).filter(has);
    const column = LABEL_COLUMNS.find(has);
    for (const shape of inner) add('labelled', `the columns ${shape} and ${column}`, shape);
  }
  return found;
}

function byShape(value: unknown): Detected {
  const recognised = recognise(value);
  if (recognised.shape === undefined) {
    const fix = recognised.fix?.replace(/--shape (\S+?)([.\s]|$)/g, (_, shape: RowShape, end: string) => {
      return `--format ${FORMAT_OF[shape]}${end}`;
    });
    return { ...recognised, ...(fix === undefined ? {} : { fix }) };
  }
  return { format: FORMAT_OF[recognised.shape], shape: recognised.shape, reason: recognised.reason };
}

function forcedShape(value: unknown, format: Format): Detected {
  const among = SHAPES_OF[format] ?? [];
  const recognised = recognise(value, { answers: 'optional', among });
  if (recognised.shape !== undefined && among.includes(recognised.shape)) {
    return { format, shape: recognised.shape, reason: 'it was asked for' };
  }
  return {
    code: 'DATA_SHAPE_UNKNOWN',
    message: `has not the columns of ${format}.`,
    fix: 'name another --format, or give the columns their names with --map THEIRS=OURS.',
  };
}
