import { Tokenizer as Library } from '@huggingface/tokenizers';
import { TunesmithError } from '../errors/index.ts';
import { isRecord } from '../io/json-checks.ts';
import { createDecoder } from './decoder.ts';
import { arrayOf, stringOf } from './json.ts';
import { exactPreTokenizer } from './pre-tokenizers.ts';
import type { Tokenizer } from './tokenizer.ts';

type Json = Readonly<Record<string, unknown>>;

/** A token that is found in text before anything else is split. */
interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly single_word: boolean;
  readonly normalized: boolean;
}

/** What a tokenizer is built from, after checks. */
interface Parts {
  readonly model: Json;
  readonly vocab: ReadonlyMap<string, number>;
  readonly added: readonly AddedToken[];
  readonly normalizer: Json | null;
  readonly preTokenizer: Json | null;
  readonly decoder: unknown;
  readonly postProcessor: unknown;
  readonly config: Json;
}

/**
 * Builds a tokenizer from a parsed tokenizer.json and tokenizer_config.json (undefined if there is none): byte-level BPE and
 * SentencePiece-style BPE.
 *
 * Special tokens of tokenizer_config.json that tokenizer.json does not list are added, as transformers does.
 *
 * @throws TOKENIZER_INVALID if a part is missing or broken, TOKENIZER_UNSUPPORTED if a part is of a kind that can't be computed exactly
 */
export function tokenizerFromJson(tokenizerJson: unknown, tokenizerConfig: unknown): Tokenizer {
  const parts = readParts(tokenizerJson, tokenizerConfig);
  try {
    return buildTokenizer(parts);
  } catch (cause) {
    if (cause instanceof TunesmithError) throw cause;
    throw new TunesmithError('TOKENIZER_INVALID', {
      message: `the tokenizer does not load: ${messageOf(cause)}.`,
      cause,
    });
  }
}

const messageOf = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause));

function invalid(message: string): TunesmithError {
  return new TunesmithError('TOKENIZER_INVALID', { message });
}

function unsupported<T>(build: () => T): T {
  try {
    return build();
  } catch (cause) {
    throw new TunesmithError('TOKENIZER_UNSUPPORTED', {
      message: `the tokenizer is not known: ${messageOf(cause)}.`,
      cause,
    });
  }
}

function readParts(tokenizerJson: unknown, tokenizerConfig: unknown): Parts {
  if (!isRecord(tokenizerJson)) throw invalid('tokenizer.json is not an object.');
  if (tokenizerConfig !== undefined && tokenizerConfig !== null && !isRecord(tokenizerConfig)) {
    throw invalid('tokenizer_config.json is not an object.');
  }
  const config = tokenizerConfig ?? {};
  const model = readModel(tokenizerJson.model);
  const vocab = readVocab(model.vocab);
  checkMerges(model.merges, vocab);
  return {
    model,
    vocab,
    added: withConfigTokens(arrayOf(tokenizerJson.added_tokens).map(readAdded), config, vocab),
    normalizer: unsupported(() => exactNormalizer(tokenizerJson.normalizer)),
    preTokenizer: unsupported(() => exactPreTokenizer(tokenizerJson.pre_tokenizer)),
    decoder: tokenizerJson.decoder,
    postProcessor: tokenizerJson.post_processor,
    config,
  };
}

function readModel(model: unknown): Json {
  if (!isRecord(model)) throw invalid('tokenizer.json has no model.');
  const isBpe = model.type === 'BPE' || (model.type === undefined && Array.isArray(model.merges));
  if (!isBpe) {
    const type = JSON.stringify(model.type ?? null);
    throw new TunesmithError('TOKENIZER_UNSUPPORTED', { message: `the tokenizer's model is ${type}, not "BPE".` });
  }
  for (const key of ['continuing_subword_prefix', 'end_of_word_suffix']) {
    if (model[key] !== undefined && model[key] !== null && model[key] !== '') {
      throw new TunesmithError('TOKENIZER_UNSUPPORTED', { message: `the tokenizer's model has a ${key}.` });
    }
  }
  return { ...model, type: 'BPE' };
}

/** Every merge joins two tokens of the vocabulary into a third; others would lose text without a word. */
function checkMerges(merges: unknown, vocab: ReadonlyMap<string, number>): void {
  if (!Array.isArray(merges)) throw invalid('tokenizer.json has no merges.');
  for (const merge of merges) {
    const pair: unknown = typeof merge === 'string' ? merge.split(' ') : merge;
    const [left, right] = Array.isArray(pair) && pair.length === 2 ? pair : [];
    if (typeof left !== 'string' || typeof right !== 'string') {
      throw invalid(`the merge ${JSON.stringify(merge)} of tokenizer.json is not a pair of tokens.`);
    }
    if (!vocab.has(left) || !vocab.has(right) || !vocab.has(left + right)) {
      throw invalid(`the merge ${JSON.stringify(merge)} of tokenizer.json is not of tokens of the vocabulary.`);
    }
  }
}

