import type { Builder } from '../graph/index.ts';
import type { Linear, LinearModule } from './architecture.ts';

/** Plain linear modules: inputs `<module>.weight` [out, in]. */
export function baseLinear(g: Builder, modules: readonly LinearModule[]): Linear {
  const sizes = new Map(modules.map((m) => [m.module, m]));
  return (module, x) => {
    const size = sizes.get(module);
    if (size === undefined) throw new Error(`internal: unknown linear module ${module}`);
    return g.matMul(x, g.input(`${module}.weight`, [size.out, size.in]), { transB: true });
  };
}
