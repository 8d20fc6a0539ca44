import { type ErrorCode, TunesmithError } from '../errors/index.ts';
import type { ModelConfig } from '../model/config.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import {
  type Cache,
  capacityFor,
  createDecoder,
  type Decoder,
  type GenerationSession,
  type NextToken,
} from './decoder.ts';
import { GREEDY, type Sampling, sampleToken } from './sample.ts';
import { createTextStream, type StopReason, type TextStream } from './stop.ts';

/** How to answer. */
export interface GenerateOptions {
  readonly tokenizer: Pick<Tokenizer, 'decode'>;
  readonly maxTokens: number;
  /** Greedy if not given. */
  readonly sampling?: Partial<Sampling>;
  /** Tokens that end an answer: the template's end of turn and the model's ends of sequence. */
  readonly stopIds: Iterable<number>;
  readonly stopStrings?: readonly string[];
  /** Prompts that are answered side by side; 8 if not given. */
  readonly batch?: number;
  /** Number of the first prompt, from which random draws count: a file answered in parts gets the same answers. 0 if not given. */
  readonly firstIndex?: number;
  readonly signal?: AbortSignal;
}

/** What {@link generate} yields: each token as it comes, and each answer when it is whole. */
export type GenerateEvent = TokenEvent | ResultEvent;

/** One more token of an answer. */
export interface TokenEvent {
  readonly type: 'token';
  /** Number of the prompt. */
  readonly index: number;
  readonly id: number;
  /** Text that is now certain; may be empty. */
  readonly text: string;
}

/** A whole answer. */
export interface ResultEvent {
  readonly type: 'result';
  readonly index: number;
  readonly text: string;
  /** All new tokens, with the one that ended the turn. */
  readonly ids: readonly number[];
  readonly stop: StopReason;
  readonly promptTokens: number;
  /** Number of new tokens. */
  readonly tokens: number;
  /** New tokens over the time from the start of the prompt to the last token. */
  readonly tokensPerSecond: number;
}

/** An answer in the making, in one row of the cache. */
interface Answer {
  readonly index: number;
  readonly prompt: readonly number[];
  readonly ids: number[];
  readonly stream: TextStream;
  readonly room: number;
  readonly started: number;
  text: string;
}

/**
 * Answers prompts, several at a time: when an answer is done, the next prompt takes its row. Events of different prompts interleave. A prompt that follows itself
 * (the same array) is run once.
 *
 * @param prompts token ids, as rendered; nothing is added
 * @throws the errors of {@link checkPrompt}; the signal's reason when it is aborted
 */
export async function* generate(
  session: GenerationSession,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
): AsyncGenerator<GenerateEvent, void, void> {
  const { maxPositions } = session.base.config;
  for (const [i, prompt] of prompts.entries()) checkPrompt(prompt, session.base.config, `prompt ${i + 1}`);
  if (prompts.length === 0) return;
  const decoder = createDecoder(session);
  const rows = Math.min(options.batch ?? 8, prompts.length);
  const capacity = Math.max(...prompts.map((p) => capacityFor(p.length, roomFor(p, options.maxTokens, maxPositions))));
  const all = decoder.allocate(rows, capacity);
  const one = rows === 1 ? all : decoder.allocate(1, capacity);
  try {
    yield* answerAll(decoder, { all, one, held: 0 }, prompts, options);
  } finally {
    decoder.release(all);
    if (one !== all) decoder.release(one);
    decoder.close();
  }
}

/**
 * Checks what a model needs of a prompt.
 *
 * @param what names the prompt in the message, where its place does not
 * @throws GENERATE_PROMPT if it is empty or fills the context, TOKENIZER_MISMATCH for an id that the embedding has no row for
 */
