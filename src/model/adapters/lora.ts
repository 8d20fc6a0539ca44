// Shape legend: N tokens, O outputs, I inputs, R rank
import type { Value } from '../../graph/index.ts';
import type { HostTensor } from '../../tensor/tensor.ts';
import { LORA_REFUSED, rankAndScale, readLowRank, writeLowRank } from './low-rank.ts';
import type { AdapterMethod, LinearCall } from './method.ts';

/** The two factors of a module as inputs. */
export function factors({ g, size }: Pick<LinearCall, 'g' | 'size'>, rank: number, start = '') {
  return {
    a_RI: g.input(`${size.module}.lora_A${start}.weight`, [rank, size.in]),
    b_OR: g.input(`${size.module}.lora_B${start}.weight`, [size.out, rank]),
  };
}

/**
 * LoRA (Hu et al. 2021, arXiv:2106.09685): W x + scale B A x. The scale is alpha / rank, or alpha / sqrt(rank) for rsLoRA (Kalajdzievski 2023,
 * arXiv:2312.03732).
 *
 * With `start: 'subtracted'` it is W x + scale (B A - B0 A0) x with frozen B0 and A0, which is what the residual base of PiSSA and OLoRA amounts to: base
 * weights stay as they lie, quantised ones too.
 */
export const lora: AdapterMethod<'lora'> = {
  tensors: ({ rank }, size) => ({ 'lora_A.weight': [rank, size.in], 'lora_B.weight': [size.out, rank] }),
  // As in peft: Kaiming-uniform with a of sqrt(5), B zero, so that it begins as the base model.
  initial: (name, _, size) => (name === 'lora_A.weight' ? { bound: 1 / Math.sqrt(size.in) } : { fill: 0 }),
  linear({ rank, scale, start }, call) {
    const { g, size, base, x, kept } = call;
    const product = (x_NI: Value, { a_RI, b_OR }: ReturnType<typeof factors>, alpha: number) =>
      g.matMul(g.matMul(x_NI, a_RI, { transB: true }), b_OR, { transB: true, alpha });
    const y = g.add(base(size.module, x), product(kept, factors(call, rank), scale));
    return start === undefined ? y : g.add(y, product(x, factors(call, rank, '0'), -scale));
  },
  merge: ({ scale, start }, _, tensor) => {
    if (start !== undefined) throw new Error('internal: a folder has plain factors');
    const [a, b] = [tensor('lora_A.weight'), tensor('lora_B.weight')];
    return { row: (row, o) => addProductRow(row, o, { a, b, scale }) };
  },
  rate: 1,
  hasDropout: true,
  folder: {
    peftType: 'LORA',
    refused: ['use_dora', ...LORA_REFUSED],
    knowsLayers: true,
    knowsTying: true,
    dropoutKey: 'lora_dropout',
    read: (reader) => ({ kind: 'lora', ...readLowRank(reader) }),
    write: ({ start, ...settings }, modules) => {
      if (start === undefined) return { ...writeLowRank(settings, modules), use_dora: false };
      // The factors of the start stand beside the trained ones.
      const both = [...modules].map(([name, m]) => [name, { rank: 2 * m.rank, scale: m.scale }] as const);
      const factor = settings.rsLora ? Math.SQRT2 : 2;
      const doubled = { ...settings, rank: 2 * settings.rank, alpha: factor * settings.alpha };
      return { ...writeLowRank(doubled, new Map(both)), use_dora: false };
    },
    adapt: (settings, name) => ({
      kind: 'lora',
      ...rankAndScale(settings, name),
      ...(settings.start === undefined ? {} : { start: 'subtracted' }),
    }),
  },
};

/** Adds row `o` of scale B A. */
export function addProductRow(
  row: Float64Array,
  o: number,
  { a, b, scale }: { readonly a: HostTensor; readonly b: HostTensor; readonly scale: number },
): void {
  const [aValues, bValues] = [a.data as Float32Array, b.data as Float32Array];
  const [rank, width] = a.shape as [number, number];
  const sum = new Float64Array(width);
  for (let r = 0; r < rank; r++) {
    const factor = scale * bValues[o * rank + r]!;
    const from = r * width;
    for (let i = 0; i < width; i++) sum[i]! += factor * aValues[from + i]!;
  }
  for (let i = 0; i < width; i++) row[i]! += sum[i]!;
}
