import { buildMicroBatch, planMicroBatches } from '../data/index.ts';
import { type Example, IGNORE, type Tokenizer } from '../text/index.ts';
import { forwardLogits, type Network } from '../train/network.ts';
import { choiceIds } from './likelihood.ts';

/** Items whose micro-batches are in flight at once. */
const GROUP = 32;

/** What a model makes of what follows a context: its log-probability in nats, and whether each of its tokens is the likeliest. */
export interface ClozeScore {
  readonly logp: number;
  readonly isGreedy: boolean;
}

/** Scores what follows each context, as lm-evaluation-harness's `loglikelihood`. @throws the signal's reason when it is aborted */
export async function* scoreCloze(
  net: Network,
  tokenizer: Tokenizer,
  items: readonly { readonly context: string; readonly target: string }[],
  signal: AbortSignal,
): AsyncGenerator<ClozeScore> {
  const examples = items.map(({ context, target }): Example => {
    const [{ ids, from } = { ids: [], from: 0 }] = choiceIds({ context, choices: [target] }, tokenizer);
    return { ids: Int32Array.from(ids), labels: Int32Array.from(ids, (id, i) => (i < from ? IGNORE : id)) };
  });
  for (let first = 0; first < examples.length; first += GROUP) {
    signal.throwIfAborted();
    yield* await groupScores(net, examples.slice(first, first + GROUP));
  }
}

async function groupScores(net: Network, examples: readonly Example[]): Promise<ClozeScore[]> {
  const scores = new Array<ClozeScore>(examples.length);
  const plans = planMicroBatches(
    examples.map(({ ids }) => ids.length),
    { pack: true },
  );
  // One after another: a whole vocabulary of logits comes back for each token.
  for (const plan of plans) {
    const batch = buildMicroBatch(examples, plan);
    const rows = await readLogits(net, batch);
    let at = 0;
    for (const { row } of batch.spans) {
      let [logp, isGreedy] = [0, true];
      for (const label of examples[row]!.labels.subarray(1)) {
        if (label === IGNORE) continue;
        const logits = rows[at++]!;
        logp += logits[label]! - logSum(logits);
        isGreedy &&= logits.indexOf(logits.reduce((a, b) => Math.max(a, b))) === label;
      }
      scores[row] = { logp, isGreedy };
    }
  }
  return scores;
}

/** The logits of a micro-batch's targets, one row of the vocabulary each. */
export async function readLogits(net: Network, batch: Parameters<typeof forwardLogits>[1]): Promise<Float32Array[]> {
  const handles = forwardLogits(net, batch);
  const width = net.config.vocabSize;
  const parts = await Promise.all(handles.map((handle) => net.engine.read(handle)));
  net.engine.release(...handles);
  return parts.flatMap(({ data }) => {
    const all = data as Float32Array;
    return Array.from({ length: all.length / width }, (_, i) => all.subarray(i * width, (i + 1) * width));
  });
}

/** log of the sum of exponentials. */
export function logSum(logits: Float32Array): number {
  let most = -Infinity;
  for (const x of logits) if (x > most) most = x;
  let total = 0;
  for (const x of logits) total += Math.exp(x - most);
  return most + Math.log(total);
}
