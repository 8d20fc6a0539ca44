import { assertNoErrors, type PreparedExample, prepareExamples, type Row } from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { sha256 } from '../io/index.ts';
import { classRenderer } from '../train/classify/classes.ts';
import { decide } from '../train/classify/decide.ts';
import { type ClassifierFile, type LabelFile, readClassifier, readLikeness } from '../train/classify/file.ts';
import { distanceOf, type Likeness } from '../train/classify/likeness.ts';
import { classStates } from '../train/classify/predict.ts';
import { requireVocabulary } from '../train/dataset.ts';
import { createNetwork, type Network } from '../train/network.ts';
import { identityOf } from './answer.ts';
import { type OpenedText, openTextOf, openWeights, rowsFor } from './open.ts';
import type { ModelIdentity, ModelRequest, Prompt, RowReading } from './types.ts';

/** What an input is classified as. */
export interface Classification {
  /** The likeliest label, or of several labels those of at least one half; none where the input is none of these. */
  readonly labels: readonly string[];
  /** Those whose probability reaches the threshold that was chosen for the stated precision. Left out where nothing was calibrated. */
  readonly confident?: readonly string[];
  /** Whether the input is unlike what was trained. Left out where nothing was calibrated. */
  readonly noneOfThese?: boolean;
  /** Of every label. */
  readonly probabilities: Readonly<Record<string, number>>;
}

/** The rows of a file, checked: each can be rendered and is short enough. */
export interface RowsToClassify {
  readonly inputs: readonly Prompt[];
  /** The labels that the rows bring, where they bring some. */
  readonly labels: readonly (readonly string[] | undefined)[];
  /** sha256 of the file. */
  readonly file: string;
  /** sha256 of the token ids of all rows. */
  readonly prompts: string;
}

/** An open classifier. */
export interface ClassifierSession {
  readonly labels: readonly string[];
  /** One label for each input, or any number. */
  readonly kind: 'single' | 'multi';
  /** What was chosen on validation rows; null where there were too few, and in every checkpoint but a run's best. */
  readonly calibration: ClassifierFile['calibration'];
  /** Reads a file of rows `{text | messages, label? | labels?}`. @throws DATA_*, TEMPLATE_* with file and line */
  rows(file: string, reading?: RowReading): Promise<RowsToClassify>;
  /** Classifies inputs, in their order. @throws DATA_TOO_LONG, TOKENIZER_MISMATCH */
  classify(inputs: readonly Prompt[], options?: { readonly signal?: AbortSignal }): AsyncIterable<Classification>;
  identity(): Promise<ModelIdentity>;
  close(): Promise<void>;
}

/**
 * Opens a model that was trained with `--method classify`.
 *
 * @throws CLASSIFIER_MISSING, CLASSIFIER_FILE, and the errors of models, tokenizers and adapters
 */
export async function openClassifier(model: ModelRequest): Promise<ClassifierSession> {
  const folder = model.adapter ?? model.path;
  const { labels, kind, calibration } = readClassifier(folder);
  const likeness = calibration === null ? undefined : readLikeness(folder);
  const opened = openTextOf(model, {}, 'SEQ_CLS');
  const { engine, base, adapter, score } = await openWeights(model, opened.source, 'SEQ_CLS');
  if (score?.shape[0] !== labels.length) {
    await engine.close();
    throw noHead(model, labels.length);
  }
  const classifier = { kind, classes: labels.length, score };
  const net = createNetwork({ engine, base, adapter, classifier });
  return {
    labels,
    kind,
    calibration,
    rows: (file, reading) => readRows(reading === undefined ? opened : openTextOf(model, reading, 'SEQ_CLS'), file),
    classify: async function* (inputs, { signal } = {}) {
      const { examples } = prepare(inputs.map(asRow), opened);
      yield* classifications(net, examples, { labels, kind, calibration, likeness }, signal);
    },
    identity: () => identityOf(model, opened.source),
    close: () => engine.close(),
  };
}

function noHead({ adapter, path }: ModelRequest, labels: number): TunesmithError {
  return new TunesmithError('CLASSIFIER_FILE', {
    file: adapter ?? path,
    message: `names ${labels} labels, and its weights hold no head for as many.`,
  });
}

async function* classifications(
  net: Network,
  examples: readonly PreparedExample[],
  {
    labels,
    kind,
    calibration,
    likeness,
  }: Pick<LabelFile, 'labels' | 'kind' | 'calibration'> & { readonly likeness: Likeness | undefined },
  signal: AbortSignal | undefined,
): AsyncGenerator<Classification> {
  const names = (classes: readonly number[]) => classes.map((k) => labels[k]!);
  const ids = examples.map(({ example }) => example);
  for await (const { logits, state } of classStates(net, ids, signal)) {
    const distance = likeness && distanceOf(likeness, state);
    const { probabilities, chosen, confident, isNone } = decide(logits, kind, calibration, distance);
    yield {
      labels: names(chosen),
      ...(confident === undefined ? {} : { confident: names(confident) }),
      ...(isNone === undefined ? {} : { noneOfThese: isNone }),
      probabilities: Object.fromEntries(labels.map((label, k) => [label, probabilities[k]!])),
    };
  }
}

async function readRows(opened: OpenedText, file: string): Promise<RowsToClassify> {
  const { rows, files } = await rowsFor(opened, [file], 'optional', 'optional');
  const { examples } = prepare(rows, opened);
  const hashes = examples.map(({ example }) => sha256(new Uint8Array(example.ids.buffer.slice(0))));
  return {
    inputs: rows.map(asPrompt),
    labels: rows.map(({ labelled }) => labelled?.names),
    file: files[0]!.sha256,
    prompts: sha256(hashes.join('\n')),
  };
}

/** Rows as the model sees them, one example each. */
function prepare(rows: readonly Row[], { source, text }: OpenedText) {
  const { maxPositions, vocabSize } = source.config;
  const prepared = prepareExamples(rows, classRenderer(text, undefined), { maxLength: maxPositions, onLong: 'error' });
  assertNoErrors(prepared.findings);
  requireVocabulary(prepared.examples, vocabSize);
  return prepared;
}

function asRow(input: Prompt, i: number): Row {
  return { ...input, source: { file: 'input', line: i + 1 } };
}

function asPrompt(row: Row): Prompt {
  if (row.kind === 'text') return { kind: 'text', text: row.text };
  if (row.kind !== 'messages') throw new Error(`internal: a row of kind ${row.kind} among rows to classify`);
  const { messages, tools } = row;
  return { kind: 'messages', messages, ...(tools === undefined ? {} : { tools }) };
}
