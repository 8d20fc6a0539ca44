// Shape legend: N tokens, R LoRA rank
import type { Builder } from '../graph/index.ts';
import type { Linear, LinearModule } from './architecture.ts';

/** One adapted linear module of a layer; scale is alpha / rank (or alpha / sqrt(rank) for rsLoRA, arXiv:2312.03732). */
export interface LoraModule {
  readonly rank: number;
  readonly scale: number;
}

/** Plain linear modules: inputs `<module>.weight` [out, in]. */
export function baseLinear(g: Builder, modules: readonly LinearModule[]): Linear {
  const sizes = new Map(modules.map((m) => [m.module, m]));
  return (module, x) => {
    const size = sizes.get(module);
    if (size === undefined) throw new Error(`internal: unknown linear module ${module}`);
    return g.matMul(x, g.input(`${module}.weight`, [size.out, size.in]), { transB: true });
  };
}

/**
 * Linear modules with a LoRA update where `adapted` names one: W x + scale * B A x (Hu et al. 2021, arXiv:2106.09685).
 * Inputs `<module>.lora_A.weight` [rank, in] and `<module>.lora_B.weight` [out, rank]; with dropout also
 * `<module>.dropout` [N, in]: 0 for a dropped element, 1 / (1 - dropout) for a kept one.
 */
export function loraLinear(
  g: Builder,
  modules: readonly LinearModule[],
  {
    adapted,
    dropout,
    base = baseLinear(g, modules),
  }: { readonly adapted: ReadonlyMap<string, LoraModule>; readonly dropout: boolean; readonly base?: Linear },
): Linear {
  const sizes = new Map(modules.map((m) => [m.module, m]));
  return (module, x) => {
    const y = base(module, x);
    const lora = adapted.get(module);
    if (lora === undefined) return y;
    const { in: width, out } = sizes.get(module)!;
    const a_RI = g.input(`${module}.lora_A.weight`, [lora.rank, width]);
    const b_OR = g.input(`${module}.lora_B.weight`, [out, lora.rank]);
    const kept = dropout ? g.mul(x, g.input(`${module}.dropout`, x.shape)) : x;
    const down_NR = g.matMul(kept, a_RI, { transB: true });
    return g.add(y, g.matMul(down_NR, b_OR, { transB: true, alpha: lora.scale }));
  };
}
