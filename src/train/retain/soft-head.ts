// Shape legend: N tokens, D model width, V vocabulary, C positions of one chunk, K tokens that are kept of a distribution
import type { MicroBatch, SoftTargets } from '../../data/index.ts';
import type { Handle } from '../../engine/index.ts';
import { type Builder, createBuilder, finishGraph, type Graph, type Value } from '../../graph/index.ts';
import { finalNorm } from '../../model/architectures.ts';
import { headSlices } from '../../model/head-slices.ts';
import { f32, i32 } from '../../tensor/tensor.ts';
import { type HeadMode, type HeadShape, headChunks, inputGradients, rowGradients, sumOfMany } from '../head.ts';
import { cached } from '../programs.ts';
import { placesOf } from '../token-rows.ts';
import {
  type HeadPlace,
  type HeadResult,
  isSliced,
  padded,
  startChunks,
  throughSlices,
  withGradients,
  zeroGradient,
} from '../vocabulary-head.ts';

type Handles = Record<string, Handle>;

/** What the softmax of a chunk came to: `max` [C, 1], `sum` [C, 1] of exp(logits - max), `acc` [C, D], the head's rows in those proportions. */
type Softmax = Readonly<Record<'max_C1' | 'sum_C1' | 'acc_CD', Value>>;

/** Probability of all tokens that are not kept, of which no less is taken to be left: rounding may leave nothing. */
const LEAST = 1e-6;

/**
 * Cross entropy of distributions whose K likeliest tokens are known, and all others as one: - sum q_k log p_k - q_rest log p_rest. Less the entropy
 * of q it is a divergence that no refinement makes smaller, 0 where the two agree, and at most KL(q || p) over all tokens.
 *
 * Its gradient by the hidden state is W^T(softmax) scaled by 1/s - q_rest/s_rest, and rows of the head that are kept, each by q_rest e_k/s_rest - q_k,
 * with e = exp(logits - max), s their sum and s_rest that of the tokens which are not kept. A label is the case of K = 1.
 */
function softLoss(
  g: Builder,
  { config, chunk }: HeadShape,
  kept: number,
  v: Softmax & Readonly<Record<'h_CD' | 'rows_CKD', Value>>,
) {
  const share_CK = g.input('share', [chunk, kept]);
  const rest_C1 = g.input('rest', [chunk, 1]);
  const weight_C1 = g.input('weight', [chunk, 1]);
  const h_C1D = g.reshape(v.h_CD, [chunk, 1, config.hiddenSize]);
  const logit_CK = g.reshape(g.reduceSum(g.mul(v.rows_CKD, h_C1D), [-1]), [chunk, kept]);
  const e_CK = g.exp(g.sub(logit_CK, v.max_C1));
  const left_C1 = larger(g, g.sub(v.sum_C1, g.reduceSum(e_CK, [-1])), g.mul(v.sum_C1, g.scalar(LEAST)));
  const logSum_C1 = g.add(g.log(v.sum_C1), v.max_C1);
  const known_C1 = g.reduceSum(g.mul(share_CK, logit_CK), [-1]);
  const other_C1 = g.mul(rest_C1, g.add(g.log(left_C1), v.max_C1));
  const shares_C1 = g.add(g.reduceSum(share_CK, [-1]), rest_C1);
  const nll = g.sub(g.mul(shares_C1, logSum_C1), g.add(known_C1, other_C1));

  const odds_C1 = g.div(rest_C1, left_C1);
  const scale_C1 = g.mul(weight_C1, g.sub(g.div(shares_C1, v.sum_C1), odds_C1));
  const slope_CK = g.mul(weight_C1, g.sub(g.mul(odds_C1, e_CK), share_CK));
  const slope_CK1 = g.reshape(slope_CK, [chunk, kept, 1]);
  const own_CD = g.reshape(g.reduceSum(g.mul(v.rows_CKD, slope_CK1), [1]), [chunk, config.hiddenSize]);
  return { nll, dh_CD: g.add(g.mul(v.acc_CD, scale_C1), own_CD), scale_C1, slope_CK1, h_C1D };
}

function larger(g: Builder, a: Value, b: Value): Value {
  return g.mul(g.add(g.add(a, b), g.abs(g.sub(a, b))), g.scalar(0.5));
}

/** Inputs as those of `headGraph`, but for targets `kept` [C*K], `share` [C, K] and `rest` [C, 1]. Outputs as there. */
function wholeGraph(shape: HeadShape, kept: number, mode: HeadMode): Graph {
  const { tokens, config, chunk } = shape;
  const { hiddenSize: width, vocabSize: vocab } = config;
  const g = createBuilder();
  const position_C = g.input('position', [chunk], 'i32');
  const kept_I = g.input('kept', [chunk * kept], 'i32');
  const head_VD = g.input('head', [vocab, width]);
  const picked_CD = g.gather(g.input('x', [tokens, width]), position_C);
  const h_CD = finalNorm(g, config, picked_CD);
  const logits_CV = g.matMul(h_CD, head_VD, { transB: true });
  const max_C1 = g.reduceMax(logits_CV, [-1]);
  const e_CV = g.exp(g.sub(logits_CV, max_C1));
  const softmax = { max_C1, sum_C1: sumOfMany(g, e_CV), acc_CD: g.matMul(e_CV, head_VD) };
  const rows_CKD = g.reshape(g.gather(head_VD, kept_I), [chunk, kept, width]);
  const { nll, dh_CD, scale_C1, slope_CK1, h_C1D } = softLoss(g, shape, kept, { ...softmax, h_CD, rows_CKD });
  const outputs: Record<string, Value> = {
    nll,
    ...inputGradients(g, shape, mode, { picked_CD, h_CD, dh_CD, position_C }),
  };
  if (mode === 'gradient-and-weights') {
    const soft_VD = g.matMul(e_CV, g.mul(h_CD, scale_C1), { transA: true });
    const rows_ID = g.reshape(g.mul(slope_CK1, h_C1D), [chunk * kept, width]);
    outputs['d.head'] = g.scatterAdd(soft_VD, kept_I, rows_ID);
  }
  return finishGraph(g, {
    ...outputs,
    ...softRows(g, shape, kept, { h_CD, max_C1: softmax.max_C1, scale_C1, slope_CK1, h_C1D }),
  });
}

