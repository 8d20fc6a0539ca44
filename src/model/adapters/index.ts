import { type Builder, createBuilder, finishGraph, type Graph, type Value } from '../../graph/index.ts';
import type { Shape } from '../../tensor/tensor.ts';
import type { Linear, LinearModule } from '../architecture.ts';
import { dora } from './dora.ts';
import { ia3 } from './ia3.ts';
import { lora } from './lora.ts';
import type { AdaptedModule, AdapterKind, AdapterMethod, Initial } from './method.ts';
import { vera } from './vera.ts';

export type {
  AdaptedModule,
  AdapterKind,
  AdapterMethod,
  Initial,
  LowRank,
  Merge,
  Settings,
  SharedTensor,
  Start,
} from './method.ts';

const METHODS: { readonly [K in AdapterKind]: AdapterMethod<K> } = { lora, dora, vera, ia3 };
/** Their names. */
export const ADAPTER_KINDS = Object.keys(METHODS) as readonly AdapterKind[];

/** The adapted modules of a layer, by name. */
export type AdaptedModules = ReadonlyMap<string, AdaptedModule>;

/** The method of that name, to be given its own modules and settings only. */
export function methodOf({ kind }: { readonly kind: AdapterKind }): AdapterMethod<AdapterKind> {
  return METHODS[kind] as AdapterMethod<AdapterKind>;
}

/** The tensors of a module that train, by what follows its name. */
export function moduleTensors(module: AdaptedModule, size: LinearModule): Readonly<Record<string, Shape>> {
  return methodOf(module).tensors(module, size);
}

/** What a new tensor of a module begins as. */
export function initialOf(name: string, module: AdaptedModule, size: LinearModule): Initial {
  return methodOf(module).initial(name, module, size);
}

/** Names of the trained inputs of a layer, in the order of its modules. */
export function trainedInputs(adapted: AdaptedModules, modules: readonly LinearModule[]): string[] {
  return modules.flatMap((size) => {
    const module = adapted.get(size.module);
    return module === undefined ? [] : Object.keys(moduleTensors(module, size)).map((name) => `${size.module}.${name}`);
  });
}

/** Equal for layers that have the same programs. */
export function adaptedKey(adapted: AdaptedModules): string {
  return JSON.stringify([...adapted]);
}

/**
 * Linear modules, adapted where `adapted` names one. With dropout, the input `<module>.dropout` [N, in] is 0 for an element of x that the adapter does not see,
 * 1 / (1 - dropout) for one that it does.
 *
 * @param base the frozen modules
 */
export function adaptedLinear(
  g: Builder,
  modules: readonly LinearModule[],
  { adapted, dropout, base }: { readonly adapted: AdaptedModules; readonly dropout: boolean; readonly base: Linear },
): Linear {
  const sizes = new Map(modules.map((m) => [m.module, m]));
  return (name, x) => {
    const module = adapted.get(name);
    if (module === undefined) return base(name, x);
    const kept = dropout ? g.mul(x, g.input(`${name}.dropout`, x.shape)) : x;
    return methodOf(module).linear(module, { g, size: sizes.get(name)!, base, x, kept });
  };
}

/** What is made once from the weight of a module, input `weight`, by what follows the module's name; undefined where nothing is. */
export function fromWeightGraph(module: AdaptedModule, size: LinearModule): Graph | undefined {
  const { fromWeight } = methodOf(module);
  if (fromWeight === undefined) return undefined;
  const g = createBuilder();
  return finishGraph(g, { ...fromWeight(module, g, g.input('weight', [size.out, size.in])) });
}

/**
 * What the programs of a layer take that follows from what trains: inputs as a layer's programs have them, outputs by the names of their inputs.
 * Undefined where there is nothing.
 */
export function derivedGraph(
  adapted: AdaptedModules,
  modules: readonly LinearModule[],
  base: (g: Builder) => Linear,
): Graph | undefined {
  const g = createBuilder();
  const linear = base(g);
  const outputs: Record<string, Value> = {};
  for (const size of modules) {
    const module = adapted.get(size.module);
    const method = module && methodOf(module);
    if (method?.derived === undefined) continue;
    for (const [name, value] of Object.entries(method.derived(module!, { g, size, base: linear }))) {
      outputs[`${size.module}.${name}`] = value;
    }
  }
  return Object.keys(outputs).length === 0 ? undefined : finishGraph(g, outputs);
}
