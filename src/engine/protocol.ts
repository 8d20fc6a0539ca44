import type { Graph } from '../graph/index.ts';
import type { Shape } from '../tensor/tensor.ts';
import type { UploadSource } from './engine.ts';

/** What a client asks of the process that computes. Plain data. */
export type HostRequest =
  | { readonly kind: 'compile'; readonly program: number; readonly graph: Graph }
  | { readonly kind: 'upload'; readonly handle: number; readonly source: UploadSource }
  | { readonly kind: 'allocate'; readonly handle: number; readonly shape: Shape; readonly dtype: 'f32' | 'u8' }
  | {
      readonly kind: 'copy';
      readonly source: number;
      readonly sourceOffset: number;
      readonly target: number;
      readonly targetOffset: number;
      readonly count: number;
    }
  | {
      readonly kind: 'run';
      readonly program: number;
      /** Handles in the order of the graph's inputs and outputs. */
      readonly inputs: readonly number[];
      readonly outputs: readonly number[];
    }
  | { readonly kind: 'read'; readonly request: number; readonly handle: number }
  | { readonly kind: 'release'; readonly handles: readonly number[] }
  | { readonly kind: 'sync'; readonly request: number }
  | { readonly kind: 'stats'; readonly request: number };

/** The answer to a request that has a number; `error` carries the first failure since the last answer. */
export interface HostReply {
  readonly request: number;
  readonly value?: unknown;
  readonly error?: string;
}
