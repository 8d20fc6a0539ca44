import { sizeOf } from '../tensor/tensor.ts';
import type { Graph } from './graph.ts';

/** Bytes of a number, whatever its type: f32 and i32 are all that graphs compute with. */
const BYTES = 4;

/**
 * The most bytes of computed values that are needed at once when the nodes of a graph run in their order: each is made by its node and
 * freed after the last node that reads it; outputs stay. Inputs are not counted, nor are constants, and a reshape is the value that it shows.
 */
export function liveBytes(graph: Graph): number {
  const { nodes } = graph;
  const shown = (id: number): number => (nodes[id]!.op === 'reshape' ? shown(nodes[id]!.inputs[0]!) : id);
  const lastUse = new Map<number, number>();
  for (const [id, node] of nodes.entries()) for (const input of node.inputs) lastUse.set(shown(input), id);
  for (const id of Object.values(graph.outputs)) lastUse.set(shown(id), nodes.length);
  const bytesOf = (id: number) => (nodes[id]!.inputs.length === 0 ? 0 : BYTES * sizeOf(nodes[id]!.shape));
  const freed = nodes.map((): number => 0);
  let live = 0;
  let most = 0;
  for (const id of nodes.keys()) {
    const last = lastUse.get(id);
    if (last !== undefined && shown(id) === id) {
      live += bytesOf(id);
      if (last < nodes.length) freed[last]! += bytesOf(id);
    }
    most = Math.max(most, live);
    live -= freed[id]!;
  }
  return most;
}
