import type { Example } from '../text/example.ts';
import { windows } from './length.ts';

/**
 * Cuts the ids of a document into pieces of at most `length` tokens. Pieces overlap by one token, the context of the first prediction of the next, so that each
 * token but the document's first is predicted once.
 */
export function cutDocument(document: Example, length: number): readonly Example[] {
  return document.ids.length <= length ? [document] : windows(document, length);
}

/**
 * Puts pieces of documents together in blocks of at most `length` tokens, none of them cut: best-fit decreasing (Ding et al. 2024, arXiv:2404.10830). Pieces of a
 * block do not attend to one another, so that the loss is that of the pieces alone. A function of its arguments.
 *
 * @param lengths tokens of each piece, at most `length`
 * @returns the pieces of each block by index, ascending; blocks in the order of their first pieces
 */
export function packBlocks(lengths: readonly number[], length: number): readonly (readonly number[])[] {
  const order = lengths.map((_, i) => i).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const blocks: number[][] = [];
  /** Blocks by the room that is left in them. */
  const byRoom: number[][] = Array.from({ length: length + 1 }, () => []);
  for (const piece of order) {
    const size = lengths[piece]!;
    let room = size;
    while (room <= length && byRoom[room]!.length === 0) room++;
    const block = room <= length ? byRoom[room]!.pop()! : blocks.push([]) - 1;
    blocks[block]!.push(piece);
    byRoom[Math.min(room, length) - size]!.push(block);
  }
  return blocks.map((block) => block.sort((a, b) => a - b)).sort((a, b) => a[0]! - b[0]!);
}
