// Shape legend: N tokens, O outputs, I inputs, R rank
import { addProductRow, factors, lora } from './lora.ts';
import { LORA_REFUSED, rankAndScale, readLowRank, writeLowRank } from './low-rank.ts';
import type { AdapterMethod } from './method.ts';

/**
 * DoRA (Liu et al. 2024, arXiv:2402.09353): (m / |W + scale B A|) (W + scale B A) x, norms over each row, which no gradient passes (section 4.3), as in peft.
 *
 * The norm comes from |W|^2, W A^T and A A^T, once for each change of A and B; W + B A is never formed.
 */
export const dora: AdapterMethod<'dora'> = {
  tensors: ({ rank }, size) => ({
    'lora_A.weight': [rank, size.in],
    'lora_B.weight': [size.out, rank],
    lora_magnitude_vector: [size.out],
  }),
  initial: (name, { rank }, size) =>
    name === 'lora_magnitude_vector' ? 'from weight' : lora.initial(name, { kind: 'lora', rank, scale: 1 }, size),
  linear({ rank, scale }, call) {
    const { g, size, base, x, kept } = call;
    const { a_RI, b_OR } = factors(call, rank);
    const magnitude_O = g.input(`${size.module}.lora_magnitude_vector`, [size.out]);
    const share_O = g.div(magnitude_O, g.input(`${size.module}.weight_norm`, [size.out]));
    const update = g.matMul(g.matMul(kept, a_RI, { transB: true }), b_OR, { transB: true, alpha: scale });
    const y = base(size.module, x);
    if (kept === x) return g.mul(share_O, g.add(y, update));
    // peft leaves W x itself without dropout, and scales what W makes of the dropped x.
    const turned = g.sub(g.mul(share_O, g.add(base(size.module, kept), update)), base(size.module, kept));
    return g.add(y, turned);
  },
  fromWeight(_, g, weight_OI) {
    const squares_O = g.reshape(g.reduceSum(g.mul(weight_OI, weight_OI), [1]), [weight_OI.shape[0]!]);
    return { weight_squares: squares_O, lora_magnitude_vector: g.sqrt(squares_O) };
  },
  derived({ rank, scale }, { g, size, base }) {
    const { a_RI, b_OR } = factors({ g, size }, rank);
    const squares_O = g.input(`${size.module}.weight_squares`, [size.out]);
    const cross_OR = g.transpose(base(size.module, a_RI), [1, 0]);
    const inner_OR = g.matMul(b_OR, g.matMul(a_RI, a_RI, { transB: true }), { alpha: scale * scale });
    const change_OR = g.mul(b_OR, g.add(g.mul(cross_OR, g.scalar(2 * scale)), inner_OR));
    return { weight_norm: g.sqrt(g.add(squares_O, g.reshape(g.reduceSum(change_OR, [1]), [size.out]))) };
  },
  merge({ scale }, _, tensor) {
    const [a, b] = [tensor('lora_A.weight'), tensor('lora_B.weight')];
    const magnitude = tensor('lora_magnitude_vector').data as Float32Array;
    return {
      row(row, o) {
        addProductRow(row, o, { a, b, scale });
        const norm = Math.sqrt(row.reduce((sum, x) => sum + x * x, 0));
        for (let i = 0; i < row.length; i++) row[i]! *= magnitude[o]! / norm;
      },
    };
  },
  rate: 1,
  hasDropout: true,
  folder: {
    peftType: 'LORA',
    refused: LORA_REFUSED,
    knowsLayers: true,
    knowsTying: true,
    dropoutKey: 'lora_dropout',
    read: (reader) => ({ kind: 'dora', ...readLowRank(reader) }),
    write: (settings, modules) => ({ ...writeLowRank(settings, modules), use_dora: true }),
    adapt: (settings, name) => ({ kind: 'dora', ...rankAndScale(settings, name) }),
  },
};
