import { isRecord } from '../io/json-checks.ts';
import { arrayOf } from './json.ts';
import type { TextFiles } from './open-text.ts';

/** GGUF's kind of a token that users define: it is found in text before anything else is split. */
const USER_DEFINED = 4;

/** How each token that is added stands in tokenizer.json: found as it is, and shown like any text. */
const PLAIN = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };

/** The raw material of a tokenizer with new tokens, whose ids begin at `first`. */
export function addToText(files: TextFiles, texts: readonly string[], first: number): TextFiles {
  if (files.kind === 'gguf') return { ...files, metadata: addToMetadata(files.metadata, texts) };
  const { tokenizerJson, tokenizerConfig } = files;
  const added = texts.map((content, i) => ({ id: first + i, content, ...PLAIN }));
  const json = isRecord(tokenizerJson) ? tokenizerJson : {};
  const config = isRecord(tokenizerConfig) ? tokenizerConfig : {};
  const listed = isRecord(config.added_tokens_decoder) ? config.added_tokens_decoder : undefined;
  const decoder = Object.fromEntries(added.map(({ id, ...token }) => [String(id), token]));
  return {
    ...files,
    tokenizerJson: { ...json, added_tokens: [...arrayOf(json.added_tokens), ...added] },
    // Where the config lists added tokens, transformers reads them from there.
    tokenizerConfig: listed === undefined ? config : { ...config, added_tokens_decoder: { ...listed, ...decoder } },
  };
}

function addToMetadata(
  metadata: Readonly<Record<string, unknown>>,
  texts: readonly string[],
): Readonly<Record<string, unknown>> {
  const tokens = arrayOf(metadata['tokenizer.ggml.tokens']);
  const longer = (key: string, value: unknown) => {
    const given = metadata[key];
    return given === undefined
      ? {}
      : { [key]: [...(given as ArrayLike<unknown> & Iterable<unknown>), ...texts.map(() => value)] };
  };
  return {
    ...metadata,
    'tokenizer.ggml.tokens': [...tokens, ...texts],
    ...longer('tokenizer.ggml.token_type', USER_DEFINED),
    ...longer('tokenizer.ggml.scores', 0),
  };
}
