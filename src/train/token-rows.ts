/** Tokens whose rows train by themselves: id to place. */
export type TokenRows = ReadonlyMap<number, number>;

/** Undefined where none train. */
export function tokenRowsOf(ids: readonly number[] | undefined): TokenRows | undefined {
  return ids === undefined ? undefined : new Map(ids.map((id, place) => [id, place]));
}

/** The place of each token among the rows that train; one past the last for all others. */
export function placesOf(rows: TokenRows, ids: ArrayLike<number>): Int32Array {
  return Int32Array.from(ids, (id) => rows.get(id) ?? rows.size);
}
