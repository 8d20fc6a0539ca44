import { join } from 'node:path';
import { openAppender } from '../io/index.ts';
import type { Dataset } from './dataset.ts';
import type { RowLoss } from './row-losses.ts';

/** The file of a run that says what each row lost at each visit: a line for each step. */
export const ROW_LOG = 'rows.jsonl';

/** A row at one visit, as the file has it. */
export interface LoggedRow {
  readonly file: string;
  readonly line: number;
  /** Of a row that became several examples: which, from 0. */
  readonly part?: number;
  /** Mean over its supervised tokens, before the step's update, nats. */
  readonly loss: number;
  readonly tokens: number;
  /** Tokens of which the model was surer than of all others together. */
  readonly known: number;
}

/** Writes what rows lost, step by step. */
export interface RowLog {
  write(step: number, rows: readonly RowLoss[]): void;
  /** Of the file. */
  bytes(): number;
  close(): void;
}

/**
 * Opens the file of a run. What stands in it beyond a checkpoint is cut off, since a run that goes on from there takes those steps again.
 * Rows that are replayed are not of the data, and are left out.
 *
 * @param keep bytes of the file at the checkpoint
 */
export function openRowLog(run: string, { train }: Pick<Dataset, 'train'>, keep: number): RowLog {
  const parts = partsOf(train);
  const log = openAppender(join(run, ROW_LOG), keep);
  let size = keep;
  return {
    write(step, rows) {
      const own = rows.filter(({ example, tokens }) => example < train.length && tokens > 0);
      const logged = own.map(({ example, nll, tokens, known }): LoggedRow => {
        const { file, line } = train[example]!.row.source;
        const part = parts[example];
        const loss = Number((nll / tokens).toPrecision(6));
        return { file, line, ...(part === undefined ? {} : { part }), loss, tokens, known };
      });
      size = log.append(`${JSON.stringify({ step, rows: logged })}\n`);
    },
    bytes: () => size,
    close: log.close,
  };
}

/** Which part of its row each example is; undefined for a row that is one example. */
function partsOf(train: Dataset['train']): (number | undefined)[] {
  const counts = new Map<unknown, number>();
  const own = train.map(({ row }) => {
    const part = counts.get(row) ?? 0;
    counts.set(row, part + 1);
    return part;
  });
  return own.map((part, i) => ((counts.get(train[i]!.row) ?? 0) > 1 ? part : undefined));
}
