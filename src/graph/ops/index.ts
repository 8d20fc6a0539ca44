import type { Op } from '../op.ts';
import * as cached from './cached-attention.ts';
import * as elementwise from './elementwise.ts';
import * as gathers from './gather.ts';
import * as linear from './linear.ts';
import * as quantized from './quantized.ts';
import * as reduce from './reduce.ts';
import * as shapes from './shape.ts';
import * as sources from './sources.ts';
import * as transformer from './transformer.ts';
import * as visible from './visible-mask.ts';

/** Every operator by name. A missing rule is a compile error: `Op` requires all four. */
export const OPS = {
  input: sources.input,
  fill: sources.fill,
  causalMask: sources.causalMask,
  visibleMask: visible.visibleMask,
  add: elementwise.add,
  sub: elementwise.sub,
  mul: elementwise.mul,
  div: elementwise.div,
  neg: elementwise.neg,
  exp: elementwise.exp,
  log: elementwise.log,
  sqrt: elementwise.sqrt,
  abs: elementwise.abs,
  sign: elementwise.sign,
  toBytes: elementwise.toBytes,
  cast: elementwise.cast,
  sigmoid: elementwise.sigmoid,
  silu: elementwise.silu,
  siluFast: elementwise.siluFast,
  reshape: shapes.reshape,
  transpose: shapes.transpose,
  slice: shapes.slice,
  pad: shapes.pad,
  concat: shapes.concat,
  reduceSum: reduce.reduceSum,
  reduceMax: reduce.reduceMax,
  cumSum: reduce.cumSum,
  argMax: reduce.argMax,
  topMask: reduce.topMask,
  expand: reduce.expand,
  softmax: reduce.softmax,
  matMul: linear.matMul,
  rmsNorm: transformer.rmsNorm,
  rmsScale: transformer.rmsScale,
  rope: transformer.rope,
  gather: gathers.gather,
  scatterAdd: gathers.scatterAdd,
  permuteRows: gathers.permuteRows,
  spreadRows: gathers.spreadRows,
  cachedAttention: cached.cachedAttention,
  cachedRows: cached.cachedRows,
  quantizedLinear: quantized.quantizedLinear,
  quantizedRows: quantized.quantizedRows,
} as const;

/** Name of an operator. */
export type OpName = keyof typeof OPS;

/** Attributes of each operator. */
export type OpAttrs = { [O in OpName]: (typeof OPS)[O] extends Op<infer A> ? A : never };
