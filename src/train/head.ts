// Shape legend: N tokens, D model width, V vocabulary, C positions of one chunk
import { type Builder, backward, createBuilder, finishGraph, type Graph, type Value } from '../graph/index.ts';
import { finalNorm, outerTensors } from '../model/architectures.ts';
import type { ModelConfig } from '../model/config.ts';
import { STRIP } from '../model/head-slices.ts';

/** Sizes of a loss head program. */
export interface HeadShape {
  readonly tokens: number;
  readonly config: ModelConfig;
  readonly chunk: number;
  /** Rows of the head that train by themselves; 0 if not given. */
  readonly rows?: number | undefined;
}

/** What a head program computes: the logits alone, the loss alone, or gradients with it. */
export type HeadMode = 'logits' | 'loss' | 'gradient' | 'gradient-and-norm' | 'gradient-and-weights';

/**
 * Final norm, output projection and cross entropy at the positions where there is loss. Logits exist for one chunk of positions only.
 *
 * Inputs: `x` [N, D], those of the final norm, `head` [V, D], `position` and `target` [C] i32, `weight` [C, 1] (0 for padding).
 * Output `nll` [C, 1]: -log p(target), not weighted; with `logits` only `logits` [C, V]. With `gradient` also `dx` [N, D], to which the chunk's part is added (input `dx.in`);
 * with `gradient-and-norm` also the norm's gradients (`d.norm` [D]), with `gradient-and-weights` those and `d.head` [V, D]. Of R rows that train by themselves (input
 * `head.rows` [R, D], and `target.at` [C], the place of each target among them, R for none) every gradient brings `d.head.rows`.
 *
 * The gradient of the logits, softmax - one-hot, is never formed: with e = exp(logits - max) and s = sum(e),
 * it gives dh = (e W) / s - W[target].
 */
export function headGraph(shape: HeadShape, mode: HeadMode): Graph {
  const { tokens, config, chunk } = shape;
  const { hiddenSize: width, vocabSize: vocab } = config;
  const g = createBuilder();
  const x_ND = g.input('x', [tokens, width]);
  const head_VD = g.input('head', [vocab, width]);
  const position_C = g.input('position', [chunk], 'i32');
  const target_C = g.input('target', [chunk], 'i32');
  const picked_CD = g.gather(x_ND, position_C);
  const h_CD = finalNorm(g, config, picked_CD);

  const logits_CV = g.matMul(h_CD, head_VD, { transB: true });
  if (mode === 'logits') return finishGraph(g, { logits: logits_CV });
  const max_C1 = g.reduceMax(logits_CV, [-1]);
  const e_CV = g.exp(g.sub(logits_CV, max_C1));
  const sum_C1 = sumOfMany(g, e_CV);
  const targetRow_CD = g.gather(head_VD, target_C);
  const targetLogit_C1 = g.reduceSum(g.mul(h_CD, targetRow_CD), [-1]);
  const nll = g.sub(g.add(g.log(sum_C1), max_C1), targetLogit_C1);
  if (mode === 'loss') return finishGraph(g, { nll });

  const weight_C1 = g.input('weight', [chunk, 1]);
  const scale_C1 = g.div(weight_C1, sum_C1);
  const dh_CD = g.sub(g.mul(g.matMul(e_CV, head_VD), scale_C1), g.mul(targetRow_CD, weight_C1));
  const back = { picked_CD, h_CD, dh_CD, position_C };
  const outputs: Record<string, Value> = { nll, ...inputGradients(g, shape, mode, back) };
  if (mode === 'gradient-and-weights') {
    outputs['d.head'] = headGradient(g, { e_CV, h_CD, scale_C1, weight_C1, head_VD, target_C });
  }
  return finishGraph(g, { ...outputs, ...hardRows(g, shape, { h_CD, max_C1, scale_C1, weight_C1 }) });
}

function hardRows(
  g: Builder,
  shape: HeadShape,
  v: Record<'h_CD' | 'max_C1' | 'scale_C1' | 'weight_C1', Value>,
): Record<string, Value> {
  if (shape.rows === undefined) return {};
  const at_I = g.input('target.at', [shape.chunk], 'i32');
  return rowGradients(g, shape, { ...v, at_I, own_ID: g.neg(g.mul(v.h_CD, v.weight_C1)) });
}

