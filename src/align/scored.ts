import { buildMicroBatch, type MicroBatch, planMicroBatches, targetsByRow } from '../data/index.ts';
import { type Example, IGNORE } from '../text/index.ts';
import { forwardLoss, type Network, readLosses } from '../train/network.ts';

/** An answer after its prompt. All labels from `answerFrom` on are the answer's; those before it are learned but not compared. */
export interface Answered {
  readonly example: Example;
  /** Index of the first token of the answer. */
  readonly answerFrom: number;
}

/** What a model makes of an answer. */
export interface Scored {
  /** Log-probability of the answer, end of the turn included, in nats. */
  readonly logp: number;
  /** Tokens of the answer. */
  readonly tokens: number;
  /** Log-probability of everything that has a label. */
  readonly textLogp: number;
  readonly textTokens: number;
}

/** An example whose labels are the answer's. */
export function answered(example: Example): Answered {
  return { example, answerFrom: example.labels.findIndex((label) => label !== IGNORE) };
}

/** The same, with the prompt learned too. */
export function withPrompt({ example, answerFrom }: Answered): Answered {
  return { example: { ...example, labels: example.ids }, answerFrom };
}

/** The same as a reward model reads it: up to the end of the answer, at whose last token it gives its reward. */
export function rewarded({ example: { ids, labels }, answerFrom }: Answered): Answered {
  const end = labels.findLastIndex((label) => label !== IGNORE) + 1;
  const own = ids.slice(0, end);
  return { example: { ids: own, labels: new Int32Array(end).fill(IGNORE), classes: [] }, answerFrom };
}

/** For each token with loss, whether it belongs to the answer. */
export function answerTokens({ example: { labels }, answerFrom }: Answered): boolean[] {
  const own: boolean[] = [];
  for (let i = 1; i < labels.length; i++) if (labels[i] !== IGNORE) own.push(i >= answerFrom);
  return own;
}

/** @param nll of the tokens with loss */
export function scoreOf(answer: Answered, nll: Float64Array): Scored {
  let [logp, tokens, textLogp] = [0, 0, 0];
  for (const [i, isAnswer] of answerTokens(answer).entries()) {
    textLogp -= nll[i]!;
    if (!isAnswer) continue;
    logp -= nll[i]!;
    tokens++;
  }
  return { logp, tokens, textLogp, textTokens: nll.length };
}

/** The losses of each row of a micro-batch. */
export function* lossesByRow(
  batch: MicroBatch,
  nll: Float64Array,
): Generator<{ readonly row: number; readonly from: number; readonly nll: Float64Array }> {
  for (const { row, from, to } of targetsByRow(batch)) yield { row, from, nll: nll.subarray(from, to) };
}

/** Answers whose micro-batches are in flight at once. */
const GROUP = 64;

/** Scores answers with a network as it stands, without noise or dropout, in their order. */
export async function scoreAnswers(
  net: Network,
  answers: readonly Answered[],
  signal: AbortSignal,
  onRows: (count: number) => void = () => {},
): Promise<Scored[]> {
  const scored: Scored[] = [];
  for (let from = 0; from < answers.length; from += GROUP) {
    signal.throwIfAborted();
    scored.push(...(await scoreGroup(net, answers.slice(from, from + GROUP), onRows)));
  }
  return scored;
}

async function scoreGroup(
  net: Network,
  answers: readonly Answered[],
  onRows: (count: number) => void,
): Promise<Scored[]> {
  const examples = answers.map(({ example }) => example);
  const plans = planMicroBatches(
    examples.map(({ ids }) => ids.length),
    { pack: true, share: true },
  );
  const scored = new Array<Scored>(answers.length);
  await Promise.all(
    plans.map(async (plan) => {
      const batch = buildMicroBatch(examples, plan);
      const nll = await readLosses(net.engine, forwardLoss(net, batch), batch.lossTokens);
      for (const part of lossesByRow(batch, nll)) scored[part.row] = scoreOf(answers[part.row]!, part.nll);
      onRows(plan.rows.length);
    }),
  );
  return scored;
}
