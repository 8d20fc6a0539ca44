import { buildMicroBatch, planMicroBatches } from '../../data/index.ts';
import type { Example } from '../../text/example.ts';
import { forwardLogits, type Network } from '../network.ts';

/** Rows whose micro-batches are in flight at once. */
const GROUP = 64;

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
  for (let from = 0; from < examples.length; from += GROUP) {
    signal?.throwIfAborted();
    yield* await groupLogits(net, examples.slice(from, from + GROUP), onRows);
  }
}

async function groupLogits(
  net: Network,
  examples: readonly Example[],
  onRows: (count: number) => void,
): Promise<Float32Array[]> {
  const { engine, classifier } = net;
  if (classifier === undefined) throw new Error('internal: a network without a classifier is asked for classes');
  const { classes } = classifier;
  const plans = planMicroBatches(
    examples.map((e) => e.ids.length),
    { pack: true },
  );
  const results = new Array<Float32Array>(examples.length);
  await Promise.all(
    plans.map(async (plan) => {
      const handles = forwardLogits(net, buildMicroBatch(examples, plan));
      const [logits] = await Promise.all(handles.map((handle) => engine.read(handle)));
      engine.release(...handles);
      const data = logits!.data as Float32Array;
      for (const [i, row] of plan.rows.entries()) results[row] = data.slice(i * classes, (i + 1) * classes);
      onRows(plan.rows.length);
    }),
  );
  return results;
}
