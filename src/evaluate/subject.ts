import { join } from 'node:path';
import { generate } from '../generate/index.ts';
import { fileExists, makeFolder, openAppender, readText, sha256 } from '../io/index.ts';
import { sum } from '../math/stats.ts';
import { endOfTurn, renderText } from '../text/index.ts';
import { exampleLosses } from '../train/evaluate-loss.ts';
import type { Lent } from '../train/lend.ts';
import { createNetwork, type Network } from '../train/network.ts';
import { identityOf } from './answer.ts';
import { scoreCloze } from './cloze.ts';
import { scoreChoices } from './likelihood.ts';
import { markAnswers } from './mark.ts';
import { type OpenedText, type OpenedWeights, openTextOf, openWeights, restOf, tokenizerOf } from './open.ts';
import type { ChoiceItem } from './probes/index.ts';
import { promptIds } from './questions.ts';
import { type AnswerItem, type AnswerTask, type Task, taskHash } from './tasks.ts';
import type { ModelRequest, Prompt } from './types.ts';
import { rollingWindows } from './windows.ts';

/** What came of one item: 1 or 0 with a weight of 1, or a loss in nats with its tokens as weight. */
export interface ItemResult {
  readonly item: number;
  readonly value: number;
  readonly weight: number;
  /** Of a choice: log p of each, in nats. */
  readonly scores?: readonly number[];
  /** Of an answer: what was generated. */
  readonly text?: string;
  /** Why an answer has no mark: its scorer broke, or its judge could not be reached. */
  readonly fault?: string;
}

/** A model that answers tasks; its answers are kept on the disk, item by item, so that none is computed twice. */
export interface Subject {
  readonly opened: OpenedText;
  /** The results of a task in the order of its items; `onItem` is told of each that is there. */
  answer(task: Task, signal: AbortSignal, onItem: (done: number) => void): Promise<ItemResult[]>;
  /** The network with and without its adapter, which are the same where it has none. */
  networks(): Promise<{ readonly tuned: Network; readonly base: Network }>;
  close(): Promise<void>;
}

/** Changes with the way in which items are scored, so that no older answers are taken for new ones. */
const SCORING = 2;

/**
 * Opens a model to be evaluated. Weights are loaded only when an answer is not there yet.
 *
 * @param folder where answers are kept
 * @param lent networks of the same model that lie in an engine already, which stays open
 */
export async function openSubject(
  model: ModelRequest,
  folder: string,
  lent?: Pick<Lent, 'tuned' | 'base'>,
): Promise<Subject & { base(): Subject }> {
  const opened = openTextOf(model);
  const identity = await identityOf(model, opened.source);
  const key = {
    ...identity,
    rest: restOf(model, opened.source),
    format: opened.text.format,
    system: opened.system ?? '',
    // Of the base too, whose vocabulary grows with them.
    added: opened.source.added,
  };
  let weights: Promise<OpenedWeights> | undefined;
  const load = () => {
    weights ??= openWeights(model, opened.source);
    return weights;
  };
  const nets = new Map<boolean, Network>();
  const network = async (isBase: boolean) => {
    if (lent !== undefined) return isBase ? lent.base : lent.tuned;
    const { engine, base, adapter } = await load();
    const known = nets.get(isBase) ?? createNetwork({ engine, base, ...(isBase ? {} : { adapter }) });
    nets.set(isBase, known);
    return known;
  };
  const subject = (isBase: boolean): Subject => ({
    opened,
    answer: async (task, signal, onItem) => {
      const { adapter: _, ...bare } = key;
      const name = sha256(JSON.stringify([SCORING, isBase ? bare : key, taskHash(task)]));
      const found = await kept(join(folder, `${name}.jsonl`), task, onItem, async function* (from) {
        yield* results(await network(isBase), opened, from, signal);
      });
      return task.kind === 'answer' ? markAnswers(task, found, signal) : found;
    },
    networks: async () => ({ tuned: await network(false), base: await network(true) }),
    close: async () => (weights === undefined ? undefined : (await weights).engine.close()),
  });
  return { ...subject(false), base: () => subject(true) };
}

/** The results on the disk, and those that are missing, which are added as they come. */
async function kept(
  path: string,
  task: Task,
  onItem: (done: number) => void,
  compute: (rest: Task) => AsyncGenerator<ItemResult>,
): Promise<ItemResult[]> {
  const found = fileExists(path) ? readResults(readText(path)) : { results: [], bytes: 0 };
  const done = found.results.length;
  onItem(done);
  if (done >= task.items.length) return found.results;
  makeFolder(join(path, '..'));
  const log = openAppender(path, found.bytes);
  try {
    const rest = from(task, done);
    for await (const result of compute(rest)) {
      const numbered = { ...result, item: result.item + done };
      log.append(`${JSON.stringify(numbered)}\n`);
      found.results.push(numbered);
      onItem(found.results.length);
    }
  } finally {
    log.close();
  }
  return found.results;
}

/** The task without its first items. */
function from(task: Task, first: number): Task {
  const items = task.items.slice(first);
  // Each kind of task has items of its own type, which cutting does not change.
  return { ...task, items } as Task;
}

