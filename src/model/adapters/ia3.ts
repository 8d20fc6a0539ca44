import type { AdapterMethod, Of } from './method.ts';
import { isSuffix, matchesTargets } from './targets.ts';

/**
 * (IA)^3 (Liu et al. 2022, arXiv:2205.05638): a vector l, one at the start, that scales what a module puts out, or what goes into it. Its shape is
 * peft's: [O, 1] or [1, I].
 */
export const ia3: AdapterMethod<'ia3'> = {
  tensors: ({ scales }, size) => ({ ia3_l: scales === 'input' ? [1, size.in] : [size.out, 1] }),
  initial: () => ({ fill: 1 }),
  linear({ scales }, { g, size, base, x }) {
    const shape = scales === 'input' ? [1, size.in] : [size.out, 1];
    const l = g.reshape(g.input(`${size.module}.ia3_l`, shape), [scales === 'input' ? size.in : size.out]);
    if (scales === 'input') return base(size.module, g.mul(x, l));
    const y = g.mul(base(size.module, x), l);
    if (!size.bias) return y;
    // The bias is added behind this, unscaled.
    return g.add(y, g.mul(g.sub(l, g.scalar(1)), g.input(`${size.module}.bias`, [size.out])));
  },
  merge({ scales }, _, tensor) {
    const l = tensor('ia3_l').data as Float32Array;
    if (scales === 'input') {
      return {
        row(row) {
          for (let i = 0; i < row.length; i++) row[i]! *= l[i]!;
        },
      };
    }
    return {
      row(row, o) {
        for (let i = 0; i < row.length; i++) row[i]! *= l[o]!;
      },
      bias: l,
    };
  },
  rate: 10,
  hasDropout: false,
  folder: {
    peftType: 'IA3',
    refused: ['exclude_modules'],
    knowsLayers: false,
    knowsTying: false,
    dropoutKey: undefined,
    read: ({ json, names }) => ({
      kind: 'ia3',
      feedforward: json.feedforward_modules === null ? [] : names('feedforward_modules'),
    }),
    write: (_, modules, targets) => ({ init_ia3_weights: true, ...namesOf(modules, targets) }),
    adapt: ({ feedforward }, name) => ({
      kind: 'ia3',
      scales: matchesTargets(feedforward, name) ? 'input' : 'output',
    }),
  },
};

/** peft wants feedforward_modules to be some of target_modules, letter by letter, unless those are a pattern. */
function namesOf(
  modules: ReadonlyMap<string, Of<'ia3'>>,
  targets: string | readonly string[],
): Record<string, unknown> {
  const inputs = [...modules].filter(([, { scales }]) => scales === 'input').map(([name]) => name);
  const full = { feedforward_modules: inputs };
  if (typeof targets === 'string') return full;
  const howMany = (target: string, names: Iterable<string>) =>
    [...names].filter((name) => isSuffix(target, name)).length;
  const short = targets.filter((target) => howMany(target, inputs) > 0);
  const isSame = short.every((target) => howMany(target, inputs) === howMany(target, modules.keys()));
  return isSame ? { feedforward_modules: short } : { ...full, target_modules: [...modules.keys()] };
}
