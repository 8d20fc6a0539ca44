import { byteCharacters } from './decoder.ts';
import { GPT2_PATTERN } from './pre-tokenizers.ts';

/** What a tokenizer is trained with. */
export interface TrainTokenizerOptions {
  /** Ids wanted in all: the special token, 256 bytes, and merges. Fewer come out where the texts have no more pairs that stand twice. */
  readonly vocabSize: number;
}

/** A tokenizer as a model folder holds it. */
export interface TrainedTokenizer {
  /** tokenizer.json */
  readonly json: Readonly<Record<string, unknown>>;
  /** tokenizer_config.json */
  readonly config: Readonly<Record<string, unknown>>;
  readonly vocabSize: number;
  /** Of {@link END_OF_TEXT}, which ends every document. */
  readonly eosId: number;
}

/** The one special token: it ends a document. */
export const END_OF_TEXT = '<|endoftext|>';

/** The special token and the 256 bytes: no tokenizer has fewer. */
export const SMALLEST_VOCAB = 257;

/** A pair that stands once only teaches the tokenizer a text by heart. */
const FEWEST = 2;

/**
 * Trains a byte-level BPE tokenizer (Sennrich et al. 2016, arXiv:1508.07909; over bytes as GPT-2 does): again and again the pair of tokens that stands
 * most often within words becomes a token; of pairs that stand equally often the one with the smaller ids. Digits stand alone. Any text comes back from its
 * ids, character by character. A function of its arguments; merges are those that Hugging Face's tokenizers would learn.
 *
 * @throws Error (internal) if `vocabSize` is below {@link SMALLEST_VOCAB}
 */
export function trainTokenizer(texts: Iterable<string>, { vocabSize }: TrainTokenizerOptions): TrainedTokenizer {
  if (vocabSize < SMALLEST_VOCAB) throw new Error(`internal: a vocabulary of ${vocabSize}`);
  const characters = byteCharacters();
  const alphabet = [...characters].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
  const tokens = [END_OF_TEXT, ...alphabet];
  const idOfByte = characters.map((character) => alphabet.indexOf(character) + 1);
  const merges = learnMerges(wordsOf(texts, idOfByte), tokens, vocabSize);
  return { ...filesOf(tokens, merges), vocabSize: tokens.length, eosId: 0 };
}

/** A distinct word: the ids that it consists of, and how often it stands. */
interface Word {
  ids: number[];
  readonly count: number;
}

const PIECE = new RegExp(GPT2_PATTERN, 'gu');
const DIGIT = /(\p{N})/u;

function wordsOf(texts: Iterable<string>, idOfByte: readonly number[]): Word[] {
  const counts = new Map<string, number>();
  const add = (word: string) => counts.set(word, (counts.get(word) ?? 0) + 1);
  for (const text of texts) {
    for (const part of text.split(END_OF_TEXT).flatMap((between) => between.split(DIGIT))) {
      for (const [word] of part.matchAll(PIECE)) add(word);
    }
  }
  const encoder = new TextEncoder();
  return [...counts].map(([word, count]) => ({ ids: Array.from(encoder.encode(word), (b) => idOfByte[b]!), count }));
}

/** A pair as one number that orders as (left, right) does. */
const pairOf = (left: number, right: number) => left * 2 ** 24 + right;
const leftOf = (pair: number) => Math.floor(pair / 2 ** 24);
const rightOf = (pair: number) => pair % 2 ** 24;

/** How often each pair stands, and in which words (some of them more than once, or no longer). */
interface Pairs {
  readonly counts: Map<number, number>;
  readonly places: Map<number, number[]>;
}

