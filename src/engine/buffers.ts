import { type HostTensor, sizeOf } from '../tensor/tensor.ts';

/** Where buffers come from and go. */
export interface Buffers {
  /** What it holds is undefined. */
  take(type: Pick<HostTensor, 'dtype' | 'shape'>): HostTensor;
  /** The tensor must not be read any more: its memory is another's from now on. */
  give(tensor: HostTensor): void;
}

/**
 * Bytes of released buffers that are kept for reuse, since fresh memory costs a page fault for every 4 KiB. On Linux none are: glibc keeps the pages, as
 * the engine's process sets it up, and lends them to ONNX Runtime as well as to buffers of any other size.
 */
export const POOL_BYTES = process.platform === 'linux' ? 0 : 384 * 2 ** 20;

/** Buffers of results, which are given back at once and not when the collector finds them. */
export function createBuffers(poolBytes: number = POOL_BYTES): Buffers {
  const free = new Map<number, ArrayBuffer[]>();
  /** Buffers that were handed out; what came from elsewhere may share its memory with others and is never taken in. */
  const live = new Set<ArrayBufferLike>();
  let bytes = 0;
  const drop = () => {
    for (const list of free.values()) for (const buffer of list) release(buffer);
    free.clear();
    bytes = 0;
  };
  return {
    take({ dtype, shape }) {
      const n = sizeOf(shape);
      if (dtype !== 'f32' && dtype !== 'u8') throw new Error(`internal: outputs are f32 or u8, not ${dtype}`);
      const exact = dtype === 'f32' ? n : Math.ceil(n / 4);
      const size = 4 * (poolBytes === 0 ? Math.max(1, exact) : sizeClass(exact));
      const reused = free.get(size)?.pop();
      if (reused !== undefined) bytes -= size;
      const buffer = reused ?? fresh(size);
      live.add(buffer);
      return { dtype, shape, data: dtype === 'f32' ? new Float32Array(buffer, 0, n) : new Uint8Array(buffer, 0, n) };
    },
    give({ data }) {
      const buffer = data.buffer as ArrayBuffer;
      if (!live.delete(buffer)) return;
      const size = buffer.byteLength;
      if (bytes + size > poolBytes) drop();
      if (size > poolBytes) return release(buffer);
      const list = free.get(size) ?? [];
      list.push(buffer);
      free.set(size, list);
      bytes += size;
    },
  };
}

/** Memory that is not filled with zeros: every buffer is written before it is read. */
function fresh(bytes: number): ArrayBuffer {
  return Buffer.allocUnsafeSlow(bytes).buffer as ArrayBuffer;
}

/** Frees the memory of a buffer now: what is transferred to no length is let go of. */
function release(buffer: ArrayBuffer): void {
  buffer.transfer(0);
}

/** Sizes that pooled buffers come in, at most an eighth above what is asked for: so that micro-batches of many shapes share them. */
function sizeClass(n: number): number {
  const unit = Math.max(64, 2 ** (Math.floor(Math.log2(Math.max(n, 1))) - 3));
  return Math.ceil(n / unit) * unit;
}
