import { buildMicroBatch, type MicroBatch, planMicroBatches, tokenAt } from '../data/index.ts';
import { type Example, IGNORE, type Tokenizer } from '../text/index.ts';
import { forwardLoss, type Network, readLosses } from '../train/network.ts';
import type { ChoiceItem } from './probes/index.ts';

/** A choice as the model sees it: context and choice, and where the choice begins. */
interface ChoiceIds {
  readonly ids: readonly number[];
  readonly from: number;
}

/** One row of inputs, and the tokens that are to be predicted from it, of one choice or of several. */
interface ScoredRow {
  readonly item: number;
  readonly ids: readonly number[];
  readonly targets: readonly { readonly choice: number; readonly at: number; readonly id: number }[];
}

/** Rows whose micro-batches are in flight at once. */
const GROUP = 96;

/**
 * The ids of a context and of what follows it, as lm-evaluation-harness cuts them: both are encoded together, spaces at the end of the context belong
 * to what follows, and after an empty context stands the token that begins or ends a text.
 */
export function choiceIds(
  { context, choices, contexts }: Pick<ChoiceItem, 'context' | 'choices' | 'contexts'>,
  tokenizer: Tokenizer,
): ChoiceIds[] {
  if (contexts !== undefined) {
    return choices.flatMap((choice, i) => choiceIds({ context: contexts[i] ?? context, choices: [choice] }, tokenizer));
  }
  const { bosId, eosId, addsBos } = tokenizer;
  const first = bosId ?? eosId;
  const begin = (ids: number[]) => (addsBos && bosId !== undefined && ids[0] !== bosId ? [bosId, ...ids] : ids);
  const trimmed = context.trimEnd();
  const spaces = context.slice(trimmed.length);
  const head = begin(tokenizer.encode(trimmed));
  return choices.map((choice) => {
    if (trimmed === '') {
      const ids = tokenizer.encode(`${spaces}${choice}`);
      return first === undefined ? { ids, from: 1 } : { ids: [first, ...ids], from: 1 };
    }
    const whole = begin(tokenizer.encode(`${trimmed}${spaces}${choice}`));
    // Where the choice is swallowed by the last token of the context, that token belongs to it.
    return { ids: whole, from: Math.min(head.length, whole.length - 1) };
  });
}

/** Choices whose inputs begin alike share a row: of choices that differ in their last token only, the context is computed once. */
export function sharedRows(choices: readonly ChoiceIds[], item: number): ScoredRow[] {
  const order = choices.map((_, i) => i).sort((a, b) => choices[b]!.ids.length - choices[a]!.ids.length);
  const rows: { item: number; ids: readonly number[]; targets: { choice: number; at: number; id: number }[] }[] = [];
  for (const choice of order) {
    const { ids, from } = choices[choice]!;
    const inputs = ids.slice(0, -1);
    let row = rows.find((one) => inputs.every((id, i) => id === one.ids[i]));
    if (row === undefined) {
      row = { item, ids: inputs, targets: [] };
      rows.push(row);
    }
    for (let i = from; i < ids.length; i++) row.targets.push({ choice, at: i - 1, id: ids[i]! });
  }
  return rows;
}

/** What a model makes of an item: log p of each choice after the context, in nats. */
export interface ChoiceScores {
  readonly item: number;
  readonly scores: readonly number[];
}

/**
 * Scores each choice of each item by its summed log-probability. Items come in their order, in groups.
 *
 * @throws the signal's reason when it is aborted
 */
export async function* scoreChoices(
  net: Network,
  tokenizer: Tokenizer,
  items: readonly ChoiceItem[],
  signal: AbortSignal,
): AsyncGenerator<ChoiceScores> {
  const rowsOf = items.map((item, i) => sharedRows(choiceIds(item, tokenizer), i));
  for (let from = 0; from < items.length; ) {
    signal.throwIfAborted();
    const rows: ScoredRow[] = [];
    const first = from;
    while (from < items.length && rows.length < GROUP) rows.push(...rowsOf[from++]!);
    const scores = items.slice(first, from).map(({ choices }) => choices.map(() => 0));
    await addScores(net, rows, (item, choice, logp) => {
      scores[item - first]![choice]! += logp;
    });
    for (const [i, own] of scores.entries()) yield { item: first + i, scores: own };
  }
}

async function addScores(
  net: Network,
  rows: readonly ScoredRow[],
  add: (item: number, choice: number, logp: number) => void,
): Promise<void> {
  const examples = rows.map(({ ids }) => unlabelled(ids));
  const plans = planMicroBatches(
    examples.map(({ ids }) => ids.length),
    { pack: true, share: true, together: rowsOfItems(rows) },
  );
  await Promise.all(
    plans.map(async (plan) => {
      const batch = withTargets(buildMicroBatch(examples, plan), rows);
      const losses = await readLosses(net.engine, forwardLoss(net, batch), batch.lossTokens);
      let at = 0;
      for (const { row } of batch.spans) {
        const { item, targets } = rows[row]!;
        for (const { choice } of targets) add(item, choice, -losses[at++]!);
      }
    }),
  );
}

/** How many rows each item has: together, what its choices go on from is computed once. */
function rowsOfItems(rows: readonly ScoredRow[]): number[] {
  const counts = new Map<number, number>();
  for (const { item } of rows) counts.set(item, (counts.get(item) ?? 0) + 1);
  return [...counts.values()];
}

function unlabelled(ids: readonly number[]): Example {
  return { ids: Int32Array.from(ids), labels: new Int32Array(ids.length).fill(IGNORE) };
}

/** A position may have several targets, one for each choice that goes on there. */
function withTargets(batch: MicroBatch, rows: readonly ScoredRow[]): MicroBatch {
  const wanted = batch.spans.flatMap(({ row }, i) =>
    rows[row]!.targets.map(({ at, id }) => [tokenAt(batch, i, at), id] as const),
  );
  return {
    ...batch,
    lossPositions: Int32Array.from(wanted, ([position]) => position),
    lossTargets: Int32Array.from(wanted, ([, id]) => id),
    lossTokens: wanted.length,
  };
}