function softRows(
  g: Builder,
  shape: HeadShape,
  kept: number,
  v: Record<'h_CD' | 'max_C1' | 'scale_C1' | 'slope_CK1' | 'h_C1D', Value>,
): Record<string, Value> {
  if (shape.rows === undefined) return {};
  const count = shape.chunk * kept;
  const own_ID = g.reshape(g.mul(v.slope_CK1, v.h_C1D), [count, shape.config.hiddenSize]);
  return rowGradients(g, shape, { ...v, at_I: g.input('kept.at', [count], 'i32'), own_ID });
}

/** The end once all slices are done. Inputs as those of `headEndGraph`, but for `kept.rows` [C*K, D], `share` [C, K] and `rest` [C, 1]. */
function endGraph(shape: HeadShape, kept: number, mode: HeadMode): Graph {
  const { tokens, config, chunk } = shape;
  const { hiddenSize: width } = config;
  const g = createBuilder();
  const position_C = g.input('position', [chunk], 'i32');
  const picked_CD = g.gather(g.input('x', [tokens, width]), position_C);
  const h_CD = finalNorm(g, config, picked_CD);
  const rows_CKD = g.reshape(g.input('kept.rows', [chunk * kept, width]), [chunk, kept, width]);
  const known = {
    max_C1: g.input('max', [chunk, 1]),
    sum_C1: g.input('sum', [chunk, 1]),
    acc_CD: g.input('acc', [chunk, width]),
  };
  const { nll, dh_CD, ...rest } = softLoss(g, shape, kept, { ...known, h_CD, rows_CKD });
  return finishGraph(g, {
    nll,
    ...inputGradients(g, shape, mode, { picked_CD, h_CD, dh_CD, position_C }),
    ...softRows(g, shape, kept, { ...rest, h_CD, max_C1: known.max_C1 }),
  });
}

/**
 * Adds to what came of a head the gradient of distributions that are to be met.
 *
 * @param mode a gradient
 * @returns `nll` are their cross entropies, for each chunk of positions
 */
export function softHead(
  place: HeadPlace,
  { ids, soft }: Pick<MicroBatch, 'ids' | 'soft'>,
  x: Handle,
  mode: HeadMode,
  head: HeadResult,
  slices: readonly number[] = headSlices(place.config.vocabSize, place.config.hiddenSize),
): HeadResult {
  if (soft === undefined || soft.positions.length === 0) return { ...head, nll: [] };
  const { engine, config, outer } = place;
  const tokens = ids.length;
  const sliced = isSliced(place, mode, slices);
  const width = Math.max(sliced ? Math.max(...slices) : config.vocabSize, soft.kept * config.hiddenSize);
  const sizes = headChunks(soft.positions.length, width);
  const inputsOf = (from: number, size: number) => chunkInputs(place, soft, from, size);
  const chunks = sliced ? startChunks(place, { tokens, x, mode, sizes, inputsOf }) : [];
  if (sliced) throughSlices(place, chunks, mode, slices);
  const nll: Handle[] = [];
  let dx = head.dx ?? zeroGradient(place, tokens);
  let { weights } = head;
  let from = 0;
  for (const [i, size] of sizes.entries()) {
    const shape = { tokens, config, chunk: size, rows: place.tokenRows?.size };
    const key = `soft-head|${sliced}|${mode}|${tokens}|${size}|${soft.kept}`;
    const program = cached(place, key, () => (sliced ? endGraph : wholeGraph)(shape, soft.kept, mode));
    const chunk = chunks[i];
    const inputs: Handles = chunk === undefined ? inputsOf(from, size) : { ...chunk.inputs, ...chunk.known };
    if (sliced) inputs['kept.rows'] = keptRows(place, soft, from, size);
    const out = engine.run(program, { ...outer, ...inputs, x, 'dx.in': dx });
    engine.release(dx, ...Object.values(inputs));
    nll.push(out.nll!);
    dx = out.dx!;
    weights = withGradients(place, weights, out);
    from += size;
  }
  return { nll, logits: [], dx, weights };
}

function chunkInputs({ engine, tokenRows }: HeadPlace, soft: SoftTargets, from: number, size: number): Handles {
  const { kept, positions, ids, shares, rest, weights } = soft;
  const part = (all: Float32Array, each: number) => {
    const values = new Float32Array(size * each);
    values.set(all.subarray(from * each, (from + size) * each));
    return f32(values, [size, each]);
  };
  const own = padded(ids, from * kept, size * kept);
  return {
    position: engine.upload(i32(padded(positions, from, size), [size])),
    kept: engine.upload(i32(own, [own.length])),
    ...(tokenRows === undefined ? {} : { 'kept.at': engine.upload(i32(placesOf(tokenRows, own), [own.length])) }),
    share: engine.upload(part(shares, kept)),
    rest: engine.upload(part(rest, 1)),
    weight: engine.upload(part(weights, 1)),
  };
}

function keptRows(
  { engine, config, outer }: HeadPlace,
  { kept, ids }: SoftTargets,
  from: number,
  size: number,
): Handle {
  const index = padded(ids, from * kept, size * kept);
  return engine.upload({ rowsOf: outer.head!, index, shape: [index.length, config.hiddenSize] });
}
