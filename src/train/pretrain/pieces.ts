import { cutDocument, type PreparedExample, type TextRow } from '../../data/index.ts';
import { renderDocument, supervisedTokens, type Tokenizer } from '../../text/index.ts';

/** A text in pieces of at most `length` tokens, all of which train; pieces in which nothing can be predicted go. */
export function cutText(row: TextRow, tokenizer: Tokenizer, length: number): PreparedExample[] {
  return cutDocument(renderDocument(row.text, tokenizer), length)
    .filter((example) => supervisedTokens(example) > 0)
    .map((example) => ({ row, example }));
}
