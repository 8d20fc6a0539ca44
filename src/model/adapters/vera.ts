// Shape legend: N tokens, O outputs, I inputs, R rank
import type { HostTensor } from '../../tensor/tensor.ts';
import type { AdapterMethod } from './method.ts';

/** The name of the shared random matrices cut to a width, which all modules of that width use. */
export function projectionName(which: 'vera_A' | 'vera_B', width: number): string {
  return `${which}.${width}`;
}

/**
 * VeRA (Kopiczko et al. 2024, arXiv:2310.11454): W x + b * (B (d * (A x))), with A and B random, frozen and shared by all modules, each of which uses
 * its first columns or rows, and vectors b [O] and d [R] of its own that train.
 */
export const vera: AdapterMethod<'vera'> = {
  tensors: ({ rank }, size) => ({ vera_lambda_b: [size.out], vera_lambda_d: [rank] }),
  initial: (name, { dInitial }) => ({ fill: name === 'vera_lambda_d' ? dInitial : 0 }),
  linear({ rank }, { g, size, base, x, kept }) {
    const a_RI = g.input(projectionName('vera_A', size.in), [rank, size.in]);
    const b_OR = g.input(projectionName('vera_B', size.out), [size.out, rank]);
    const d_R = g.input(`${size.module}.vera_lambda_d`, [rank]);
    const b_O = g.input(`${size.module}.vera_lambda_b`, [size.out]);
    const down_NR = g.mul(g.matMul(kept, a_RI, { transB: true }), d_R);
    return g.add(base(size.module, x), g.mul(g.matMul(down_NR, b_OR, { transB: true }), b_O));
  },
  shared({ rank }, sizes) {
    const [widest, highest] = [Math.max(...sizes.map((m) => m.in)), Math.max(...sizes.map((m) => m.out))];
    return [
      { name: 'vera_A', shape: [rank, widest], bound: Math.sqrt(6 / widest) },
      { name: 'vera_B', shape: [highest, rank], bound: Math.sqrt(6 / rank) },
    ];
  },
  cut: (size) => [
    { input: projectionName('vera_A', size.in), of: 'vera_A', axis: 1, length: size.in },
    { input: projectionName('vera_B', size.out), of: 'vera_B', axis: 0, length: size.out },
  ],
  merge({ rank }, size, tensor) {
    const [a, b, lambdaB, lambdaD] = ['vera_A', 'vera_B', 'vera_lambda_b', 'vera_lambda_d'].map(tensor) as [
      HostTensor,
      HostTensor,
      HostTensor,
      HostTensor,
    ];
    const [aValues, bValues, d] = [a.data as Float32Array, b.data as Float32Array, lambdaD.data as Float32Array];
    const widest = a.shape[1]!;
    return {
      row(row, o) {
        const scale = lambdaB.data[o] as number;
        for (let r = 0; r < rank; r++) {
          const factor = scale * bValues[o * rank + r]! * d[r]!;
          for (let i = 0; i < size.in; i++) row[i]! += factor * aValues[r * widest + i]!;
        }
      },
    };
  },
  rate: 10,
  hasDropout: true,
  folder: {
    peftType: 'VERA',
    refused: [],
    knowsLayers: true,
    knowsTying: false,
    dropoutKey: 'vera_dropout',
    read({ json, positive, refuse }) {
      if (json.save_projection === false)
        refuse('save_projection false is not supported: A and B must be in the folder.');
      const dInitial = typeof json.d_initial === 'number' ? json.d_initial : 0.1;
      return { kind: 'vera', rank: positive('r'), dInitial, seed: Number(json.projection_prng_key ?? 0) };
    },
    write: ({ rank, dInitial, seed }) => ({
      bias: 'none',
      d_initial: dInitial,
      init_weights: true,
      projection_prng_key: seed,
      r: rank,
      save_projection: true,
    }),
    adapt: ({ rank, dInitial }) => ({ kind: 'vera', rank, dInitial }),
  },
};