/** The whole lines that follow one another from item 0 on; a line that was torn and all after it are computed anew. */
function readResults(text: string): { readonly results: ItemResult[]; readonly bytes: number } {
  const results: ItemResult[] = [];
  let bytes = 0;
  for (const line of text.split(/(?<=\n)/)) {
    const result = line.endsWith('\n') ? parseResult(line) : undefined;
    if (result?.item !== results.length) break;
    results.push(result);
    bytes += Buffer.byteLength(line);
  }
  return { results, bytes };
}

function parseResult(line: string): ItemResult | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && 'item' in value && 'value' in value
      ? (value as ItemResult)
      : undefined;
  } catch {
    return undefined;
  }
}

async function* results(net: Network, opened: OpenedText, task: Task, signal: AbortSignal): AsyncGenerator<ItemResult> {
  const tokenizer = tokenizerOf(opened);
  switch (task.kind) {
    case 'choice':
      for await (const { item, scores } of scoreChoices(net, tokenizer, task.items, signal)) {
        yield { item, value: choiceValue(task.items[item]!, scores, task.by ?? 'sum'), weight: 1, scores };
      }
      return;
    case 'cloze': {
      let item = 0;
      for await (const { logp, isGreedy } of scoreCloze(net, tokenizer, task.items, signal)) {
        yield { item: item++, value: isGreedy ? 1 : 0, weight: 1, scores: [logp] };
      }
      return;
    }
    case 'bytes':
      yield* bitsOfBytes(net, opened, task, signal);
      return;
    case 'text':
    case 'rows': {
      const examples =
        task.kind === 'text'
          ? task.items.map((text) => renderText(text, { tokenizer, training: false }))
          : task.items.map(({ ids, labels }) => ({ ids: Int32Array.from(ids), labels: Int32Array.from(labels) }));
      let item = 0;
      for await (const { nll, tokens } of exampleLosses(net, examples, signal)) {
        yield { item: item++, value: nll, weight: tokens };
      }
      return;
    }
    case 'answer':
      yield* answers(net, opened, task, signal);
      return;
    default:
      task satisfies never;
  }
}

/** 1 or 0 as the likeliest choice is right, or the share of probability that true ones have. */
function choiceValue(
  { gold, choices, truths }: ChoiceItem,
  scores: readonly number[],
  by: 'sum' | 'characters' | 'mass',
): number {
  if (by === 'mass') {
    const most = Math.max(...scores);
    const shares = scores.map((score) => Math.exp(score - most));
    return sum((truths ?? [gold]).map((i) => shares[i]!)) / sum(shares);
  }
  const length = (choice: string) => (by === 'sum' ? 1 : Math.max(1, [...choice.trimStart()].length));
  const weighed = scores.map((score, i) => score / length(choices[i]!));
  return weighed.indexOf(Math.max(...weighed)) === gold ? 1 : 0;
}

/** Tokens of a window, where the model could see more. */
const WINDOW = 2048;

async function* bitsOfBytes(
  net: Network,
  opened: OpenedText,
  task: Task & { kind: 'bytes' },
  signal: AbortSignal,
): AsyncGenerator<ItemResult> {
  const length = Math.min(WINDOW, opened.source.config.maxPositions) - 1;
  for (const [item, { text, bytes }] of task.items.entries()) {
    let nll = 0;
    const windows = rollingWindows(text, tokenizerOf(opened), length);
    for await (const loss of exampleLosses(net, windows, signal)) nll += loss.nll;
    yield { item, value: nll / Math.LN2, weight: bytes };
  }
}

async function* answers(
  net: Network,
  opened: OpenedText,
  task: AnswerTask,
  signal: AbortSignal,
): AsyncGenerator<ItemResult> {
  const tokenizer = tokenizerOf(opened);
  const { template, format } = opened.text;
  const isChat = template !== undefined && format !== 'raw';
  const stopIds = [...net.config.eosIds, tokenizer.eosId ?? [], isChat ? endOfTurn(template, tokenizer).id : []].flat();
  const { engine, config, isAtRest, outer, layers } = net;
  const adapter = net.adapter && { ...net.adapter, layers, outer };
  const session = { engine, base: { config, isAtRest, outer, layers }, adapter };
  const how = {
    tokenizer,
    maxTokens: task.maxTokens,
    sampling: { temperature: 0, seed: 0 },
    stopIds,
    stopStrings: task.stop ?? [],
    signal,
  };
  for (const [item, { prompt }] of task.items.entries()) {
    signal.throwIfAborted();
    for await (const event of generate(session, [promptIds(asked(prompt, isChat), opened)], how)) {
      if (event.type === 'result') yield { item, value: 0, weight: 1, text: event.text };
    }
  }
}

/** A prompt as the model is asked it. What does not chat reads a conversation as lines. */
function asked(prompt: AnswerItem['prompt'], isChat: boolean): Prompt {
  if (typeof prompt !== 'string') {
    if (isChat) return { kind: 'messages', messages: prompt };
    return { kind: 'text', text: prompt.map(({ content }) => content).join('\n\n') };
  }
  return isChat ? { kind: 'messages', messages: [{ role: 'user', content: prompt }] } : { kind: 'text', text: prompt };
}
