import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { tokenizerFromJson } from './tokenizer-json.ts';
import { END_OF_TEXT, SMALLEST_VOCAB, trainTokenizer } from './train-tokenizer.ts';

interface Golden {
  readonly texts: readonly string[];
  readonly vocab_size: number;
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly (readonly [string, string])[];
  readonly probes: readonly { readonly text: string; readonly ids: readonly number[] }[];
}

const golden = JSON.parse(
  readFileSync(new URL('../../test/golden/tokenizers/bpe-trained.json', import.meta.url), 'utf8'),
) as Golden;
const trained = trainTokenizer(golden.texts, { vocabSize: golden.vocab_size });
const tokenizer = tokenizerFromJson(trained.json, trained.config);

describe('a trained tokenizer', () => {
  test("learns what Hugging Face's trainer learns", () => {
    const { vocab, merges } = trained.json.model as Pick<Golden, 'vocab' | 'merges'>;
    expect(merges).toEqual(golden.merges);
    expect(vocab).toEqual(golden.vocab);
    for (const { text, ids } of golden.probes) expect(tokenizer.encode(text)).toEqual(ids);
  });

  test('gives any text back, character by character', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }),
    );
  });

  test('ends with the special token, which takes no part in merges', () => {
    expect(tokenizer.eosId).toBe(trained.eosId);
    expect(tokenizer.addsBos).toBe(false);
    expect(tokenizer.encode(`kettle${END_OF_TEXT}kettle`)).toContain(trained.eosId);
    const spoken = trainTokenizer([END_OF_TEXT.repeat(50)], { vocabSize: 300 });
    expect(spoken.vocabSize).toBe(SMALLEST_VOCAB);
  });

  test('has no more ids than wanted, and fewer where nothing stands twice', () => {
    expect(trained.vocabSize).toBe(golden.vocab_size);
    expect(trainTokenizer(['abc'], { vocabSize: 1000 }).vocabSize).toBe(SMALLEST_VOCAB);
    expect(trainTokenizer([], { vocabSize: SMALLEST_VOCAB }).vocabSize).toBe(SMALLEST_VOCAB);
  });

  test('depends on the texts alone', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: fc.constantFrom('a', 'b', ' ', 'ä', '1') })), (texts) => {
        const [once, again] = [texts, texts].map((t) => trainTokenizer(t, { vocabSize: 290 }));
        expect(again!.json).toEqual(once!.json);
      }),
    );
  });
});