function readVocab(vocab: unknown): ReadonlyMap<string, number> {
  if (!isRecord(vocab)) throw invalid('the vocabulary of tokenizer.json is not an object.');
  const map = new Map<string, number>();
  const ids = new Set<number>();
  for (const [token, id] of Object.entries(vocab)) {
    if (!isId(id)) throw invalid(`the token ${JSON.stringify(token)} of tokenizer.json has no id.`);
    if (ids.has(id)) throw invalid(`two tokens of tokenizer.json have the id ${id}.`);
    ids.add(id);
    map.set(token, id);
  }
  return map;
}

/** No vocabulary comes near 2^24; a larger id would only eat memory. */
function isId(id: unknown): id is number {
  return typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < 2 ** 24;
}

function readAdded(token: unknown): AddedToken {
  if (!isRecord(token) || !isId(token.id) || typeof token.content !== 'string' || token.content === '') {
    throw invalid('an added token of tokenizer.json has no id or no content.');
  }
  const special = token.special === true;
  return {
    id: token.id,
    content: token.content,
    special,
    lstrip: token.lstrip === true,
    rstrip: token.rstrip === true,
    single_word: token.single_word === true,
    normalized: token.normalized === undefined ? !special : token.normalized === true,
  };
}

/** Names of the tokens that tokenizer_config.json gives a role. */
const ROLE_KEYS = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'] as const;

/** The text of a token of tokenizer_config.json, which is a string or an object with `content`. */
function tokenText(value: unknown): string | undefined {
  return isRecord(value) ? stringOf(value.content) : stringOf(value);
}

/** Adds the tokens that only tokenizer_config.json lists, in the order and with the ids that transformers gives them. */
function withConfigTokens(
  added: readonly AddedToken[],
  config: Json,
  vocab: ReadonlyMap<string, number>,
): readonly AddedToken[] {
  const all = new Map(added.map((t) => [t.content, t]));
  const decoder = isRecord(config.added_tokens_decoder) ? Object.entries(config.added_tokens_decoder) : [];
  for (const [id, token] of decoder) {
    const entry = isRecord(token) ? readAdded({ ...token, id: Number(id) }) : undefined;
    if (entry !== undefined && !all.has(entry.content)) all.set(entry.content, entry);
  }
  const named = [...ROLE_KEYS.map((key) => config[key]), ...arrayOf(config.additional_special_tokens)];
  let next = 1 + [...vocab.values(), ...[...all.values()].map((t) => t.id)].reduce((a, b) => Math.max(a, b), -1);
  for (const value of named) {
    const content = tokenText(value);
    if (content === undefined || content === '') continue;
    const known = all.get(content);
    if (known === undefined) {
      const id = vocab.get(content) ?? next++;
      all.set(content, readAdded({ ...(isRecord(value) ? value : {}), id, content, special: true }));
    } else if (!known.special) all.set(content, { ...known, special: true });
  }
  return [...all.values()];
}

const NORMALIZERS: ReadonlySet<unknown> = new Set([
  'NFC',
  'NFD',
  'NFKC',
  'NFKD',
  'Prepend',
  'Replace',
  'Strip',
  'Lowercase',
]);

function exactNormalizer(config: unknown): Json | null {
  if (config === null || config === undefined) return null;
  if (!isRecord(config)) throw new Error('its normalizer is not an object');
  if (config.type === 'Sequence') {
    const normalizers = arrayOf(config.normalizers).map(exactNormalizer);
    return { type: 'Sequence', normalizers: normalizers.filter((n) => n !== null) };
  }
  if (!NORMALIZERS.has(config.type)) throw new Error(`its normalizer ${JSON.stringify(config.type)} is not known`);
  return config;
}

function buildTokenizer(parts: Parts): Tokenizer {
  const library = createLibrary(parts);
  const decode = unsupported(() => createDecoder(parts.decoder));
  const tokens = tokensById(parts);
  const special = new Set(parts.added.filter((t) => t.special).map((t) => t.id));
  const ids = new Map([...parts.vocab, ...parts.added.map((t) => [t.content, t.id] as const)]);
  const role = (key: string) => ids.get(tokenText(parts.config[key]) ?? '');
  const bosId = role('bos_token');
  const encode = (text: string) => encodeWith(library, text);
  return {
    vocabSize: tokens.length,
    bosId,
    eosId: role('eos_token'),
    padId: role('pad_token'),
    addsBos: bosId !== undefined && addsBos(parts),
    specialIds: special,
    encode,
    ...encodeAfter(parts, encode),
    decode: (list, options) => {
      const shown = options?.skipSpecialTokens === true ? list.filter((id) => !special.has(id)) : list;
      return decode(shown.map((id) => tokens[id]).filter((t) => t !== undefined));
    },
    tokenToId: (token) => ids.get(token),
    idToToken: (id) => tokens[id],
  };
}

