import {
  lossOutliers,
  type MeantRow,
  meaningFindings,
  type Placed,
  quoteStart,
  type RowsOptions,
  readCheckRows,
  unaskedFindings,
} from '../data/check/index.ts';
import { buildMicroBatch, planMicroBatches } from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { type Example, IGNORE, supervisedTokens } from '../text/example.ts';
import { exampleLosses } from '../train/evaluate-loss.ts';
import { createNetwork, forwardStates, type Network, readLosses } from '../train/network.ts';
import { lossesOfRows } from '../train/row-losses.ts';
import { rowRenderer } from '../train/rows.ts';
import { openTextOf, openWeights } from './open.ts';
import type { ModelRequest } from './types.ts';

/** What a model is to look at. */
export interface DeepRequest {
  readonly files: readonly string[];
  /** Rows to test with. */
  readonly heldOut: readonly string[];
  readonly reading: RowsOptions;
  readonly allow: readonly string[];
  readonly onProgress: (done: number, total: number) => void;
  readonly signal: AbortSignal;
}

/** A row, as far as the model can be asked about it. */
interface Looked extends Omit<MeantRow, 'asked' | 'said'> {
  readonly example: Example;
}

interface Measured extends MeantRow {
  readonly loss: number;
  readonly tokens: number;
  /** The loss of the answer alone, without its question. */
  readonly alone: number | undefined;
}

/** Rows whose micro-batches are in flight at once. */
const GROUP = 32;
/** Where in the depth of a model states say most about meaning. */
const DEPTH = 0.5;

/**
 * Lets a model read every row once, before it is trained on them, and says what stands out: rows that are hard for it or known to it, and rows that
 * mean the same or contradict each other. Rows that cannot be rendered, or are longer than the model reads, are left out.
 *
 * @throws the errors of models
 */
export async function* deepFindings(model: ModelRequest, request: DeepRequest): AsyncGenerator<Placed> {
  const { files, heldOut, reading, signal } = request;
  const opened = openTextOf(model, { allow: request.allow });
  const { maxPositions } = opened.source.config;
  const render = rowRenderer(opened.text, 'score');
  const looked = async (paths: readonly string[]): Promise<Looked[]> => {
    const rows: Looked[] = [];
    for await (const { row, trained } of readCheckRows(paths, { ...reading, signal }, 'skip')) {
      const example = trained === undefined ? undefined : tryRender(() => render(trained));
      if (example === undefined || example.ids.length > maxPositions || supervisedTokens(example) === 0) continue;
      const { source, prompt, answer } = row;
      rows.push({ source, prompt, answer, example });
    }
    return rows;
  };
  const [own, held] = [await looked(files), await looked(heldOut)];
  if (own.length === 0) return;
  const { engine, base, adapter } = await openWeights(model, opened.source);
  try {
    const net = createNetwork({ engine, base, adapter });
    const total = own.length + held.length;
    const measured: Measured[] = [];
    const all = [...own, ...held];
    request.onProgress(0, total);
    for (let from = 0; from < total; from += GROUP) {
      signal.throwIfAborted();
      measured.push(...(await measure(net, all.slice(from, from + GROUP))));
      request.onProgress(measured.length, total);
    }
    const rows = measured.slice(0, own.length);
    yield* unaskedFindings(rows);
    yield* lossOutliers(
      rows.map(({ source, loss, tokens, answer }) => ({
        source,
        loss,
        tokens,
        quote: quoteStart(answer),
      })),
      'before training',
    );
    yield* meaningFindings(rows, measured.slice(own.length));
  } finally {
    await engine.close();
  }
}

/** The last example of a row, which has all of it; what is wrong with rows is told by other checks. */
function tryRender(render: () => readonly Example[]): Example | undefined {
  try {
    return render().at(-1);
  } catch (error) {
    if (error instanceof TunesmithError) return undefined;
    throw error;
  }
}

async function measure(net: Network, rows: readonly Looked[]): Promise<Measured[]> {
  const states = await measureStates(net, rows);
  const asked = rows.flatMap((row, i) => (row.prompt === '' ? [] : [i]));
  const alone = asked.map((i) => answerAlone(rows[i]!.example));
  let next = 0;
  for await (const { nll, tokens } of exampleLosses(net, alone)) {
    const row = asked[next++]!;
    states[row] = { ...states[row]!, alone: nll / tokens };
  }
  return states;
}

/** The answer of a row after nothing but the token that begins it. */
function answerAlone({ ids, labels }: Example): Example {
  const answer = labels.filter((label, i) => i > 0 && label !== IGNORE);
  return { ids: Int32Array.of(ids[0]!, ...answer), labels: Int32Array.of(IGNORE, ...answer) };
}

async function measureStates(net: Network, rows: readonly Looked[]): Promise<Measured[]> {
  const examples = rows.map(({ example }) => example);
  const plans = planMicroBatches(
    examples.map(({ ids }) => ids.length),
    { pack: true },
  );
  const measured = new Array<Measured>(rows.length);
  const { layers, hiddenSize } = net.config;
  await Promise.all(
    plans.map(async (plan) => {
      const batch = buildMicroBatch(examples, plan);
      const { nll, states } = forwardStates(net, batch, Math.max(1, Math.round(DEPTH * layers)));
      const losses = lossesOfRows(batch, await readLosses(net.engine, nll, batch.lossTokens));
      const { data } = await net.engine.read(states);
      net.engine.release(states);
      for (const [i, { row, from, count }] of batch.spans.entries()) {
        const { source, prompt, answer, example } = rows[row]!;
        const own = (data as Float32Array).subarray(from * hiddenSize, (from + count) * hiddenSize);
        const { nll: sum, tokens } = losses[i]!;
        const isAsked = (token: number) => example.labels[token] === IGNORE;
        const asked = pooled(own, hiddenSize, isAsked);
        const said = pooled(own, hiddenSize, (token) => !isAsked(token)) ?? new Float32Array(hiddenSize);
        measured[row] = {
          source,
          prompt,
          answer,
          loss: sum / tokens,
          tokens,
          asked: prompt === '' ? undefined : asked,
          said,
          alone: undefined,
        };
      }
    }),
  );
  return measured;
}

/**
 * The mean of the states of some tokens, later ones weighing more, since only they have seen what is before (Muennighoff 2022, arXiv:2202.08904).
 * The first token of a row is left out: its state is the same in all rows, and huge.
 */
function pooled(states: Float32Array, width: number, takes: (token: number) => boolean): Float32Array | undefined {
  const mean = new Float32Array(width);
  let weight = 0;
  for (let token = 1; token < states.length / width; token++) {
    if (!takes(token)) continue;
    weight += token;
    for (let d = 0; d < width; d++) mean[d]! += token * states[token * width + d]!;
  }
  return weight === 0 ? undefined : mean.map((value) => value / weight);
}
