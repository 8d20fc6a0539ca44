import { TunesmithError } from '../errors/index.ts';
import { type Example, IGNORE } from './example.ts';
import { encodeAfter } from './render.ts';
import type { Tokenizer } from './tokenizer.ts';

/** How text without a template becomes ids. */
export interface RawOptions {
  readonly tokenizer: Tokenizer;
  /** Training ends the text with the end-of-sequence token and trains it; scoring adds none. */
  readonly training: boolean;
}

/**
 * Ids of plain text, all with loss: a BOS where the tokenizer puts one (and the text has none yet), and in training the end of the sequence.
 *
 * @throws TOKENIZER_NO_EOS in training if the tokenizer has no end-of-sequence token
 */
export function renderText(text: string, options: RawOptions): Example {
  const ids = Int32Array.from(withEos(withBos(text, options.tokenizer), options));
  return { ids, labels: ids.slice() };
}

/** Ids of a document, all with loss: a BOS where the tokenizer puts one, the text, and an end of the sequence where the tokenizer has one. */
export function renderDocument(text: string, tokenizer: Tokenizer): Example {
  const ids = Int32Array.from(
    withEos(withBos(text, tokenizer), { tokenizer, training: tokenizer.eosId !== undefined }),
  );
  return { ids, labels: ids.slice() };
}

/**
 * Ids of a raw prompt, as context, and its completion, with loss. Both are segments of their own, so that the completion has the ids that
 * generation would give it.
 *
 * @throws TOKENIZER_NO_EOS in training if the tokenizer has no end-of-sequence token
 */
export function renderPromptCompletion(prompt: string, completion: string, options: RawOptions): Example {
  const context = renderRawPrompt(prompt, options.tokenizer);
  const answer = withEos(encodeAfter(options.tokenizer, completion, context), options);
  return {
    ids: Int32Array.from([...context, ...answer]),
    labels: Int32Array.from([...context.map(() => IGNORE), ...answer]),
  };
}

/** The ids that serving shows for a raw prompt: a BOS where the tokenizer puts one, and the text. */
export function renderRawPrompt(prompt: string, tokenizer: Tokenizer): number[] {
  return withBos(prompt, tokenizer);
}

function withBos(text: string, tokenizer: Tokenizer): number[] {
  const ids = tokenizer.encode(text);
  const { bosId, addsBos } = tokenizer;
  return addsBos && bosId !== undefined && ids[0] !== bosId ? [bosId, ...ids] : ids;
}

function withEos(ids: number[], { tokenizer, training }: RawOptions): number[] {
  if (!training) return ids;
  const { eosId } = tokenizer;
  if (eosId === undefined) {
    throw new TunesmithError('TOKENIZER_NO_EOS', { message: 'the tokenizer has no eos_token.' });
  }
  return ids.at(-1) === eosId ? ids : [...ids, eosId];
}