/**
 * The gradient of R rows of the head that train by themselves: (softmax)^T h as for all rows, and what targets add to those that they are.
 *
 * @param v `scale_C1` what exp(logit - max) is multiplied by; `at_I` the place of each target among the rows, R for none; `own_ID` what it adds
 */
export function rowGradients(
  g: Builder,
  { rows = 0, config: { hiddenSize: width } }: HeadShape,
  v: Record<'h_CD' | 'max_C1' | 'scale_C1' | 'at_I' | 'own_ID', Value>,
): Record<string, Value> {
  const rows_RD = g.input('head.rows', [rows, width]);
  const e_CR = g.exp(g.sub(g.matMul(v.h_CD, rows_RD, { transB: true }), v.max_C1));
  const soft_RD = g.matMul(e_CR, g.mul(v.h_CD, v.scale_C1), { transA: true });
  const sum = g.scatterAdd(g.concat([soft_RD, g.fill(0, [1, width])], 0), v.at_I, v.own_ID);
  return { 'd.head.rows': g.slice(sum, { axis: 0, start: 0, end: rows }) };
}

/** `dx` and, but for `gradient`, those of the norm, from the gradient of what the norm gives; added to `dx.in`. */
export function inputGradients(
  g: Builder,
  { tokens, config }: HeadShape,
  mode: HeadMode,
  v: Record<'picked_CD' | 'h_CD' | 'dh_CD' | 'position_C', Value>,
): Record<string, Value> {
  const norms = mode === 'gradient' ? [] : outerTensors(config).filter(({ name }) => name.startsWith('norm'));
  const wanted = [v.picked_CD, ...norms.map(({ name, shape }) => g.input(name, shape))];
  const [dPicked, ...dNorms] = backward(g, [[v.h_CD, v.dh_CD]], wanted);
  const dx = g.scatterAdd(g.input('dx.in', [tokens, config.hiddenSize]), v.position_C, dPicked!);
  return { dx, ...Object.fromEntries(norms.map(({ name }, i) => [`d.${name}`, dNorms[i]!])) };
}

/**
 * Sum over the last axis, strip by strip: [C, V] to [C, 1]. Added in one go, tens of thousands of positive terms lose what is small beside the
 * sum so far (7e-6 of it at 49,152 terms), and the gradient, a difference of two nearly equal parts, is off by ten times that.
 */
export function sumOfMany(g: Builder, x_CV: Value): Value {
  const [rows, width] = x_CV.shape as [number, number];
  const even = Math.floor(width / STRIP) * STRIP;
  if (even === 0) return g.reduceSum(x_CV, [-1]);
  const strips = g.reshape(g.slice(x_CV, { axis: 1, start: 0, end: even }), [rows, even / STRIP, STRIP]);
  const sum_C1 = g.reshape(g.reduceSum(g.reduceSum(strips, [-1]), [1]), [rows, 1]);
  if (even === width) return sum_C1;
  return g.add(sum_C1, g.reduceSum(g.slice(x_CV, { axis: 1, start: even, end: width }), [-1]));
}

function headGradient(
  g: Builder,
  v: Record<'e_CV' | 'h_CD' | 'scale_C1' | 'weight_C1' | 'head_VD' | 'target_C', Value>,
): Value {
  const soft_VD = g.matMul(v.e_CV, g.mul(v.h_CD, v.scale_C1), { transA: true });
  return g.scatterAdd(soft_VD, v.target_C, g.neg(g.mul(v.h_CD, v.weight_C1)));
}

/** Sizes of a program for one slice of the vocabulary. */
export interface SliceShape {
  readonly chunk: number;
  readonly rows: number;
  readonly width: number;
}

/** What a slice of the vocabulary is computed for. */
export type SliceMode = Exclude<HeadMode, 'gradient-and-weights'>;

/** The normalised hidden states that logits are made from: `x` [N, D] and `position` [C] to `h` [C, D]. */
export function headStartGraph({ tokens, config, chunk }: HeadShape): Graph {
  const g = createBuilder();
  const x_ND = g.input('x', [tokens, config.hiddenSize]);
  return finishGraph(g, { h: finalNorm(g, config, g.gather(x_ND, g.input('position', [chunk], 'i32'))) });
}