export function checkPrompt(
  prompt: readonly number[],
  { maxPositions, vocabSize }: Pick<ModelConfig, 'maxPositions' | 'vocabSize'>,
  what?: string,
): void {
  const refuse = (code: ErrorCode, fault: string, fix?: string) =>
    new TunesmithError(code, { message: what === undefined ? fault : `${what} ${fault}`, fix });
  const beyond = prompt.find((id) => id >= vocabSize);
  if (beyond !== undefined) {
    const fault = `is rendered with token id ${beyond}, and the embedding of the model has ${vocabSize} rows.`;
    throw refuse('TOKENIZER_MISMATCH', fault, 'use the tokenizer that belongs to the model');
  }
  if (prompt.length > 0 && prompt.length < maxPositions) return;
  const fault = prompt.length === 0 ? 'is empty' : `has ${prompt.length} tokens, the model's context ${maxPositions}`;
  throw refuse('GENERATE_PROMPT', `${fault}.`);
}

/** Answers one prompt after another. */
export interface Continuation {
  /** As {@link generate}, for one prompt; one call at a time. */
  generate(prompt: readonly number[], options: GenerateOptions): AsyncGenerator<GenerateEvent, void, void>;
  close(): void;
}

/**
 * Keeps the keys and values of the last prompt and its answer: where the next prompt begins with the same tokens, as the next turn of a chat does,
 * only the rest of it is run.
 */
export function openContinuation(session: GenerationSession): Continuation {
  const { config } = session.base;
  const decoder = createDecoder(session);
  let cache: Cache | undefined;
  let known: readonly number[] = []; // tokens whose keys and values the cache holds

  /** A cache with room, which holds the first `held` tokens of the prompt. */
  const rollBack = (prompt: readonly number[], newTokens: number): { cache: Cache; held: number } => {
    // The last token is run in any case, for its logits.
    const held = Math.min(commonLength(known, prompt), prompt.length - 1);
    known = prompt.slice(0, held);
    const capacity = capacityFor(prompt.length, newTokens, held);
    if (cache === undefined || cache.capacity < capacity) {
      const larger = decoder.allocate(1, capacity);
      if (cache !== undefined) {
        decoder.copyTokens(cache, larger, held);
        decoder.release(cache);
      }
      cache = larger;
    }
    return { cache, held };
  };

  return {
    async *generate(prompt, options) {
      checkPrompt(prompt, config, 'the prompt');
      const { cache: one, held } = rollBack(prompt, roomFor(prompt, options.maxTokens, config.maxPositions));
      const ids: number[] = [];
      try {
        for await (const event of answerAll(decoder, { all: one, one, held }, [prompt], options)) {
          if (event.type === 'token') ids.push(event.id);
          yield event;
        }
      } finally {
        // The newest token was chosen, and not run.
        if (ids.length > 0) known = [...prompt, ...ids.slice(0, -1)];
      }
    },
    close() {
      if (cache !== undefined) decoder.release(cache);
      decoder.close();
    },
  };
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  const end = Math.min(a.length, b.length);
  for (let i = 0; i < end; i++) if (a[i] !== b[i]) return i;
  return end;
}

function roomFor(prompt: readonly number[], maxTokens: number, maxPositions: number): number {
  return Math.min(maxTokens, maxPositions - prompt.length);
}

