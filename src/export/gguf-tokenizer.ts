import { TunesmithError } from '../errors/index.ts';
import { readGguf } from '../io/gguf.ts';
import type { GgufField } from '../io/gguf-write.ts';
import { isRecord } from '../io/json-checks.ts';
import { endOfTurn, type TextTools, type Tokenizer, tokenizerFromGguf } from '../text/index.ts';
import type { GgufFields } from './gguf-architecture.ts';
import type { ExportJob } from './types.ts';

type Json = Readonly<Record<string, unknown>>;

/** GGUF's kinds of tokens. */
const KIND = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Pre-tokenizers of byte-level BPE that llama.cpp and our reader split alike. */
const PRE_TOKENIZERS = ['gpt-2', 'smollm', 'llama-bpe', 'qwen2', 'tekken'] as const;

/** Texts at which the pre-tokenizers part ways. */
const PROBES = [
  "It's 1234567 o'clock, I'LL wait; they've 3.14159 reasons\n\n  and\tmore...\r\n   ",
  'naïve Ünïcode ΑΒΓ привет こんにちは世界 ١٢٣ ½ ² 한국어 e\u0301',
  'function f(x) {\n    return x[0] + "--" + x?.y;\n}\n\n\n// end !!!\n/path/to/file',
  'camelCase HTTPServer XMLHttpRequest ABCdef \u00a0 \u3000x',
] as const;

/** The `tokenizer.*` keys of a model. @throws EXPORT_UNSUPPORTED for a tokenizer that GGUF has no words for */
export function tokenizerFields(job: ExportJob): GgufFields {
  const { source, tools } = job;
  const { tokenizer } = tools;
  if (source.text === undefined || tokenizer === undefined) throw unsupported(job, 'has no tokenizer');
  if (source.text.kind === 'gguf') return copiedFields(source.path, source.text.metadata);
  const { tokenizerJson, tokenizerConfig } = source.text;
  const model = isRecord(tokenizerJson) && isRecord(tokenizerJson.model) ? tokenizerJson.model : {};
  const vocabulary = readVocabulary(tokenizerJson, tokenizer, source.config.vocabSize);
  const fields =
    model.byte_fallback === true
      ? sentencePiece(vocabulary, mergesOf(model), JSON.stringify(tokenizerJson))
      : byteLevel(job, vocabulary, mergesOf(model), tokenizer, tokenizerConfig);
  return { ...fields, ...roleFields(tokenizer, tools) };
}

/** Of a GGUF file the keys go over as they are. */
function copiedFields(path: string, metadata: Json): GgufFields {
  const { types } = readGguf(path);
  const own = Object.entries(metadata).filter(
    ([key]) => key.startsWith('tokenizer.') && !key.includes('chat_template'),
  );
  return Object.fromEntries(
    own.flatMap(([key, value]): [string, GgufField][] => {
      const type = types[key];
      return type === undefined || type === 'array[]' ? [] : [[key, { type, value } as GgufField]];
    }),
  );
}

interface Vocabulary {
  readonly tokens: readonly string[];
  readonly kinds: readonly number[];
}

/** Tokens by id, as many as the embedding has rows: llama.cpp wants both to be the same. */
function readVocabulary(json: unknown, tokenizer: Tokenizer, rows: number): Vocabulary {
  const added = isRecord(json) && Array.isArray(json.added_tokens) ? json.added_tokens.filter(isRecord) : [];
  const isAdded = new Set(added.map((token) => token.id));
  const unknown = isRecord(json) && isRecord(json.model) ? json.model.unk_token : undefined;
  const tokens: string[] = [];
  const kinds: number[] = [];
  for (let id = 0; id < Math.max(rows, tokenizer.vocabSize); id++) {
    const token = tokenizer.idToToken(id);
    tokens.push(token ?? `[PAD${id}]`);
    if (token === undefined) kinds.push(KIND.unused);
    else if (token === unknown) kinds.push(KIND.unknown);
    else if (tokenizer.specialIds.has(id)) kinds.push(KIND.control);
    else if (isAdded.has(id)) kinds.push(KIND.userDefined);
    else kinds.push(KIND.normal);
  }
  return { tokens, kinds };
}

/** Merges as `left right`, whichever way tokenizer.json has them. */
function mergesOf({ merges }: Json): readonly (readonly [string, string])[] {
  if (!Array.isArray(merges)) return [];
  return merges.map((merge: unknown) => {
    const [left = '', right = ''] = typeof merge === 'string' ? merge.split(' ') : (merge as string[]);
    return [left, right] as const;
  });
}

