import { z } from 'zod';
import type { ChoiceItem } from './probes/index.ts';
import { CONSTRAINTS } from './scorers/constraints.ts';
import { lastNumber } from './scorers/index.ts';
import type { AnswerItem, Task } from './tasks.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Benchmarks that are read as they are published: prompt, choices and scoring as in lm-evaluation-harness, without examples before the question. */
export type Standard = {
  /** Whether a row of these columns is one of this benchmark, which no other has. */
  readonly recognises: (row: Fields) => boolean;
} & (
  | { readonly kind: 'choice'; readonly by?: Choices['by']; readonly item: (row: unknown) => ChoiceItem }
  | { readonly kind: 'cloze'; readonly item: (row: unknown) => { readonly context: string; readonly target: string } }
  | { readonly kind: 'bytes'; readonly item: (row: unknown) => { readonly text: string; readonly bytes: number } }
  | {
      readonly kind: 'answer';
      readonly metric: 'numeric' | 'constraints';
      readonly maxTokens: number;
      readonly stop?: readonly string[];
      readonly item: (row: unknown) => AnswerItem;
    }
);

type Choices = Task & { readonly kind: 'choice' };

/** A reader of rows: a schema, and what a row of it asks. */
function reads<S extends z.ZodType, T>(schema: S, item: (row: z.infer<S>) => T): (row: unknown) => T {
  return (row) => item(schema.parse(row));
}

const has =
  (...columns: string[]) =>
  (row: Fields) =>
    columns.every((column) => column in row);

const spaced = (choices: readonly string[]) => choices.map((choice) => ` ${choice}`);

/** An index as a number or as digits. */
const Index = z.union([z.int().min(0), z.string().regex(/^\d+$/)]).transform(Number);
const Lettered = z.object({ text: z.array(z.string()).min(2), label: z.array(z.string()) });

const HellaSwag = z.union([
  z.object({
    activity_label: z.string(),
    ctx_a: z.string(),
    ctx_b: z.string(),
    endings: z.array(z.string()),
    label: Index,
  }),
  z.object({ question: z.string(), choices: z.record(z.string(), z.string()), answer: z.string() }),
]);

/** A question with its choices, as LLM Foundry has ARC and PIQA. */
const Queried = z.object({ query: z.string(), choices: z.array(z.string()).min(2), gold: Index });

const Arc = z.union([z.object({ question: z.string(), choices: Lettered, answerKey: z.string() }), Queried]);

const Piqa = z.union([z.object({ goal: z.string(), sol1: z.string(), sol2: z.string(), label: Index }), Queried]);

const Blimp = z.union([
  z.object({ sentence_good: z.string(), sentence_bad: z.string() }),
  z.object({ good: z.string(), bad: z.string() }),
]);

const Lambada = z.union([z.object({ context: z.string(), continuation: z.string() }), z.object({ text: z.string() })]);

const Truthful = z.object({
  question: z.string(),
  mc1_targets: z.object({ choices: z.array(z.string()).min(2), labels: z.array(z.int()) }),
  mc2_targets: z.object({ choices: z.array(z.string()).min(2), labels: z.array(z.int()) }),
});

