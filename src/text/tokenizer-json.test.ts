import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteTokenizer, byteTokenizerJson, packagedTokenizer } from '../../test/support/tokenizers.ts';
import type { Tokenizer } from './tokenizer.ts';
import { tokenizerFromJson } from './tokenizer-json.ts';

interface GoldenRow {
  readonly text: string;
  readonly ids: readonly number[];
  readonly decoded: string;
  readonly skipped: string;
}

const read = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../test/golden/tokenizers/${name}`, import.meta.url), 'utf8'));
const GOLDEN: Readonly<Record<string, readonly GoldenRow[]>> = read('golden.json');
const SMALL: {
  readonly base: Readonly<Record<string, unknown>>;
  readonly variants: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
} = read('small.json');

function expectGolden(tokenizer: Tokenizer, name: string): void {
  const rows = GOLDEN[name]!;
  const got = rows.map(({ text, ids }) => ({
    text,
    ids: tokenizer.encode(text),
    decoded: tokenizer.decode(ids),
    skipped: tokenizer.decode(ids, { skipSpecialTokens: true }),
  }));
  expect(got).toEqual(rows);
}

const variant = (name: string, config: unknown = {}) =>
  tokenizerFromJson({ ...SMALL.base, ...SMALL.variants[name] }, config);

describe('a tokenizer from tokenizer.json', () => {
  it.each(['llama3', 'qwen3', 'gemma3'] as const)(
    'encodes and decodes as transformers does: %s',
    (name) => {
      const { json, config } = packagedTokenizer(name);
      expectGolden(tokenizerFromJson(json, config), name);
    },
    60_000,
  );

  it.each(Object.keys(SMALL.variants))('encodes and decodes SentencePiece-style BPE: %s', (name) => {
    expectGolden(variant(name), name);
  });

  it('gives any text back', () => {
    const bytes = byteTokenizer();
    const pieces = variant('plain');
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(bytes.decode(bytes.encode(text))).toBe(text);
        if (!text.includes('\u2581')) expect(pieces.decode(pieces.encode(text))).toBe(text);
      }),
    );
  });

  it('encodes text after a token without the space before the first word', () => {
    const tokenizer = variant('prepend');
    const colon = tokenizer.encode(':').at(-1)!;
    const pieces = tokenizer.encodeAfter!('order</s>order', colon).map((id) => tokenizer.idToToken(id));
    expect(pieces).toEqual(['or', 'der', '</s>', '▁order']);
    const user = tokenizer.tokenToId('<|user|>')!;
    expect(tokenizer.encodeAfter!('order', user)).toEqual(tokenizer.encode('order'));
    const end = tokenizer.tokenToId('<|end|>')!;
    expect(tokenizer.encodeAfter!('\n order', end)).toEqual(tokenizer.encode('order'));
    expect(variant('first').encodeAfter!('order', user)).not.toEqual(variant('first').encode('order'));
  });

  it('adds special tokens that only tokenizer_config.json names', () => {
    const json = byteTokenizerJson();
    const size = tokenizerFromJson(json, undefined).vocabSize;
    const config = { pad_token: { content: '<pad>' }, additional_special_tokens: ['<x>', 'the'] };
    const tokenizer = tokenizerFromJson(json, config);
    expect(tokenizer.encode('<pad>a<x>the')).toEqual([size, 97, size + 1, tokenizer.tokenToId('the')]);
    expect(tokenizer.padId).toBe(size);
    expect(tokenizer.specialIds.has(size + 1)).toBe(true);
  });

  it('knows whether a BOS goes before text', () => {
    const bos = { bos_token: '<s>' };
    const template = {
      type: 'Sequence',
      processors: [{ type: 'ByteLevel' }, { type: 'TemplateProcessing', single: [{ SpecialToken: { id: '<s>' } }] }],
    };
    const json = { ...byteTokenizerJson(), post_processor: template };
    expect(tokenizerFromJson(json, bos).addsBos).toBe(true);
    expect(tokenizerFromJson(json, { ...bos, add_bos_token: false }).addsBos).toBe(false);
    expect(tokenizerFromJson(byteTokenizerJson(), bos).addsBos).toBe(false);
    expect(tokenizerFromJson(byteTokenizerJson(), { ...bos, add_bos_token: true }).addsBos).toBe(true);
    expect(tokenizerFromJson(byteTokenizerJson(), { add_bos_token: true }).addsBos).toBe(false);
  });

  it.each<[string, unknown, RegExp]>([
    ['no object', [], /TOKENIZER_INVALID/],
    ['no model', {}, /TOKENIZER_INVALID/],
    ['a Unigram model', { model: { type: 'Unigram', vocab: [] } }, /TOKENIZER_UNSUPPORTED/],
    ['an id that is no number', { model: { type: 'BPE', vocab: { a: '1' }, merges: [] } }, /TOKENIZER_INVALID/],
    ['a huge id', { model: { type: 'BPE', vocab: { a: 2 ** 40 }, merges: [] } }, /TOKENIZER_INVALID/],
    ['one id twice', { model: { type: 'BPE', vocab: { a: 1, b: 1 }, merges: [] } }, /TOKENIZER_INVALID/],
    ['a merge of nothing', { model: { type: 'BPE', vocab: { a: 1 }, merges: ['a b'] } }, /TOKENIZER_INVALID/],
    ['an unknown normalizer', { ...byteTokenizerJson(), normalizer: { type: 'X' } }, /TOKENIZER_UNSUPPORTED/],
    ['an unknown pre-tokenizer', { ...byteTokenizerJson(), pre_tokenizer: { type: 'X' } }, /TOKENIZER_UNSUPPORTED/],
    ['an unknown decoder', { ...byteTokenizerJson(), decoder: { type: 'X' } }, /TOKENIZER_UNSUPPORTED/],
    [
      'a broken pattern',
      { ...byteTokenizerJson(), pre_tokenizer: { type: 'Split', pattern: { Regex: '(' } } },
      /TOKENIZER_INVALID/,
    ],
    ['an added token without id', { ...byteTokenizerJson(), added_tokens: [{ content: 'x' }] }, /TOKENIZER_INVALID/],
  ])('refuses %s', (_, json, error) => {
    expect(() => tokenizerFromJson(json, undefined)).toThrow(error);
  });

  it('ends in a catalogue error for any broken file', () => {
    const json = byteTokenizerJson();
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(json)), fc.jsonValue(), (key, value) => {
        try {
          tokenizerFromJson({ ...json, [key]: value }, undefined).encode('the quick');
        } catch (error) {
          expect(String(error)).toMatch(/TOKENIZER_(INVALID|UNSUPPORTED)/);
        }
      }),
    );
  });
});
