import { join } from 'node:path';
import { TunesmithError } from '../errors/index.ts';
import { fileExists, readJson, readStoredRows, type StoredTensor, withRows, writeAtomic } from '../io/index.ts';
import { isRecord, quoted } from '../io/json-checks.ts';
import { addToText } from '../text/added-tokens.ts';
import { openText, type TextFiles, type Tokenizer } from '../text/index.ts';
import { outerTensors } from './architectures.ts';
import type { ModelSource } from './source.ts';

/** What a folder calls the tokens that go with its adapter, as transformers does: ids by text. */
const FILE = 'added_tokens.json';

/**
 * A model with new tokens: its tokenizer finds them in text, and its embedding (and a head of its own) has a row for each, which begins as the mean of
 * the rows of the tokens that the text was made of before. Rows that a model has beyond its tokenizer are used first.
 *
 * @throws TOKEN_ADDED for a text that is no new token, TOKENIZER_MISSING, TOKENIZER_MISMATCH
 */
export function withAddedTokens(source: ModelSource, texts: readonly string[]): ModelSource {
  if (texts.length === 0) return source;
  const { path, config, text: files } = source;
  if (files === undefined)
    throw new TunesmithError('TOKENIZER_MISSING', { file: path, message: 'holds no tokenizer.' });
  const before = tokenizerOf(files);
  requireNew(texts, before);
  const first = firstId(files, before);
  if (first > config.vocabSize) {
    const message = `has ${first} tokens and ${config.vocabSize} rows in its embedding, so that new tokens have no place.`;
    throw new TunesmithError('TOKENIZER_MISMATCH', { file: path, message });
  }
  const text = addToText(files, texts, first);
  requireFound(texts, first, before, tokenizerOf(text));
  const vocabSize = Math.max(config.vocabSize, first + texts.length);
  const ids = texts.map((_, i) => first + i);
  const pieces = texts.map((one) => before.encode(one));
  const tensors = new Map(source.tensors);
  for (const { name, hf } of outerTensors(config)) {
    if (name !== 'embed' && name !== 'head') continue;
    const stored = tensors.get(hf)!;
    tensors.set(hf, withRows(stored, vocabSize, ids, meanRows(stored, pieces)));
  }
  return { ...source, config: { ...config, vocabSize }, text, tensors, added: { first, texts } };
}

function tokenizerOf(files: TextFiles): Tokenizer {
  return openText(files, { now: new Date(0) }).tokenizer;
}

/** A GGUF file lists a token for each row. */
function firstId(files: TextFiles, { vocabSize }: Tokenizer): number {
  const listed = files.kind === 'gguf' ? files.metadata['tokenizer.ggml.tokens'] : undefined;
  return Array.isArray(listed) ? listed.length : vocabSize;
}

function refused(text: string, message: string): TunesmithError {
  return new TunesmithError('TOKEN_ADDED', { message: `${quoted(text)} ${message}` });
}

/** @throws TOKEN_ADDED */
function requireNew(texts: readonly string[], tokenizer: Tokenizer): void {
  for (const [i, text] of texts.entries()) {
    if (text.trim() === '') throw refused(text, 'is empty.');
    if (texts.indexOf(text) < i) throw refused(text, 'stands twice among the new tokens.');
    const known = tokenizer.tokenToId(text);
    if (known !== undefined) throw refused(text, `is a token of the model already, of id ${known}.`);
    const pieces = tokenizer.encode(text);
    if (pieces.length === 1) throw refused(text, `is one token of the model already, of id ${pieces[0]}.`);
    if (pieces.length === 0)
      throw refused(text, 'is nothing to the tokenizer, so that its row has nothing to begin as.');
  }
}

/** @throws TOKEN_ADDED for what would not be found in text, or not come out of it as it went in */
function requireFound(texts: readonly string[], first: number, before: Tokenizer, after: Tokenizer): void {
  const moved = [...before.specialIds].find((id) => after.idToToken(id) !== before.idToToken(id));
  for (const [i, text] of texts.entries()) {
    const id = first + i;
    const isFound = after.tokenToId(text) === id && String(after.encode(text)) === String([id]);
    if (moved !== undefined || !isFound) throw refused(text, 'cannot be told apart from the tokens of this tokenizer.');
    if (after.decode([id]).trim() === text.trim()) continue;
    throw refused(text, `would be written as ${quoted(after.decode([id]))} by this tokenizer: use letters of ASCII.`);
  }
}

/** The mean row of each list of ids. */
function meanRows(stored: StoredTensor, lists: readonly (readonly number[])[]): Float32Array {
  const width = stored.shape[1]!;
  const means = new Float32Array(lists.length * width);
  for (const [i, ids] of lists.entries()) {
    const sum = new Float64Array(width);
    for (const id of ids) for (const [d, value] of readStoredRows(stored, id, 1).entries()) sum[d]! += value;
    means.set(
      sum.map((value) => value / ids.length),
      i * width,
    );
  }
  return means;
}

/**
 * A model with the tokens that an adapter's folder brings; those that it has already change nothing.
 *
 * @throws ADAPTER_CONFIG, ADAPTER_MISMATCH, TOKEN_ADDED
 */
export function withTokensOf(source: ModelSource, folder: string | undefined): ModelSource {
  const file = folder === undefined ? undefined : join(folder, FILE);
  if (file === undefined || !fileExists(file) || source.text === undefined) return source;
  const first = firstId(source.text, tokenizerOf(source.text));
  const fresh = readIds(file)
    .filter(([, id]) => id >= first)
    .sort(([, a], [, b]) => a - b);
  const wrong = fresh.find(([, id], i) => id !== first + i);
  if (wrong === undefined) {
    return withAddedTokens(
      source,
      fresh.map(([text]) => text),
    );
  }
  throw new TunesmithError('ADAPTER_MISMATCH', {
    file,
    message: `gives ${quoted(wrong[0])} the id ${wrong[1]}, and new tokens of this model begin at ${first}.`,
  });
}

/** @throws ADAPTER_CONFIG */
function readIds(file: string): (readonly [text: string, id: number])[] {
  const json = readJson(file);
  const entries = isRecord(json) ? Object.entries(json) : [];
  if (isRecord(json) && entries.every(([, id]) => Number.isInteger(id))) return entries as [string, number][];
  throw new TunesmithError('ADAPTER_CONFIG', { file, message: 'is not an object of ids by token.' });
}

/** Writes the tokens that belong to an adapter beside it. */
export function writeAddedTokens(folder: string, { added }: Pick<ModelSource, 'added'>): void {
  if (added === undefined) return;
  const ids = Object.fromEntries(added.texts.map((text, i) => [text, added.first + i]));
  writeAtomic(join(folder, FILE), `${JSON.stringify(ids, null, 2)}\n`);
}

/** Writes the files of a Hugging Face folder that new tokens change, over those of the model without. */
export function writeGrownText(folder: string, { added, text, config }: ModelSource): void {
  if (added === undefined || text?.kind !== 'hf') return;
  const write = (name: string, value: unknown) =>
    writeAtomic(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  write('tokenizer.json', text.tokenizerJson);
  write('tokenizer_config.json', text.tokenizerConfig);
  const file = join(folder, 'config.json');
  if (fileExists(file)) write('config.json', { ...(readJson(file) as object), vocab_size: config.vocabSize });
}