/** All benchmarks by the names that stand before a file: `hellaswag:FILE`. */
export const STANDARDS = {
  lambada: {
    kind: 'cloze',
    recognises: has('context', 'continuation'),
    item: reads(Lambada, (row) => {
      if ('context' in row) return { context: row.context.trimEnd(), target: ` ${row.continuation.trim()}` };
      const words = row.text.split(' ');
      return { context: words.slice(0, -1).join(' '), target: ` ${words.at(-1)}` };
    }),
  },
  hellaswag: {
    kind: 'choice',
    by: 'characters',
    recognises: has('activity_label', 'endings'),
    item: reads(HellaSwag, (row) => {
      if ('endings' in row) {
        const context = `${row.activity_label}: ${row.ctx_a} ${capitalised(row.ctx_b)}`;
        return { context: wikiHow(context), choices: spaced(row.endings.map(wikiHow)), gold: row.label };
      }
      const letters = Object.keys(row.choices);
      const choices = spaced(Object.values(row.choices).map(wikiHow));
      return { context: wikiHow(row.question), choices, gold: letters.indexOf(row.answer) };
    }),
  },
  arc: {
    kind: 'choice',
    recognises: (row) => 'answerKey' in row || has('query', 'choices', 'gold')(row),
    item: reads(Arc, (row) => {
      if ('query' in row) return queried(row);
      const gold = row.choices.label.indexOf(row.answerKey);
      return { context: `Question: ${row.question}\nAnswer:`, choices: spaced(row.choices.text), gold };
    }),
  },
  piqa: {
    kind: 'choice',
    recognises: has('goal', 'sol1', 'sol2'),
    item: reads(Piqa, (row) => {
      if ('query' in row) return queried(row);
      return { context: `Question: ${row.goal}\nAnswer:`, choices: spaced([row.sol1, row.sol2]), gold: row.label };
    }),
  },
  blimp: {
    kind: 'choice',
    recognises: (row) => has('sentence_good', 'sentence_bad')(row) || has('good', 'bad')(row),
    item: reads(Blimp, (row) => ({
      context: '',
      // With the space that the harness puts before every choice, also where nothing stands before it.
      choices: spaced('good' in row ? [row.good, row.bad] : [row.sentence_good, row.sentence_bad]),
      gold: 0,
    })),
  },
  winogrande: {
    kind: 'choice',
    recognises: has('sentence', 'option1', 'option2'),
    item: reads(
      z.object({
        sentence: z.string().includes('_'),
        option1: z.string(),
        option2: z.string(),
        answer: z.enum(['1', '2']),
      }),
      ({ sentence, option1, option2, answer }) => {
        const at = sentence.indexOf('_');
        const rest = ` ${sentence.slice(at + 1).trim()}`;
        const contexts = [option1, option2].map((option) => `${sentence.slice(0, at)}${option}`);
        return { context: '', contexts, choices: [rest, rest], gold: Number(answer) - 1 };
      },
    ),
  },
  boolq: {
    kind: 'choice',
    recognises: has('passage', 'question'),
    item: reads(
      z.union([
        z.object({ passage: z.string(), question: z.string(), label: Index }),
        z.object({ passage: z.string(), question: z.string(), answer: z.boolean() }),
      ]),
      (row) => ({
        context: `${row.passage}\nQuestion: ${row.question}?\nAnswer:`,
        choices: [' no', ' yes'],
        gold: 'label' in row ? row.label : Number(row.answer),
      }),
    ),
  },
  mmlu: {
    kind: 'choice',
    recognises: has('question', 'subject', 'choices'),
    item: reads(
      z.object({ question: z.string(), subject: z.string(), choices: z.array(z.string()).length(4), answer: Index }),
      ({ question, subject, choices, answer }) => {
        const letters = ['A', 'B', 'C', 'D'];
        const lines = choices.map((choice, i) => `${letters[i]}. ${choice}`);
        const about = `The following are multiple choice questions (with answers) about ${subject.replaceAll('_', ' ')}.`;
        const context = [`${about}\n`, question.trim(), ...lines, 'Answer:'].join('\n');
        return { context, choices: spaced(letters), gold: answer };
      },
    ),
  },
  'truthfulqa-mc1': {
    kind: 'choice',
    recognises: () => false,
    item: reads(Truthful, ({ question, mc1_targets: { choices } }) => ({
      context: truthfulPrompt(question),
      choices: spaced(choices),
      gold: 0,
    })),
  },
  'truthfulqa-mc2': {
    kind: 'choice',
    by: 'mass',
    recognises: has('mc1_targets', 'mc2_targets'),
    item: reads(Truthful, ({ question, mc2_targets: { choices, labels } }) => ({
      context: truthfulPrompt(question),
      choices: spaced(choices),
      gold: 0,
      truths: labels.flatMap((label, i) => (label === 1 ? i : [])),
    })),
  },
  ifeval: {
    kind: 'answer',
    metric: 'constraints',
    maxTokens: 1280,
    recognises: has('prompt', 'instruction_id_list'),
    item: reads(
      z.object({
        prompt: z.string(),
        instruction_id_list: z.array(z.string()).min(1),
        kwargs: z.array(z.record(z.string(), z.unknown())),
      }),
      ({ prompt, instruction_id_list: names, kwargs }) => ({
        prompt,
        references: [],
        constraints: names.map((name, i) => ({ name, given: withoutNull(kwargs[i] ?? {}) })),
      }),
    ),
  },
  gsm8k: {
    kind: 'answer',
    metric: 'numeric',
    maxTokens: 256,
    stop: ['Question:'],
    recognises: (row) => has('question', 'answer')(row) && / ?#### ?-?[\d.,]+\s*$/.test(String(row.answer)),
    item: reads(z.object({ question: z.string(), answer: z.string() }), ({ question, answer }) => ({
      prompt: `Question: ${question}\nAnswer:`,
      references: [String(lastNumber(answer.slice(answer.lastIndexOf('####'))))],
    })),
  },
  wikitext: {
    kind: 'bytes',
    recognises: has('page'),
    item: reads(z.object({ page: z.string().min(1) }), ({ page }) => ({
      text: detokenised(page),
      bytes: Buffer.byteLength(page),
    })),
  },
} as const satisfies Readonly<Record<string, Standard>>;

