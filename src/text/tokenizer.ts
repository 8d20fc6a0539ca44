/** Text to token ids and back, for one model. */
export interface Tokenizer {
  /** Number of ids, added tokens included. The model's embedding may have more rows. */
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  /** The `eos_token` of the tokenizer. A chat model's turn may end with another token, see endOfTurn(). */
  readonly eosId: number | undefined;
  readonly padId: number | undefined;
  /** Whether transformers would put a BOS before plain text. */
  readonly addsBos: boolean;
  /** Ids of special (control) tokens. */
  readonly specialIds: ReadonlySet<number>;
  /** Parses special tokens in the text as transformers does; adds none. */
  encode(text: string): number[];
  /**
   * Encodes text that follows the token `previousId` in the same sequence: as `encode`, but without the space that SentencePiece tokenizers put
   * before the first word, and without white space that `previousId` swallows. Where a tokenizer has none of this, `encode` does the same.
   */
  encodeAfter?(text: string, previousId: number): number[];
  decode(ids: readonly number[], options?: { readonly skipSpecialTokens?: boolean }): string;
  tokenToId(token: string): number | undefined;
  idToToken(id: number): string | undefined;
}
