import { chrF, rougeL, sentenceBleu, tokenF1 } from './overlap.ts';
import { isJson, type JsonSchema, labelIn, plain, schemaFault, slotF1 } from './structured.ts';

export type { JsonSchema } from './structured.ts';

/** How an answer is held against its references; the best reference counts. */
export type Metric =
  | 'exact'
  | 'contains'
  | 'regex'
  | 'numeric'
  | 'label'
  | 'json'
  | 'slots'
  | 'f1'
  | 'rouge-l'
  | 'bleu'
  | 'chrf';

/** What a row brings for its answer to be marked. */
export interface Expected {
  readonly references: readonly string[];
  /** Metric `json`: what the JSON must be like. */
  readonly schema?: JsonSchema | undefined;
}

/** A way to mark answers. */
interface Scorer {
  /** Marks of 0 and 1 only are accuracies; others are scores. */
  readonly unit: 'accuracy' | 'score';
  /** @param labels all references of the task */
  readonly mark: (answer: string, expected: Expected, labels: readonly string[]) => number;
  /** What is wrong with a row, as the end of a sentence; undefined where it can be met. */
  readonly fault: (expected: Expected) => string | undefined;
}

/** Marks by the best of the references. */
function best(
  unit: Scorer['unit'],
  mark: (answer: string, reference: string) => number | boolean,
  fault: (reference: string) => string | undefined = emptyFault,
): Scorer {
  return {
    unit,
    mark: (answer, { references }) => Math.max(0, ...references.map((reference) => Number(mark(answer, reference)))),
    fault: needsReferences(fault),
  };
}

function needsReferences(fault: (reference: string) => string | undefined): Scorer['fault'] {
  return ({ references }) => {
    if (references.length === 0) return 'has no references';
    const wrong = references.map(fault).find((one) => one !== undefined);
    return wrong === undefined ? undefined : `has a reference that ${wrong}`;
  };
}

const SCORERS: Readonly<Record<Metric, Scorer>> = {
  exact: best('accuracy', (answer, reference) => plain(answer) === plain(reference)),
  contains: best('accuracy', (answer, reference) => plain(answer).includes(plain(reference))),
  regex: best('accuracy', (answer, reference) => new RegExp(reference, 'u').test(answer), regexFault),
  numeric: best(
    'accuracy',
    (answer, reference) => sameNumber(lastNumber(answer), lastNumber(reference)),
    (reference) => (lastNumber(reference) === undefined ? 'holds no number' : undefined),
  ),
  label: {
    unit: 'accuracy',
    mark: (answer, { references }, labels) => {
      const named = labelIn(answer, labels);
      return named !== undefined && references.includes(named) ? 1 : 0;
    },
    fault: needsReferences(emptyFault),
  },
  json: {
    unit: 'accuracy',
    mark: (answer, { schema }) => Number(isJson(answer, schema)),
    fault: ({ schema, references }) => {
      if (references.length > 0) return 'has references, which json does not look at (slots does)';
      const wrong = schema === undefined ? undefined : schemaFault(schema);
      return wrong === undefined ? undefined : `has a schema that cannot be read: ${wrong}`;
    },
  },
  slots: best('score', slotF1, jsonFault),
  f1: best('score', tokenF1),
  'rouge-l': best('score', rougeL),
  bleu: {
    unit: 'score',
    mark: (answer, { references }) => sentenceBleu(answer, references),
    fault: needsReferences(emptyFault),
  },
  chrf: best('score', chrF),
};

/** All metrics. */
export const METRICS = Object.keys(SCORERS) as [Metric, ...Metric[]];

/** What marks of a metric are. */
export function unitOfMetric(metric: Metric): Scorer['unit'] {
  return SCORERS[metric].unit;
}

/**
 * Marks an answer from 0 to 1: `exact` is the same text but for case, white space and a full stop at the end; `contains` holds the reference so; `regex`
 * matches it; `numeric` ends with the same number (thousands with commas, within 1e-6 of itself); `label` names it before any other label of the task;
 * `json` parses, and is as the schema says; `slots` has the same values at the same paths; the rest counts what the texts share.
 *
 * @param labels all references of the task
 */
export function markOf(metric: Metric, answer: string, expected: Expected, labels: readonly string[] = []): number {
  return SCORERS[metric].mark(answer, expected, labels);
}

/** What keeps a row from being met by a metric, as the end of a sentence; undefined where nothing does. */
export function rowFault(metric: Metric, expected: Expected): string | undefined {
  if (metric !== 'json' && expected.schema !== undefined) return `has a schema, which ${metric} does not look at`;
  return SCORERS[metric].fault(expected);
}

/** The last number of a text: answers that reason end with their result. */
export function lastNumber(text: string): number | undefined {
  const found = text.match(/-?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|-?\d+(?:\.\d+)?/g)?.at(-1);
  return found === undefined ? undefined : Number(found.replaceAll(',', ''));
}

function sameNumber(a: number | undefined, b: number | undefined): boolean {
  return a !== undefined && b !== undefined && Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(b));
}

function emptyFault(reference: string): string | undefined {
  return plain(reference) === '' ? 'is empty' : undefined;
}

function regexFault(reference: string): string | undefined {
  try {
    new RegExp(reference, 'u');
    return undefined;
  } catch {
    return 'is no regular expression';
  }
}

function jsonFault(reference: string): string | undefined {
  try {
    JSON.parse(reference);
    return undefined;
  } catch {
    return 'is no JSON';
  }
}
