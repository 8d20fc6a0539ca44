import type { ErrorCode } from '../errors/index.ts';

/** A record of a data file before anything is made of it, or what is wrong with it. */
export type RawRecord =
  | { readonly line: number; readonly value: unknown }
  | { readonly line: number; readonly code: ErrorCode; readonly message: string };