/** Learns merges until there are `vocabSize` tokens; new tokens are added to `tokens`. */
function learnMerges(words: readonly Word[], tokens: string[], vocabSize: number): [string, string][] {
  const pairs: Pairs = { counts: new Map(), places: new Map() };
  for (const [place, { ids, count }] of words.entries()) {
    for (let i = 1; i < ids.length; i++) note(pairs, pairOf(ids[i - 1]!, ids[i]!), count, place);
  }
  const queue = createQueue();
  for (const [pair, count] of pairs.counts) queue.push({ pair, count });
  const idOf = new Map(tokens.map((token, id) => [token, id]));
  const merges: [string, string][] = [];
  while (tokens.length < vocabSize) {
    const top = queue.pop();
    if (top === undefined) break;
    const count = pairs.counts.get(top.pair) ?? 0;
    if (count !== top.count) {
      // Counts of pairs only fall once they are queued.
      if (count >= FEWEST) queue.push({ pair: top.pair, count });
      continue;
    }
    if (count < FEWEST) break;
    const [left, right] = [tokens[leftOf(top.pair)]!, tokens[rightOf(top.pair)]!];
    const merged = left + right;
    // Two ways may lead to the same token.
    const id = idOf.get(merged) ?? tokens.length;
    if (id === tokens.length) tokens.push(merged);
    idOf.set(merged, id);
    merges.push([left, right]);
    for (const pair of mergeEverywhere(words, pairs, top.pair, id)) {
      queue.push({ pair, count: pairs.counts.get(pair)! });
    }
  }
  return merges;
}

function note({ counts, places }: Pairs, pair: number, by: number, place: number): void {
  counts.set(pair, (counts.get(pair) ?? 0) + by);
  if (by < 0) return;
  const known = places.get(pair);
  if (known === undefined) places.set(pair, [place]);
  else if (known.at(-1) !== place) known.push(place);
}

/** Joins a pair wherever it stands. @returns pairs that came to stand more often */
function mergeEverywhere(words: readonly Word[], pairs: Pairs, pair: number, id: number): Set<number> {
  const risen = new Set<number>();
  const [left, right] = [leftOf(pair), rightOf(pair)];
  for (const place of pairs.places.get(pair) ?? []) {
    const word = words[place]!;
    const change = (a: number, b: number, by: number) => {
      note(pairs, pairOf(a, b), by, place);
      if (by > 0) risen.add(pairOf(a, b));
    };
    const { ids, count } = word;
    const joined: number[] = [];
    for (let i = 0; i < ids.length; i++) {
      if (ids[i] !== left || ids[i + 1] !== right) {
        joined.push(ids[i]!);
        continue;
      }
      const [before, after] = [joined.at(-1), ids[i + 2]];
      if (before !== undefined) {
        change(before, left, -count);
        change(before, id, count);
      }
      if (after !== undefined) {
        change(right, after, -count);
        change(id, after, count);
      }
      joined.push(id);
      i++;
    }
    word.ids = joined;
  }
  pairs.counts.delete(pair);
  pairs.places.delete(pair);
  risen.delete(pair);
  return risen;
}

interface Queued {
  readonly pair: number;
  readonly count: number;
}

const isBefore = (a: Queued, b: Queued) => (a.count === b.count ? a.pair < b.pair : a.count > b.count);

/** A binary heap: most frequent first, of equals the smaller pair. */
function createQueue() {
  const heap: Queued[] = [];
  const swap = (i: number, j: number) => {
    const held = heap[i]!;
    heap[i] = heap[j]!;
    heap[j] = held;
  };
  return {
    push(item: Queued): void {
      let i = heap.push(item) - 1;
      for (let parent = (i - 1) >> 1; i > 0 && isBefore(heap[i]!, heap[parent]!); parent = (i - 1) >> 1) {
        swap(i, parent);
        i = parent;
      }
    },
    pop(): Queued | undefined {
      if (heap.length < 2) return heap.pop();
      const top = heap[0]!;
      heap[0] = heap.pop()!;
      for (let i = 0; ; ) {
        const [a, b] = [2 * i + 1, 2 * i + 2];
        const child = b < heap.length && isBefore(heap[b]!, heap[a]!) ? b : a;
        if (child >= heap.length || !isBefore(heap[child]!, heap[i]!)) return top;
        swap(i, child);
        i = child;
      }
    },
  };
}

function filesOf(tokens: readonly string[], merges: readonly [string, string][]) {
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const json = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [{ id: 0, content: END_OF_TEXT, ...special }],
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel] },
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: END_OF_TEXT,
    eos_token: END_OF_TEXT,
    pad_token: END_OF_TEXT,
    add_bos_token: false,
    clean_up_tokenization_spaces: false,
  };
  return { json, config };
}
