import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { byteTokenizer, byteTokenizerJson } from '../../test/support/tokenizers.ts';
import { IGNORE, supervisedTokens } from './example.ts';
import { renderPromptCompletion, renderRawPrompt, renderText } from './raw.ts';
import { tokenizerFromJson } from './tokenizer-json.ts';

const PLAIN = byteTokenizer();
const WITH_BOS = tokenizerFromJson(byteTokenizerJson(), { bos_token: '<s>', eos_token: '</s>', add_bos_token: true });

describe('text without a template', () => {
  it('is scored as it is, with a BOS only where the tokenizer puts one', () => {
    expect([...renderText('the', { tokenizer: PLAIN, training: false }).ids]).toEqual(PLAIN.encode('the'));
    const { ids } = renderText('the', { tokenizer: WITH_BOS, training: false });
    expect([...ids]).toEqual([WITH_BOS.bosId, ...WITH_BOS.encode('the')]);
    expect([...renderText('<s>the', { tokenizer: WITH_BOS, training: false }).ids]).toEqual([...ids]);
  });

  it('is trained to its end', () => {
    const example = renderText('the', { tokenizer: PLAIN, training: true });
    expect([...example.ids]).toEqual([...PLAIN.encode('the'), PLAIN.eosId]);
    expect([...example.labels]).toEqual([...example.ids]);
    expect(renderText('the</s>', { tokenizer: PLAIN, training: true })).toEqual(example);
    const endless = tokenizerFromJson(byteTokenizerJson(), {});
    expect(() => renderText('the', { tokenizer: endless, training: true })).toThrow(/TOKENIZER_NO_EOS/);
  });

  it('trains completions, not prompts', () => {
    const example = renderPromptCompletion('Q: ', ' the', { tokenizer: WITH_BOS, training: true });
    const prompt = renderRawPrompt('Q: ', WITH_BOS);
    expect([...example.ids]).toEqual([...prompt, ...WITH_BOS.encode(' the'), WITH_BOS.eosId]);
    expect([...example.labels].slice(0, prompt.length).every((l) => l === IGNORE)).toBe(true);
    expect(supervisedTokens(example)).toBe(example.ids.length - prompt.length);
  });

  it('gives a completion no second space where the tokenizer puts one before text', () => {
    const small = JSON.parse(readFileSync(new URL('../../test/golden/tokenizers/small.json', import.meta.url), 'utf8'));
    const pieces = tokenizerFromJson({ ...small.base, ...small.variants.prepend }, { eos_token: '</s>' });
    const { ids } = renderPromptCompletion('How much is', ' it?', { tokenizer: pieces, training: false });
    expect(pieces.decode([...ids])).toBe('How much is it?');
  });
});
