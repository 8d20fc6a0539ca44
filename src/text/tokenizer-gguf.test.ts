import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { baseModelPath } from '../../test/support/base-model.ts';
import { byteTokenizerJson, packagedTokenizer } from '../../test/support/tokenizers.ts';
import { readGguf } from '../io/gguf.ts';
import { tokenizerFromGguf } from './tokenizer-gguf.ts';

const model = baseModelPath();
const read = (name: string) => JSON.parse(readFileSync(new URL(`../../test/golden/${name}`, import.meta.url), 'utf8'));

interface Vocab {
  readonly model: { readonly vocab: Readonly<Record<string, number>>; readonly merges: readonly (string | string[])[] };
  readonly added_tokens: readonly { readonly id: number; readonly content: string; readonly special?: boolean }[];
}

/** GGUF metadata as a converter writes it from a tokenizer.json. */
function byteLevelMetadata(json: Vocab, pre: string): Record<string, unknown> {
  const tokens: string[] = [];
  const types: number[] = [];
  for (const [token, id] of Object.entries(json.model.vocab)) {
    tokens[id] = token;
    types[id] = 1;
  }
  for (const { id, content, special } of json.added_tokens) {
    tokens[id] = content;
    types[id] = special === true ? 3 : 4;
  }
  return {
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': pre,
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': types,
    'tokenizer.ggml.merges': json.model.merges.map((m) => (typeof m === 'string' ? m : m.join(' '))),
  };
}

/** SentencePiece pieces with scores: later pieces are worse. */
function piecesMetadata(more: Record<string, unknown> = {}): Record<string, unknown> {
  const bytes = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`);
  const pieces = ['▁a', 'ab', '▁ab', 'abab', '▁', 'a', 'b', 'c'];
  return {
    'tokenizer.ggml.model': 'llama',
    'tokenizer.ggml.tokens': ['<unk>', '<s>', '</s>', ...bytes, ...pieces],
    'tokenizer.ggml.token_type': [2, 3, 3, ...bytes.map(() => 6), ...pieces.map(() => 1)],
    'tokenizer.ggml.scores': [0, 0, 0, ...bytes.map(() => 0), ...pieces.map((_, i) => -i)],
    'tokenizer.ggml.bos_token_id': 1,
    'tokenizer.ggml.eos_token_id': 2,
    'tokenizer.ggml.unknown_token_id': 0,
    ...more,
  };
}

describe('a tokenizer from GGUF metadata', () => {
  it.skipIf(model === undefined)('gives the tokens that transformers gives: SmolLM2', () => {
    const tokenizer = tokenizerFromGguf(readGguf(model!).metadata);
    const { tokens, chats } = read('smollm2/golden.json');
    for (const { text, ids } of [...tokens, ...chats]) {
      expect(tokenizer.encode(text)).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(text);
    }
    expect(tokenizer).toMatchObject({ vocabSize: 49152, bosId: 1, eosId: 2, padId: 2, addsBos: false });
  });

  it.each([
    ['llama3', 'llama-bpe'],
    ['qwen3', 'qwen2'],
  ] as const)(
    'gives the same tokens as tokenizer.json: %s',
    (name, pre) => {
      const tokenizer = tokenizerFromGguf(byteLevelMetadata(packagedTokenizer(name).json as Vocab, pre));
      for (const { text, ids, decoded } of read('tokenizers/golden.json')[name]) {
        expect(tokenizer.encode(text)).toEqual(ids);
        expect(tokenizer.decode(ids)).toBe(decoded);
      }
    },
    60_000,
  );

  it('merges pieces by their scores, and falls back to bytes', () => {
    const tokenizer = tokenizerFromGguf(piecesMetadata());
    const pieces = (text: string) => tokenizer.encode(text).map((id) => tokenizer.idToToken(id));
    expect(pieces('abab')).toEqual(['▁ab', 'ab']);
    expect(pieces('cabab')).toEqual(['▁', 'c', 'abab']);
    expect(pieces('aé')).toEqual(['▁a', '<0xC3>', '<0xA9>']);
    expect(pieces('<s>c')).toEqual(['<s>', '▁', 'c']);
    expect(tokenizer.decode(tokenizer.encode('c aé abab'))).toBe('c aé abab');
    expect(tokenizer).toMatchObject({ bosId: 1, eosId: 2, addsBos: true });
  });

  it('puts no space before text where the file says so', () => {
    const tokenizer = tokenizerFromGguf(piecesMetadata({ 'tokenizer.ggml.add_space_prefix': false }));
    expect(tokenizer.encode('ab').map((id) => tokenizer.idToToken(id))).toEqual(['ab']);
    expect(tokenizer.decode(tokenizer.encode(' ab'))).toBe(' ab');
  });

  it('splits by the pre-tokenizer that the file names', () => {
    const json = byteTokenizerJson() as unknown as Vocab;
    const numbers = {
      ...json,
      model: { vocab: { ...json.model.vocab, '12': 400 }, merges: [...json.model.merges, '1 2'] },
    };
    const count = (pre: string) => tokenizerFromGguf(byteLevelMetadata(numbers, pre)).encode('12').length;
    expect([count('gpt-2'), count('smollm'), count('llama3'), count('qwen2')]).toEqual([1, 2, 1, 2]);
  });

  it('does not guess an unknown pre-tokenizer', () => {
    const json = byteTokenizerJson() as unknown as Vocab;
    expect(() => tokenizerFromGguf(byteLevelMetadata(json, 'llama4-bpe'))).toThrow(
      /TOKENIZER_PRE_UNKNOWN .*"llama4-bpe"/,
    );
    const { 'tokenizer.ggml.pre': _, ...without } = byteLevelMetadata(json, 'x');
    expect(() => tokenizerFromGguf(without)).toThrow(/TOKENIZER_PRE_UNKNOWN/);
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    ['no model', {}, /TOKENIZER_INVALID/],
    ['another model', piecesMetadata({ 'tokenizer.ggml.model': 'bert' }), /TOKENIZER_UNSUPPORTED .*"bert"/],
    ['no scores', piecesMetadata({ 'tokenizer.ggml.scores': [1] }), /TOKENIZER_INVALID/],
    ['a BOS that is no token', piecesMetadata({ 'tokenizer.ggml.bos_token_id': 9999 }), /TOKENIZER_INVALID/],
    ['types of other length', piecesMetadata({ 'tokenizer.ggml.token_type': [1] }), /TOKENIZER_INVALID/],
  ])('refuses %s', (_, metadata, error) => {
    expect(() => tokenizerFromGguf(metadata)).toThrow(error);
  });
});
