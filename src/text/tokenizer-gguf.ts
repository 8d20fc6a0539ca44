import { nearestName, TunesmithError } from '../errors/index.ts';
import { BYTES_ONLY, GPT2_PATTERN, inSequence, splitBy } from './pre-tokenizers.ts';
import type { Tokenizer } from './tokenizer.ts';
import { tokenizerFromJson } from './tokenizer-json.ts';

type Metadata = Readonly<Record<string, unknown>>;
type Json = Readonly<Record<string, unknown>>;

const LLAMA3_PATTERN =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const QWEN2_PATTERN = LLAMA3_PATTERN.replace('\\p{N}{1,3}', '\\p{N}');
const UPPER = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const LOWER = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
const TEKKEN_PATTERN = `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

/** How `tokenizer.ggml.pre` splits text, and what else follows from it. */
interface PreTokenizer {
  /** Applied one after the other; what matches becomes a piece of its own. */
  readonly patterns: readonly string[];
  /** A piece that is a token is not merged from its bytes. */
  readonly ignoreMerges?: true;
  readonly normalizer?: Json;
  /** Whether a BOS goes before text where the file does not say. */
  readonly addsBos?: true;
}

const GPT2: PreTokenizer = { patterns: [GPT2_PATTERN] };
/** Each digit is a piece of its own. */
const DIGITS: PreTokenizer = { patterns: ['\\p{N}', GPT2_PATTERN] };
const LLAMA3: PreTokenizer = { patterns: [LLAMA3_PATTERN], ignoreMerges: true, addsBos: true };
const QWEN2: PreTokenizer = { patterns: [QWEN2_PATTERN], normalizer: { type: 'NFC' } };

/** The known values of `tokenizer.ggml.pre`, from the models' own tokenizer.json. */
const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map([
  ['default', GPT2],
  ['gpt-2', GPT2],
  ['phi-2', GPT2],
  ['olmo', GPT2],
  ['mpt', GPT2],
  ['smollm', DIGITS],
  ['starcoder', DIGITS],
  ['llama3', LLAMA3],
  ['llama-v3', LLAMA3],
  ['llama-bpe', LLAMA3],
  ['qwen2', QWEN2],
  ['tekken', { patterns: [TEKKEN_PATTERN], ignoreMerges: true, addsBos: true }],
]);

/** GGUF's kinds of tokens. */
const TOKEN_TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** The vocabulary of a GGUF file. */
interface Vocabulary {
  readonly tokens: readonly string[];
  readonly types: readonly number[];
}

/**
 * Builds a tokenizer from GGUF metadata: `tokenizer.ggml.model` gpt2 (byte-level BPE) and llama (SentencePiece-style BPE).
 *
 * @throws TOKENIZER_INVALID if keys are missing or broken, TOKENIZER_UNSUPPORTED for another model, TOKENIZER_PRE_UNKNOWN
 */
export function tokenizerFromGguf(metadata: Metadata): Tokenizer {
  const { json, config } = tokenizerJsonFromGguf(metadata);
  return tokenizerFromJson(json, config);
}

/** The tokenizer.json and tokenizer_config.json that GGUF metadata amounts to. */
export function tokenizerJsonFromGguf(metadata: Metadata): { readonly json: Json; readonly config: Json } {
  const model = metadata['tokenizer.ggml.model'];
  const vocabulary = readVocabulary(metadata);
  switch (model) {
    case 'gpt2':
      return fromByteLevel(metadata, vocabulary);
    case 'llama':
      return fromSentencePiece(metadata, vocabulary);
    default: {
      const message = `tokenizer.ggml.model is ${JSON.stringify(model ?? null)}, not "gpt2" or "llama".`;
      throw new TunesmithError('TOKENIZER_UNSUPPORTED', { message });
    }
  }
}

/** The chat template in GGUF metadata, if there is one. */
export function chatTemplateFromGguf(metadata: Metadata): string | undefined {
  const source = metadata['tokenizer.chat_template'];
  return typeof source === 'string' ? source : undefined;
}

function invalid(message: string): TunesmithError {
  return new TunesmithError('TOKENIZER_INVALID', { message });
}

function readVocabulary(metadata: Metadata): Vocabulary {
  const tokens = metadata['tokenizer.ggml.tokens'];
  if (!isStrings(tokens) || tokens.length === 0) throw invalid('tokenizer.ggml.tokens is not a list of tokens.');
  const types = metadata['tokenizer.ggml.token_type'] ?? tokens.map(() => TOKEN_TYPE.normal);
  if (!isNumbers(types) || types.length !== tokens.length) {
    throw invalid('tokenizer.ggml.token_type does not have a number for each token.');
  }
  return { tokens, types };
}

const isStrings = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((x) => typeof x === 'string');
const isNumbers = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.every((x) => typeof x === 'number');

function fromByteLevel(metadata: Metadata, vocabulary: Vocabulary): { readonly json: Json; readonly config: Json } {
  const pre = preTokenizer(metadata['tokenizer.ggml.pre']);
  const merges = metadata['tokenizer.ggml.merges'];
  if (!isStrings(merges)) throw invalid('tokenizer.ggml.merges is not a list of merges.');
  const ignore_merges = pre.ignoreMerges === true;
  const json = {
    model: { type: 'BPE', vocab: vocabOf(vocabulary), merges, ignore_merges },
    added_tokens: addedTokens(vocabulary),
    normalizer: pre.normalizer ?? null,
    pre_tokenizer: inSequence([...pre.patterns.map(splitBy), BYTES_ONLY]),
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
  };
  return { json, config: configOf(metadata, vocabulary, pre.addsBos === true) };
}

function preTokenizer(name: unknown): PreTokenizer {
  const known = typeof name === 'string' ? PRE_TOKENIZERS.get(name) : undefined;
  if (known !== undefined) return known;
  const names = [...PRE_TOKENIZERS.keys()];
  if (typeof name !== 'string') {
    throw new TunesmithError('TOKENIZER_PRE_UNKNOWN', { message: 'the file has no tokenizer.ggml.pre.' });
  }
  const nearest = nearestName(name, names);
  const hint = nearest === undefined ? '' : ` The nearest is ${nearest}.`;
  const message = `tokenizer.ggml.pre is ${JSON.stringify(name)}, which is none of ${names.join(', ')}.${hint}`;
  throw new TunesmithError('TOKENIZER_PRE_UNKNOWN', { message });
}

/** Repeated tokens, which some files have as padding, keep their first id. */
function vocabOf({ tokens }: Vocabulary): Record<string, number> {
  const vocab = new Map<string, number>();
  for (const [id, token] of tokens.entries()) if (!vocab.has(token)) vocab.set(token, id);
  return Object.fromEntries(vocab);
}

function addedTokens({ tokens, types }: Vocabulary): Json[] {
  return types.flatMap((type, id) => {
    if (type !== TOKEN_TYPE.control && type !== TOKEN_TYPE.userDefined && type !== TOKEN_TYPE.unknown) return [];
    const content = tokens[id]!;
    const special = type !== TOKEN_TYPE.userDefined;
    return content === ''
      ? []
      : [{ id, content, special, normalized: false, lstrip: false, rstrip: false, single_word: false }];
  });
}

function configOf(metadata: Metadata, { tokens }: Vocabulary, addsBosByDefault: boolean): Json {
  const token = (key: string): string | undefined => {
    const id = metadata[`tokenizer.ggml.${key}_token_id`];
    if (id === undefined) return undefined;
    const text = typeof id === 'number' ? tokens[id] : undefined;
    if (text === undefined) throw invalid(`tokenizer.ggml.${key}_token_id is ${id}, which is no token.`);
    return text;
  };
  const explicit = metadata['tokenizer.ggml.add_bos_token'];
  return {
    bos_token: token('bos'),
    eos_token: token('eos'),
    unk_token: token('unknown'),
    pad_token: token('padding'),
    add_bos_token: typeof explicit === 'boolean' ? explicit : addsBosByDefault,
  };
}

function fromSentencePiece(metadata: Metadata, vocabulary: Vocabulary): { readonly json: Json; readonly config: Json } {
  const scores = metadata['tokenizer.ggml.scores'];
  if (!isNumbers(scores) || scores.length !== vocabulary.tokens.length) {
    throw invalid('tokenizer.ggml.scores does not have a number for each token.');
  }
  const prefix = metadata['tokenizer.ggml.add_space_prefix'] !== false;
  const unknown = metadata['tokenizer.ggml.unknown_token_id'] ?? vocabulary.types.indexOf(TOKEN_TYPE.unknown);
  const unk_token = vocabulary.tokens[Number(unknown)] ?? null;
  const merges = mergesFromScores(vocabulary, scores);
  const json = {
    model: {
      type: 'BPE',
      vocab: vocabOf(vocabulary),
      merges,
      unk_token,
      fuse_unk: unk_token !== null,
      byte_fallback: true,
    },
    added_tokens: addedTokens(vocabulary),
    normalizer: { type: 'Sequence', normalizers: [...(prefix ? [PREPEND] : []), SPACES] },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [UNSPACES, { type: 'ByteFallback' }, { type: 'Fuse' }, ...(prefix ? [STRIP] : [])],
    },
  };
  return { json, config: configOf(metadata, vocabulary, true) };
}

const PREPEND: Json = { type: 'Prepend', prepend: '\u2581' };
const SPACES: Json = { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' };
const UNSPACES: Json = { type: 'Replace', pattern: { String: '\u2581' }, content: ' ' };
const STRIP: Json = { type: 'Strip', content: ' ', start: 1, stop: 0 };

/**
 * Turns SentencePiece's scores into merges: every way to put a piece together from two pieces, the best piece first, as transformers converts
 * them. Only normal pieces are merged; the others are matched whole or stand for bytes.
 */
function mergesFromScores({ tokens, types }: Vocabulary, scores: readonly number[]): [string, string][] {
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) {
    if (types[id] === TOKEN_TYPE.normal && !ids.has(token)) ids.set(token, id);
  }
  const merges: { readonly pair: [string, string]; readonly score: number }[] = [];
  const length = (text: string) => [...text].length;
  for (const [token, id] of ids) {
    const ways: [string, string][] = [];
    for (let at = 1; at < token.length; at++) {
      const [left, right] = [token.slice(0, at), token.slice(at)];
      if (ids.has(left) && ids.has(right)) ways.push([left, right]);
    }
    ways.sort((a, b) => ids.get(a[0])! - ids.get(b[0])! || ids.get(a[1])! - ids.get(b[1])!);
    for (const pair of ways) merges.push({ pair, score: scores[id]! });
  }
  const byScore = merges.sort(
    (a, b) => b.score - a.score || length(b.pair[0]) - length(a.pair[0]) || length(b.pair[1]) - length(a.pair[1]),
  );
  return byScore.map((m) => m.pair);
}