/**
 * One slice of the vocabulary: `h` [C, D] and `head` [S, D] to `logits` [C, S], or to what is known of the softmax so far, which comes in as `<name>.in`: the largest logit `max` [C, 1],
 * `sum` [C, 1] of exp(logits - max), and for the gradient `acc` [C, D], the rows of the head in those proportions (Milakov and Gimelshein 2018,
 * arXiv:1805.02867; carried on to a product as in Rabe and Staats 2021, arXiv:2112.05682).
 */
export function headSliceGraph({ chunk, rows, width }: SliceShape, mode: SliceMode): Graph {
  const g = createBuilder();
  const h_CD = g.input('h', [chunk, width]);
  const head_SD = g.input('head', [rows, width]);
  const logits_CS = g.matMul(h_CD, head_SD, { transB: true });
  if (mode === 'logits') return finishGraph(g, { logits: logits_CS });
  const before_C1 = g.input('max.in', [chunk, 1]);
  const max_C1 = g.reduceMax(g.concat([before_C1, g.reduceMax(logits_CS, [-1])], 1), [-1]);
  const decay_C1 = g.exp(g.sub(before_C1, max_C1));
  const e_CS = g.exp(g.sub(logits_CS, max_C1));
  const carried = (name: string, shape: number[]) => g.mul(g.input(`${name}.in`, shape), decay_C1);
  const sum = g.add(carried('sum', [chunk, 1]), sumOfMany(g, e_CS));
  if (mode === 'loss') return finishGraph(g, { max: max_C1, sum });
  return finishGraph(g, {
    max: max_C1,
    sum,
    acc: g.add(carried('acc', [chunk, width]), g.matMul(e_CS, head_SD)),
  });
}

/**
 * The end of {@link headGraph} once all slices are done, with its outputs. Inputs as there, but in place of `head` what the slices left, and
 * `target.rows` [C, D], the rows of the head that belong to the targets.
 */
export function headEndGraph(shape: HeadShape, mode: Exclude<SliceMode, 'logits'>): Graph {
  const { tokens, config, chunk } = shape;
  const { hiddenSize: width } = config;
  const g = createBuilder();
  const position_C = g.input('position', [chunk], 'i32');
  const picked_CD = g.gather(g.input('x', [tokens, width]), position_C);
  const h_CD = finalNorm(g, config, picked_CD);
  const max_C1 = g.input('max', [chunk, 1]);
  const sum_C1 = g.input('sum', [chunk, 1]);
  const targetRow_CD = g.input('target.rows', [chunk, width]);
  const targetLogit_C1 = g.reduceSum(g.mul(h_CD, targetRow_CD), [-1]);
  const nll = g.sub(g.add(g.log(sum_C1), max_C1), targetLogit_C1);
  if (mode === 'loss') return finishGraph(g, { nll });
  const weight_C1 = g.input('weight', [chunk, 1]);
  const scale_C1 = g.div(weight_C1, sum_C1);
  const soft_CD = g.mul(g.input('acc', [chunk, width]), scale_C1);
  const dh_CD = g.sub(soft_CD, g.mul(targetRow_CD, weight_C1));
  return finishGraph(g, {
    nll,
    ...inputGradients(g, shape, mode, { picked_CD, h_CD, dh_CD, position_C }),
    ...hardRows(g, shape, { h_CD, max_C1, scale_C1, weight_C1 }),
  });
}

/** Bytes of logits that one chunk may have: below the 32 MiB up to which the engine's process keeps freed blocks. */
const LOGIT_BYTES = 31 * 2 ** 20;
const UNIT = 32;

/** Positions of each chunk: sizes come in multiples of 32, and a chunk's logits stay below 31 MiB. */
export function headChunks(positions: number, vocab: number): number[] {
  const most = Math.max(UNIT, Math.min(1024, Math.floor(LOGIT_BYTES / (4 * vocab) / UNIT) * UNIT));
  const chunks: number[] = [];
  for (let left = positions; left > 0; left -= most) chunks.push(Math.ceil(Math.min(left, most) / UNIT) * UNIT);
  return chunks;
}
