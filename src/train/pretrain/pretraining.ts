import type { PreparedExample } from '../../data/index.ts';
import { permutation } from '../../math/random.ts';
import type { Dataset } from '../dataset.ts';

/** What pre-training knows of its data beyond the examples: a row of a batch is a block of pieces of documents. */
export interface Pretraining {
  /** Pieces of each block, by index into the examples that train. */
  readonly blocks: readonly (readonly number[])[];
  /** What is mixed into every step so that it is not forgotten. */
  readonly replay: Replay | undefined;
  /** UTF-8 bytes of the held-out texts, but for the first tokens, which nothing predicts. */
  readonly bytes: { readonly select: number; readonly report: number };
}

/** Rows that are replayed (continual pre-training: Ibrahim et al. 2024, arXiv:2403.08763). */
export interface Replay {
  readonly examples: readonly PreparedExample[];
  /** By index into these examples. */
  readonly blocks: readonly (readonly number[])[];
  /** Share of a step's blocks that are replayed. */
  readonly ratio: number;
}

type Trained = Pick<Dataset, 'train' | 'pretraining' | 'aligned'>;

/** Everything that trains: the examples of the rows, and behind them those that are replayed. */
export function trainedExamples({ train, pretraining }: Trained): readonly PreparedExample[] {
  const replay = pretraining?.replay;
  return replay === undefined ? train : [...train, ...replay.examples];
}

/** Rows of an epoch as batches count them: examples, in pre-training blocks, of preferences pairs. */
export function batchRows({ train, pretraining, aligned }: Trained): number {
  return pretraining?.blocks.length ?? train.length / (aligned?.together ?? 1);
}

/** The examples of each row that {@link batchRows} counts. */
export function rowExamples({ train, pretraining, aligned }: Trained): readonly (readonly PreparedExample[])[] {
  if (pretraining === undefined) {
    const together = aligned?.together ?? 1;
    return Array.from({ length: train.length / together }, (_, row) =>
      train.slice(row * together, (row + 1) * together),
    );
  }
  return pretraining.blocks.map((block) => block.map((piece) => train[piece]!));
}

/** Blocks that are replayed in a step, on average: on top of the batch, so many that they are `ratio` of all. */
export function replayedPerStep(batch: number, { ratio }: Pick<Replay, 'ratio'>): number {
  return (batch * ratio) / (1 - ratio);
}

/**
 * What a step computes, as indices into {@link trainedExamples}, from the rows that are its batch. Replayed blocks are drawn without putting back, in a new order each time
 * that all have been drawn. A function of (seed, step, rows), so that a resumed run takes the very same.
 *
 * @param step counts from 1
 */
export function stepExamples(
  { train, pretraining, aligned }: Trained,
  { batch, seed }: { readonly batch: number; readonly seed: number },
): (step: number, rows: readonly number[]) => readonly number[] {
  if (pretraining === undefined) {
    return aligned?.together === 2 ? (_, rows) => rows.flatMap((row) => [2 * row, 2 * row + 1]) : (_, rows) => rows;
  }
  const { blocks, replay } = pretraining;
  const own = (rows: readonly number[]) => rows.flatMap((row) => blocks[row]!);
  if (replay === undefined) return (_, rows) => own(rows);
  const perStep = replayedPerStep(batch, replay);
  const until = (step: number) => Math.floor(step * perStep + 1e-9);
  const draw = drawer(replay.blocks, seed);
  return (step, rows) => {
    const drawn: number[] = [];
    for (let at = until(step - 1); at < until(step); at++) drawn.push(...draw(at).map((piece) => train.length + piece));
    return [...own(rows), ...drawn];
  };
}

/** The block that is drawn as number `at` (from 0). */
function drawer(blocks: readonly (readonly number[])[], seed: number): (at: number) => readonly number[] {
  let round = -1;
  let order = new Uint32Array();
  return (at) => {
    const wanted = Math.floor(at / blocks.length);
    if (wanted !== round) order = permutation(seed, 'replay', wanted, blocks.length) as typeof order;
    round = wanted;
    return blocks[order[at % blocks.length]!]!;
  };
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
