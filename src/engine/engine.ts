import type { Graph, TensorType } from '../graph/index.ts';
import type { StoredTensor } from '../io/stored.ts';
import type { Stream } from '../math/random.ts';
import type { HostTensor, Shape } from '../tensor/tensor.ts';

/** A tensor that lives where the engine likes it. */
export interface Handle extends TensorType {
  readonly id: number;
}

/** A compiled graph. */
export interface Program {
  readonly id: number;
  readonly inputs: Readonly<Record<string, TensorType>>;
  readonly outputs: Readonly<Record<string, TensorType>>;
  /** Outputs that may be written over one of the inputs, and which. */
  readonly inPlace: Readonly<Record<string, string>>;
}

/** Weights that the engine reads itself, widened to float32; several are laid one after the other along axis 0. */
export interface StoredSource {
  readonly stored: readonly StoredTensor[];
  readonly shape: Shape;
}

/**
 * A matrix that the engine reads itself and keeps as it lies in its file. Programs see float32: it is widened for each run that reads it, and
 * what is widened goes when a run needs other such matrices.
 */
export interface RestingSource {
  readonly resting: StoredTensor;
  readonly shape: Shape;
}

/** Rows of a matrix by index: a copy [index.length, width] in float32. */
export interface RowsSource {
  readonly rowsOf: Handle;
  readonly index: Int32Array;
  readonly shape: Shape;
}

/** Rows `from` to `from + shape[0]` of weights that were uploaded, in the same memory. */
export interface ViewSource {
  readonly viewOf: Handle;
  readonly from: number;
  readonly shape: Shape;
}

/**
 * A dropout mask [tokens, width] that the engine draws itself: 0 with probability `share`, else 1 / (1 - share). Each row of the batch has a stream
 * of its own (its `b`), so that its mask does not depend on what lies beside it. Padding, which no span covers, gets 0.
 */
export interface DropoutSource {
  readonly dropout: Omit<Stream, 'b'> & { readonly share: number };
  /** Tokens by the row that they belong to. */
  readonly spans: readonly { readonly row: number; readonly from: number; readonly count: number }[];
  readonly shape: Shape;
}

/** Numbers that the engine draws itself, uniform within -bound and bound. */
export interface UniformSource {
  readonly uniform: Stream & { readonly bound: number };
  readonly shape: Shape;
}

/** What can be uploaded. */
export type UploadSource =
  | HostTensor
  | StoredSource
  | RestingSource
  | RowsSource
  | ViewSource
  | DropoutSource
  | UniformSource;

/** Handles by input or output name. */
export type Handles = Readonly<Record<string, Handle>>;

/**
 * All that the domain knows about numerics. Calls are queued and run in order; `compile`, `upload`, `run` and `release` return at once,
 * and a failure among them is thrown by the next `read` or `sync`.
 */
export interface Engine {
  readonly name: 'reference' | 'ort';
  readonly device: 'cpu' | 'webgpu';
  /** Equal graphs are compiled once. */
  compile(graph: Graph): Program;
  upload(source: UploadSource): Handle;
  /** A new tensor of zeros, float32 unless said otherwise. */
  allocate(shape: Shape, dtype?: 'f32' | 'u8'): Handle;
  /** Copies `count` elements between float32 tensors; offsets count elements too. */
  copy(source: Handle, sourceOffset: number, target: Handle, targetOffset: number, count: number): void;
  /**
   * Runs a program. Inputs that it does not have are ignored, so that one record can serve several programs.
   * Results are written into the handles of `into` where given (of the inputs of the same run only those that `inPlace` allows), else into new ones.
   */
  run(program: Program, inputs: Handles, into?: Handles): Record<string, Handle>;
  read(handle: Handle): Promise<HostTensor>;
  release(...handles: readonly Handle[]): void;
  /** Resolves when all that was queued is done. */
  sync(): Promise<void>;
  stats(): Promise<EngineStats>;
  close(): Promise<void>;
}

/** Figures of the process that computes. */
export interface EngineStats {
  /** Highest resident memory since the start, in bytes. */
  readonly peakBytes: number;
  readonly residentBytes: number;
  /** Bytes of all live handles. */
  readonly handleBytes: number;
  readonly programs: number;
  /** Milliseconds spent in runs, by program id. */
  readonly runMs: Readonly<Record<number, number>>;
}
