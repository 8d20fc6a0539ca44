/**
 * One row as the model sees it. `labels` stand aligned with `ids`; -100 takes a token out of the loss, any other value equals the id.
 * The loss of token i is -log p(ids[i] | ids[0..i-1]), so labels[0] never counts.
 */
export interface Example {
  readonly ids: Int32Array;
  readonly labels: Int32Array;
  /** Of a row that is classified: its classes, by number. It has one term of loss, at its last token, and no label. */
  readonly classes?: readonly number[];
}

/** The label of a token without loss, as in transformers. */
export const IGNORE = -100;

/** Number of tokens with loss. */
export function supervisedTokens(example: Example): number {
  if (example.classes !== undefined) return 1;
  let n = 0;
  for (let i = 1; i < example.labels.length; i++) if (example.labels[i] !== IGNORE) n++;
  return n;
}