function createLibrary(parts: Parts): Library {
  const { model, added, normalizer, preTokenizer: pre_tokenizer } = parts;
  // Fields that the library does not need are left out: it must neither add tokens nor tidy up text.
  return new Library(
    { model, added_tokens: added, normalizer, pre_tokenizer, post_processor: null, decoder: null },
    { clean_up_tokenization_spaces: false },
  );
}

function tokensById(parts: Parts): readonly (string | undefined)[] {
  const tokens: (string | undefined)[] = [];
  for (const [token, id] of parts.vocab) tokens[id] = token;
  for (const { content, id } of parts.added) tokens[id] = content;
  return tokens;
}

/** Where a tokenizer puts a space before the first word: nowhere, at the start of the text, or after each added token too. */
type PrefixScheme = 'never' | 'first' | 'always';

function prefixScheme(parts: Parts): PrefixScheme {
  const text = JSON.stringify([parts.normalizer, parts.preTokenizer]);
  if (text.includes('"type":"Prepend"') || text.includes('"prepend_scheme":"always"')) return 'always';
  return text.includes('"prepend_scheme":"first"') ? 'first' : 'never';
}

function encodeAfter(parts: Parts, encode: (text: string) => number[]): Pick<Tokenizer, 'encodeAfter'> {
  const scheme = prefixScheme(parts);
  const addedIds = new Set(parts.added.map((t) => t.id));
  const eatsSpace = new Set(parts.added.filter((t) => t.rstrip).map((t) => t.id));
  if (scheme === 'never' && eatsSpace.size === 0) return {};
  let bare: Library | undefined;
  const encodeBare = (text: string): number[] => {
    if (scheme === 'never') return encode(text);
    bare ??= createLibrary({
      ...parts,
      normalizer: withoutPrefix(parts.normalizer),
      preTokenizer: withoutPrefix(parts.preTokenizer),
    });
    return encodeWith(bare, text);
  };
  return {
    encodeAfter: (given, previousId) => {
      const text = eatsSpace.has(previousId) ? given.trimStart() : given;
      if (scheme === 'always' && addedIds.has(previousId)) return encode(text);
      const first = encodeBare(text);
      const until = scheme === 'always' ? first.findIndex((id) => addedIds.has(id)) : -1;
      if (until < 0) return first;
      // Only the text before the first added token follows `previousId`; what comes after one has its space.
      const full = encode(text);
      return [...first.slice(0, until), ...full.slice(full.findIndex((id) => addedIds.has(id)))];
    },
  };
}

function encodeWith(library: Library, text: string): number[] {
  return library.encode(text, { add_special_tokens: false }).ids;
}

function withoutPrefix(config: Json | null): Json | null {
  if (config === null) return null;
  const list = (key: string) =>
    arrayOf(config[key])
      .filter(isRecord)
      .map(withoutPrefix)
      .filter((c) => c !== null);
  if (config.normalizers !== undefined) return { ...config, normalizers: list('normalizers') };
  if (config.pretokenizers !== undefined) return { ...config, pretokenizers: list('pretokenizers') };
  if (config.type === 'Prepend') return null;
  return config.type === 'Metaspace' ? { ...config, prepend_scheme: 'never' } : config;
}

/** Whether transformers puts a BOS before plain text: as tokenizer_config.json says, else as the post-processor does. */
function addsBos(parts: Parts): boolean {
  const explicit = parts.config.add_bos_token;
  if (typeof explicit === 'boolean') return explicit;
  const bos = tokenText(parts.config.bos_token);
  const startsWithBos = (processor: unknown): boolean => {
    if (!isRecord(processor)) return false;
    if (processor.type === 'Sequence') return arrayOf(processor.processors).some(startsWithBos);
    if (processor.type === 'RobertaProcessing' || processor.type === 'BertProcessing') {
      return arrayOf(processor.cls)[0] === bos;
    }
    const [first] = arrayOf(processor.single);
    const token = isRecord(first) && isRecord(first.SpecialToken) ? first.SpecialToken.id : undefined;
    return processor.type === 'TemplateProcessing' && token === bos;
  };
  return startsWithBos(parts.postProcessor);
}