const strings = (value: readonly string[]): GgufField => ({ type: 'string[]', value });
const numbers = (value: readonly number[], type: 'i32[]' | 'f32[]'): GgufField => ({ type, value });

/** GPT-2's kind. Which pre-tokenizer it has is found by trying: the first that splits the probing texts alike. */
function byteLevel(
  job: ExportJob,
  { tokens, kinds }: Vocabulary,
  merges: readonly (readonly [string, string])[],
  tokenizer: Tokenizer,
  config: unknown,
): GgufFields {
  const fields = (pre: string): GgufFields => ({
    'tokenizer.ggml.model': { type: 'string', value: 'gpt2' },
    'tokenizer.ggml.pre': { type: 'string', value: pre },
    'tokenizer.ggml.tokens': strings(tokens),
    'tokenizer.ggml.token_type': numbers(kinds, 'i32[]'),
    'tokenizer.ggml.merges': strings(merges.map((pair) => pair.join(' '))),
  });
  const wanted = JSON.stringify(PROBES.map((text) => tokenizer.encode(text)));
  for (const pre of PRE_TOKENIZERS) {
    const candidate = tokenizerFromGguf(valuesOf(fields(pre)));
    if (JSON.stringify(PROBES.map((text) => candidate.encode(text))) === wanted) return fields(pre);
  }
  const kind = isRecord(config) && typeof config.tokenizer_class === 'string' ? ` (${config.tokenizer_class})` : '';
  throw unsupported(job, `has a tokenizer${kind} that splits text like none of ${PRE_TOKENIZERS.join(', ')}`);
}

/** SentencePiece's kind: a piece's score is the rank of the merge that makes it, so that the best pair is the one that BPE merges first. */
function sentencePiece(
  { tokens, kinds }: Vocabulary,
  merges: readonly (readonly [string, string])[],
  json: string,
): GgufFields {
  const ranks = new Map<string, number>();
  for (const [rank, [left, right]] of merges.entries()) if (!ranks.has(left + right)) ranks.set(left + right, rank);
  const isByte = (token: string) => /^<0x[0-9A-F]{2}>$/.test(token);
  const prefix = json.includes('"type":"Prepend"') || /"prepend_scheme":"(first|always)"/.test(json);
  return {
    'tokenizer.ggml.model': { type: 'string', value: 'llama' },
    'tokenizer.ggml.pre': { type: 'string', value: 'default' },
    'tokenizer.ggml.tokens': strings(tokens),
    'tokenizer.ggml.token_type': numbers(
      kinds.map((kind, id) => (kind === KIND.normal && isByte(tokens[id]!) ? KIND.byte : kind)),
      'i32[]',
    ),
    'tokenizer.ggml.scores': numbers(
      tokens.map((token, id) => (kinds[id] === KIND.normal ? -(ranks.get(token) ?? merges.length) : 0)),
      'f32[]',
    ),
    'tokenizer.ggml.add_space_prefix': { type: 'bool', value: prefix },
  };
}

/** Which tokens begin, end and fill a sequence, and which ends a turn. */
function roleFields(tokenizer: Tokenizer, { template }: Partial<TextTools>): GgufFields {
  const turn = template === undefined ? undefined : endOfTurn(template, tokenizer).id;
  const ids = { bos: tokenizer.bosId, eos: tokenizer.eosId ?? turn, padding: tokenizer.padId, eot: turn };
  const named = Object.entries(ids).flatMap(([role, id]): [string, GgufField][] =>
    id === undefined ? [] : [[`tokenizer.ggml.${role}_token_id`, { type: 'u32', value: id }]],
  );
  const flag = (value: boolean): GgufField => ({ type: 'bool', value });
  return {
    ...Object.fromEntries(named),
    'tokenizer.ggml.add_bos_token': flag(tokenizer.addsBos),
    'tokenizer.ggml.add_eos_token': flag(false),
  };
}

/** Metadata as a reader gives it. */
export function valuesOf(fields: GgufFields): Json {
  return Object.fromEntries(Object.entries(fields).map(([key, { value }]) => [key, value]));
}

function unsupported({ source }: ExportJob, what: string): TunesmithError {
  return new TunesmithError('EXPORT_UNSUPPORTED', {
    file: source.path,
    message: `${what}, so no GGUF file can be made of it.`,
    fix: 'export it with --to safetensors',
  });
}
