import type { Builder } from '../builder.ts';
import type { Value } from '../graph.ts';
import type { Op } from '../op.ts';

/** Rows of a matrix [V, D] by index [N]: [N, D]. */
export const gather: Op<Record<string, never>> = {
  shape: ([data, index]) => ({ dtype: data!.dtype, shape: [...index!.shape, ...data!.shape.slice(1)] }),
  vjp: (g, dy, [data, index]) => [g.scatterAdd(g.fill(0, data!.shape), index!, dy), undefined],
  emit: (e, inputs) => e.node('Gather', inputs, { axis: 0 }),
  reference: ([data, index]) => {
    const width = data!.data.length / data!.shape[0]!;
    const result = new Float64Array(index!.data.length * width);
    index!.data.forEach((row, i) => {
      result.set(data!.data.subarray(row * width, (row + 1) * width), i * width);
    });
    return result;
  },
};

/** Adds rows [N, D] to the rows of data [V, D] that index [N] names, in the order of N. */
export const scatterAdd: Op<Record<string, never>> = {
  shape: ([data]) => data!,
  vjp: (g, dy, [_data, index]) => [dy, undefined, g.gather(dy, index!)],
  emit: (e, [data, index, rows], _attrs, types) => {
    const column = e.node('Reshape', [index!, e.i64([types[1]!.shape[0]!, 1])]);
    if (e.device === 'cpu') {
      return e.node('ScatterND', [data!, e.node('Cast', [column], { to: 7 }), rows!], { reduction: 'add' });
    }
    // ScatterND takes int64 indices only, which a GPU cannot make; an index for each element can stay int32.
    const each = e.node('Expand', [column, e.i64(types[2]!.shape)]);
    return e.node('ScatterElements', [data!, each, rows!], { axis: 0, reduction: 'add' });
  },
  reference: ([data, index, rows]) => {
    const width = data!.data.length / data!.shape[0]!;
    const result = Float64Array.from(data!.data);
    index!.data.forEach((row, i) => {
      for (let j = 0; j < width; j++) result[row * width + j]! += rows!.data[i * width + j]!;
    });
    return result;
  },
};

/**
 * Moves the rows of a matrix: y[i] = x[index[i]] * valid[i]. `inverse` and `inverseValid` are the same move backwards, which
 * makes the gradient a gather too. Inputs: x [N, D], index [M], valid [M, 1], inverse [N], inverseValid [N, 1].
 */
export const permuteRows: Op<Record<string, never>> = {
  shape: ([x, index]) => ({ dtype: x!.dtype, shape: [index!.shape[0]!, x!.shape[1]!] }),
  vjp: (g, dy, inputs) => [movedBack(g, dy, inputs)],
  emit: (e, [x, index, valid]) => e.node('Mul', [e.node('Gather', [x!, index!], { axis: 0 }), valid!]),
  reference: ([x, index, valid]) => {
    const width = x!.shape[1]!;
    const result = new Float64Array(index!.data.length * width);
    index!.data.forEach((row, i) => {
      for (let j = 0; j < width; j++) result[i * width + j] = x!.data[row * width + j]! * valid!.data[i]!;
    });
    return result;
  },
};

/**
 * As {@link permuteRows}, but a row may go to several places: `inverse` names the first, and `cell` [E] the others, each with its row `token` [E] and `copyValid` [E, 1],
 * which is 0 for padding. The gradient of a row is the sum over its places.
 */
export const spreadRows: Op<Record<string, never>> = {
  ...permuteRows,
  vjp: (g, dy, inputs) => {
    const [cell, token, copyValid] = inputs.slice(5);
    const copies = g.mul(g.gather(dy, cell!), copyValid!);
    return [g.scatterAdd(movedBack(g, dy, inputs), token!, copies)];
  },
};

function movedBack(g: Builder, dy: Value, [_x, index, valid, inverse, inverseValid]: readonly Value[]): Value {
  return g.permuteRows(dy, { index: inverse!, valid: inverseValid!, inverse: index!, inverseValid: valid! });
}