async function* answerAll(
  decoder: Decoder,
  /** `one` is where prompts are run; it holds the first `held` tokens of the first. */
  caches: { readonly all: Cache; readonly one: Cache; readonly held: number },
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
): AsyncGenerator<GenerateEvent, void, void> {
  // Filled, for what maps over an array passes over its holes.
  const slots = new Array<Answer | undefined>(caches.all.rows).fill(undefined);
  const sampling = { ...GREEDY, ...options.sampling };
  const greedy = sampling.temperature === 0 && sampling.repetitionPenalty === 1;
  const choose = createChooser(options, sampling);
  let next = 0;
  // What the cache of one row holds: answers to one and the same prompt share it.
  let last: { readonly prompt: readonly number[]; readonly logits: Float32Array } | undefined;
  for (;;) {
    for (let slot = 0; slot < slots.length; slot++) {
      while (slots[slot] === undefined && next < prompts.length) {
        options.signal?.throwIfAborted();
        const answer = begin(decoder, prompts[next]!, next + (options.firstIndex ?? 0), options);
        next++;
        const { prompt } = answer;
        const isKnown = last !== undefined && last.prompt === prompt && caches.one !== caches.all;
        const logits = isKnown ? last!.logits : await decoder.prefill(caches.one, prompt, next === 1 ? caches.held : 0);
        last = { prompt, logits };
        const ended = yield* choose(answer, logits);
        if (ended) continue;
        if (caches.one !== caches.all) decoder.copyRow(caches.one, caches.all, slot);
        slots[slot] = answer;
      }
    }
    if (slots.every((answer) => answer === undefined)) return;
    options.signal?.throwIfAborted();
    const result = await (greedy ? decoder.stepGreedy : decoder.step)(caches.all, slots.map(nextInput));
    const width = result.length / slots.length;
    for (const [slot, answer] of slots.entries()) {
      if (answer === undefined) continue;
      const ended = yield* choose(answer, greedy ? result[slot]! : result.subarray(slot * width, (slot + 1) * width));
      if (ended) slots[slot] = undefined;
    }
  }
}

function begin(decoder: Decoder, prompt: readonly number[], index: number, options: GenerateOptions): Answer {
  return {
    index,
    prompt,
    ids: [],
    stream: createTextStream(options.tokenizer, options.stopStrings),
    room: roomFor(prompt, options.maxTokens, decoder.config.maxPositions),
    started: performance.now(),
    text: '',
  };
}

/** The newest token of an answer, which is not in the cache yet. An empty row computes something that nobody reads. */
function nextInput(answer: Answer | undefined): NextToken {
  if (answer === undefined) return { id: 0, position: 0 };
  return { id: answer.ids.at(-1)!, position: answer.prompt.length + answer.ids.length - 1 };
}

/** Makes the function that takes the next token of an answer, from logits if it is not known, tells of it, and returns whether the answer is done. */
function createChooser(options: GenerateOptions, sampling: Sampling) {
  const stopIds = new Set(options.stopIds);
  return function* choose(answer: Answer, next: Float32Array | number): Generator<GenerateEvent, boolean, void> {
    if (answer.room <= 0) {
      yield resultOf(answer, 'length');
      return true;
    }
    const id = typeof next === 'number' ? next : draw(answer, next, sampling);
    answer.ids.push(id);
    const { text, stop } = extend(answer, id, stopIds.has(id));
    answer.text += text;
    yield { type: 'token', index: answer.index, id, text };
    if (stop === undefined) return false;
    yield resultOf(answer, stop);
    return true;
  };
}

function draw(answer: Answer, logits: Float32Array, sampling: Sampling): number {
  const before = sampling.repetitionPenalty === 1 ? [] : [...answer.prompt, ...answer.ids];
  return sampleToken(logits, before, sampling, { prompt: answer.index, token: answer.ids.length });
}

function extend(answer: Answer, id: number, endsTurn: boolean): { text: string; stop: StopReason | undefined } {
  if (endsTurn) return { text: answer.stream.finish(), stop: 'eot' };
  const { text, stopped } = answer.stream.push(id);
  if (stopped) return { text, stop: 'string' };
  if (answer.ids.length < answer.room) return { text, stop: undefined };
  return { text: text + answer.stream.finish(), stop: 'length' };
}

function resultOf(answer: Answer, stop: StopReason): ResultEvent {
  const seconds = (performance.now() - answer.started) / 1000;
  return {
    type: 'result',
    index: answer.index,
    text: answer.text,
    ids: answer.ids,
    stop,
    promptTokens: answer.prompt.length,
    tokens: answer.ids.length,
    tokensPerSecond: answer.ids.length / seconds,
  };
}
