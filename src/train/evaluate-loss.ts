import { buildMicroBatch, planMicroBatches } from '../data/index.ts';
import type { Example } from '../text/example.ts';
import type { Activity, OnActivity } from './activity.ts';
import { forwardLoss, type Network, readLosses } from './network.ts';
import { lossesOfRows } from './row-losses.ts';

/** Summed loss of one example over its supervised tokens. */
export interface ExampleLoss {
  readonly nll: number;
  readonly tokens: number;
}

/** Examples whose micro-batches are in flight at once: enough to keep the engine busy, few enough to report and to stop. */
const GROUP = 64;

/** Told of so many rows that they are done. */
type OnRows = (count: number) => void;

/** -log p of the supervised tokens of each example, in nats, in the order of the examples. */
export async function* exampleLosses(
  net: Network,
  examples: readonly Example[],
  signal?: AbortSignal,
  onRows: OnRows = () => {},
): AsyncGenerator<ExampleLoss> {
  for (let from = 0; from < examples.length; from += GROUP) {
    signal?.throwIfAborted();
    yield* await groupLosses(net, examples.slice(from, from + GROUP), onRows);
  }
}

async function groupLosses(net: Network, examples: readonly Example[], onRows: OnRows): Promise<ExampleLoss[]> {
  const plans = planMicroBatches(
    examples.map((e) => e.ids.length),
    { pack: true, share: true },
  );
  const results = new Array<ExampleLoss>(examples.length);
  await Promise.all(
    plans.map(async (plan) => {
      const batch = buildMicroBatch(examples, plan);
      const losses = await readLosses(net.engine, forwardLoss(net, batch), batch.lossTokens);
      for (const { example, nll, tokens } of lossesOfRows(batch, losses)) results[example] = { nll, tokens };
      onRows(plan.rows.length);
    }),
  );
  return results;
}

/** Who watches an evaluation, and what it is for. */
export interface Watch {
  readonly kind: Activity['kind'];
  readonly onActivity: OnActivity;
}

/** Mean loss over all supervised tokens of the examples, in nats. Throws the signal's reason when it is aborted. */
export async function meanLoss(
  net: Network,
  examples: readonly Example[],
  signal?: AbortSignal,
  { kind, onActivity }: Watch = { kind: 'evaluate', onActivity: () => {} },
): Promise<{ readonly loss: number; readonly tokens: number }> {
  let sum = 0;
  let tokens = 0;
  let done = 0;
  const tell = (rows: number) => {
    done += rows;
    onActivity({ kind, done, total: examples.length, unit: 'rows' });
  };
  tell(0);
  for await (const part of exampleLosses(net, examples, signal, tell)) {
    sum += part.nll;
    tokens += part.tokens;
  }
  return { loss: sum / tokens, tokens };
}