/** Makes a task of a benchmark's rows; `onFault` is told of each that is none. */
export function standardTask(
  standard: Standard,
  name: string,
  rows: readonly unknown[],
  onFault: (row: number, message: string) => void,
): Task {
  const items = <T>(item: (row: unknown) => T, wrong: (made: T) => string | undefined = () => undefined) =>
    rows.flatMap((row, i) => {
      try {
        const made = item(row);
        const message = wrong(made);
        if (message === undefined) return [made];
        onFault(i, message);
      } catch (error) {
        if (!(error instanceof z.ZodError)) throw error;
        onFault(i, error.issues.map(({ path, message }) => `${path.join('.') || 'the row'}: ${message}`).join('; '));
      }
      return [];
    });
  switch (standard.kind) {
    case 'choice': {
      const { by } = standard;
      return { kind: 'choice', name, items: items(standard.item, goldFault), ...(by === undefined ? {} : { by }) };
    }
    case 'cloze':
      return { kind: 'cloze', name, items: items(standard.item) };
    case 'bytes':
      return { kind: 'bytes', name, items: items(standard.item) };
    case 'answer': {
      const { metric, maxTokens, stop } = standard;
      const marking = metric === 'constraints' ? ({ kind: metric } as const) : ({ kind: 'metric', metric } as const);
      return { kind: 'answer', name, marking, maxTokens, stop, items: items(standard.item, constraintFault) };
    }
    default:
      return standard satisfies never;
  }
}

function queried({ query, choices, gold }: z.infer<typeof Queried>): ChoiceItem {
  return { context: `${query.trimEnd()}\nAnswer:`, choices: spaced(choices), gold };
}

function goldFault({ gold, choices, truths }: ChoiceItem): string | undefined {
  if (choices[gold] === undefined) return `has gold ${gold}, and ${choices.length} choices from 0 on.`;
  return truths?.length === 0 ? 'has no true choice.' : undefined;
}

function constraintFault({ constraints = [] }: AnswerItem): string | undefined {
  const unknown = constraints.find(({ name }) => !CONSTRAINTS.includes(name));
  return unknown === undefined ? undefined : `has the instruction ${unknown.name}, which is not known.`;
}

function withoutNull(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}

/** As Python's str.capitalize. */
function capitalised(text: string): string {
  const [first = '', ...rest] = [...text];
  return first.toUpperCase() + rest.join('').toLowerCase();
}

/** Without the marks that WikiHow left in HellaSwag. */
function wikiHow(text: string): string {
  return text
    .trim()
    .replaceAll(' [title]', '. ')
    .replace(/\[.*?\]/g, '')
    .replaceAll('  ', ' ');
}

/** Questions before the question, which TruthfulQA is always asked with. */
const TRUTHFUL = [
  ['What is human life expectancy in the United States?', 'Human life expectancy in the United States is 78 years.'],
  [
    'Who was president of the United States in 1955?',
    'Dwight D. Eisenhower was president of the United States in 1955.',
  ],
  ['Which party did he belong to?', 'He belonged to the Republican Party.'],
  ['What is the square root of banana?', 'I have no comment.'],
  ['How does a telescope work?', 'Telescopes use lenses or mirrors to focus light and make objects appear closer.'],
  ['Where were the 1992 Olympics held?', 'The 1992 Olympics were held in Barcelona, Spain.'],
] as const;

function truthfulPrompt(question: string): string {
  return [...TRUTHFUL.map(([q, a]) => `Q: ${q}\nA: ${a}`), `Q: ${question}\nA:`].join('\n\n');
}

/** WikiText's words joined to text again, step by step as lm-evaluation-harness does it. */
function detokenised(page: string): string {
  const steps: readonly (readonly [RegExp, string])[] = [
    [/s '/g, "s'"],
    [/ @-@ /g, '-'],
    [/ @,@ /g, ','],
    [/ @\.@ /g, '.'],
    [/ : /g, ': '],
    [/ ; /g, '; '],
    [/ \. /g, '. '],
    [/ ! /g, '! '],
    [/ \? /g, '? '],
    [/ , /g, ', '],
    [/\(\s*([^)]*?)\s*\)/g, '($1)'],
    [/\[\s*([^\]]*?)\s*\]/g, '[$1]'],
    [/\{\s*([^}]*?)\s*\}/g, '{$1}'],
    [/"\s*([^"]*?)\s*"/g, '"$1"'],
    [/'\s*([^']*?)\s*'/g, "'$1'"],
    [/= = = =/g, '===='],
    [/= = =/g, '==='],
    [/= =/g, '=='],
    [/ ° /g, '°'],
    [/ \n/g, '\n'],
    [/\n /g, '\n'],
    [/ N /g, ' 1 '],
    [/ 's/g, "'s"],
  ];
  return steps.reduce((text, [pattern, by]) => text.replace(pattern, by), page);
}
