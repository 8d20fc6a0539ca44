import type { PreparedExample } from '../../data/index.ts';
import type { Dataset } from '../dataset.ts';
import { drawnBySteps } from '../retain/replay.ts';

/** What pre-training knows of its data beyond the examples: a row of a batch is a block of pieces of documents. */
export interface Pretraining {
  /** Pieces of each block, by index into the examples that train. */
  readonly blocks: readonly (readonly number[])[];
  /** UTF-8 bytes of the held-out texts, but for the first tokens, which nothing predicts. */
  readonly bytes: { readonly select: number; readonly report: number };
}

type Trained = Pick<Dataset, 'train' | 'pretraining' | 'aligned'>;
type Rehearsed = Trained & Pick<Dataset, 'replay'>;

/** Everything that trains: the examples of the rows, and behind them those that are replayed. */
export function trainedExamples({ train, replay }: Pick<Dataset, 'train' | 'replay'>): readonly PreparedExample[] {
  return replay === undefined ? train : [...train, ...replay.examples];
}

/** Rows of an epoch as batches count them: examples, in pre-training blocks, of preferences pairs. */
export function batchRows({ train, pretraining, aligned }: Trained): number {
  return pretraining?.blocks.length ?? aligned?.sizes.train.length ?? train.length;
}

/** The examples of each row that {@link batchRows} counts; of what is held out each is a row, but for preferences. */
export function rowExamples(
  dataset: Pick<Dataset, 'train' | 'pretraining' | 'aligned'> & Partial<Pick<Dataset, 'select' | 'report'>>,
  part: 'train' | 'select' | 'report' = 'train',
): readonly (readonly PreparedExample[])[] {
  const { pretraining, aligned, [part]: examples = [] } = dataset;
  if (part === 'train' && pretraining !== undefined) {
    return pretraining.blocks.map((block) => block.map((piece) => examples[piece]!));
  }
  if (aligned === undefined) return examples.map((example) => [example]);
  return indicesByRow(aligned.sizes[part]).map((row) => row.map((index) => examples[index]!));
}

/** The numbers of the examples of each row, which follow one another. */
export function indicesByRow(sizes: readonly number[]): number[][] {
  let next = 0;
  return sizes.map((size) => Array.from({ length: size }, () => next++));
}

/** How many examples of these rows share a micro-batch at least. */
export function unitSizes({ aligned }: Pick<Dataset, 'aligned'>, rows: readonly (readonly unknown[])[]): number[] {
  return aligned?.staysTogether === true ? rows.map((row) => row.length) : rows.flatMap((row) => row.map(() => 1));
}

/**
 * What a step computes, as indices into {@link trainedExamples}, from the rows that are its batch: those, and behind them what is replayed.
 *
 * @param step counts from 1
 */
export function stepExamples(
  { train, pretraining, aligned, replay }: Rehearsed,
  order: { readonly batch: number; readonly seed: number },
): (step: number, rows: readonly number[]) => readonly number[] {
  const indices = aligned && indicesByRow(aligned.sizes.train);
  const own = (rows: readonly number[]) => {
    if (pretraining !== undefined) return rows.flatMap((row) => pretraining.blocks[row]!);
    return indices === undefined ? rows : rows.flatMap((row) => indices[row]!);
  };
  if (replay === undefined) return (_, rows) => own(rows);
  const drawn = drawnBySteps(replay, order);
  return (step, rows) => [...own(rows), ...drawn(step).map((piece) => train.length + piece)];
}

/**
 * Loss by the length of the text, which does not depend on the tokenizer.
 *
 * @param loss mean over the tokens, nats
 * @param bytes of the text that the tokens stand for
 */
export function bitsPerByte(
  { loss, tokens }: { readonly loss: number; readonly tokens: number },
  bytes: number,
): number {
  return (loss * tokens) / (Math.LN2 * bytes);
}
