import { buildMicroBatch, planMicroBatches } from '../../data/index.ts';
import type { Example } from '../../text/example.ts';
import { forwardClasses, forwardLogits, type Network } from '../network.ts';

/** Rows whose micro-batches are in flight at once. */
const GROUP = 64;

/** What a classifier makes of a row. */
export interface Seen {
  /** [K] */
  readonly logits: Float32Array;
  /** [D] the mean of what its tokens give. */
  readonly state: Float64Array;
}

/**
 * The logits [K] of each row, in the order of the rows.
 *
 * @param onRows told of so many rows that they are done
 */
export async function* classLogits(
  net: Network,
  examples: readonly Example[],
  signal?: AbortSignal,
  onRows: (count: number) => void = () => {},
): AsyncGenerator<Float32Array> {
  yield* inGroups(examples, signal, async (group) => {
    return rowsOf(net, group, onRows, async (batch) => {
      const handles = forwardLogits(net, batch);
      const [logits] = await Promise.all(handles.map((handle) => net.engine.read(handle)));
      net.engine.release(...handles);
      return partsOf(logits!.data as Float32Array, logits!.shape[1]!);
    });
  });
}

/** As {@link classLogits}, with what tells whether a row is like those that trained. */
export async function* classStates(
  net: Network,
  examples: readonly Example[],
  signal?: AbortSignal,
  onRows: (count: number) => void = () => {},
): AsyncGenerator<Seen> {
  yield* inGroups(examples, signal, async (group) => {
    return rowsOf(net, group, onRows, async (batch) => {
      const handles = forwardClasses(net, batch);
      const [logits, states] = await Promise.all(
        [handles.logits, handles.states].map(async (handle) => {
          const { data, shape } = await net.engine.read(handle);
          return partsOf(data as Float32Array, shape[1]!);
        }),
      );
      net.engine.release(handles.logits, handles.states);
      return (row) => ({ logits: logits!(row), state: Float64Array.from(states!(row)) });
    });
  });
}

/** Rows of a matrix, one by one. */
function partsOf(data: Float32Array, width: number): (row: number) => Float32Array {
  return (row) => data.slice(row * width, (row + 1) * width);
}

async function* inGroups<T>(
  examples: readonly Example[],
  signal: AbortSignal | undefined,
  compute: (group: readonly Example[]) => Promise<T[]>,
): AsyncGenerator<T> {
  for (let from = 0; from < examples.length; from += GROUP) {
    signal?.throwIfAborted();
    yield* await compute(examples.slice(from, from + GROUP));
  }
}

/** What comes of each row, by its micro-batch. */
async function rowsOf<T>(
  { classifier }: Network,
  examples: readonly Example[],
  onRows: (count: number) => void,
  compute: (batch: ReturnType<typeof buildMicroBatch>) => Promise<(row: number) => T>,
): Promise<T[]> {
  if (classifier === undefined) throw new Error('internal: a network without a classifier is asked for classes');
  const plans = planMicroBatches(
    examples.map((e) => e.ids.length),
    { pack: true },
  );
  const results = new Array<T>(examples.length);
  await Promise.all(
    plans.map(async (plan) => {
      const result = await compute(buildMicroBatch(examples, plan));
      for (const [i, row] of plan.rows.entries()) results[row] = result(i);
      onRows(plan.rows.length);
    }),
  );
  return results;
}
