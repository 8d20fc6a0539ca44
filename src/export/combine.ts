import { basename } from 'node:path';
import { TunesmithError } from '../errors/index.ts';
import { createFolderAtomic, readStored, type TensorToWrite } from '../io/index.ts';
import type { AdapterSpec } from '../model/adapter.ts';
import { loraRequest, resolveAdapter } from '../model/adapter.ts';
import { dareOf, type Factors, slerpOf, sumOf, tiesOf, type Update } from '../model/adapters/combine.ts';
import type { ModelConfig } from '../model/config.ts';
import { layerTensor } from '../model/names.ts';
import { openPeft, type PeftAdapter, peftName, writePeft } from '../model/peft.ts';

/** How several adapters become one. */
export type Combination =
  /** The weighted sum of the updates. */
  | { readonly kind: 'linear' }
  /** Of each factor the largest, and of these what has the sign that outweighs the other. */
  | { readonly kind: 'ties'; readonly density: number }
  /** Of each factor a random part, made larger by as much as is left out. */
  | { readonly kind: 'dare'; readonly density: number; readonly seed: number }
  /** Along the arc between two. */
  | { readonly kind: 'slerp' };

/** An adapter to be combined. */
export interface Part {
  /** A PEFT folder. */
  readonly adapter: string;
  /** What its update is multiplied by. */
  readonly weight: number;
}

/**
 * Makes one LoRA adapter of several of the same base, and writes it as a PEFT folder.
 *
 * @returns its rank
 * @throws ADAPTER_UNSUPPORTED for what is not LoRA alone, on the same modules; ADAPTER_MISMATCH for another base; EXPORT_FOLDER if `out` is there
 */
export async function combineAdapters(
  parts: readonly Part[],
  config: ModelConfig,
  combination: Combination,
  out: string,
): Promise<number> {
  const adapters = parts.map(({ adapter }) => ({ folder: adapter, ...openPeft(adapter, config, 'CAUSAL_LM') }));
  for (const one of adapters) requireAlike(one, adapters[0]!, combination);
  const { spec, baseHash, baseModel } = adapters[0]!;
  const weights = parts.map(({ weight }) => weight);
  const tensors: TensorToWrite<'F32'>[] = [];
  let rank = 0;
  for (const [layer, modules] of spec.modules.entries()) {
    for (const module of modules.keys()) {
      const updates = adapters.map((adapter) => updateOf(adapter, layer, module));
      const name = (part: string) => peftName(config, layer, module, part);
      const { a, b, ...made } = combined(updates, weights, combination, name(''));
      rank = made.rank;
      tensors.push(
        { name: name('lora_A.weight'), type: 'F32', shape: [rank, a.length / rank], data: a },
        { name: name('lora_B.weight'), type: 'F32', shape: [b.length / rank, rank], data: b },
      );
    }
  }
  const made = resolveAdapter(config, loraRequest({ rank, alpha: rank, targets: spec.targets, layers: spec.layers }));
  const origin = { baseModel, baseHash: baseHash ?? '' };
  if (await createFolderAtomic(out, (folder) => writePeft(folder, made, tensors, origin))) return rank;
  throw new TunesmithError('EXPORT_FOLDER', { file: out, message: 'is there already.' });
}

function combined(
  updates: readonly Update[],
  weights: readonly number[],
  combination: Combination,
  purpose: string,
): Factors {
  switch (combination.kind) {
    case 'linear':
      return sumOf(updates, weights);
    case 'ties':
      return tiesOf(updates, weights, combination.density);
    case 'dare':
      return dareOf(updates, weights, { ...combination, purpose: `dare/${purpose}` });
    case 'slerp':
      return slerpOf([updates[0]!, updates[1]!], weights[1]! / (weights[0]! + weights[1]!));
    default:
      return combination satisfies never;
  }
}

type Opened = PeftAdapter & { readonly folder: string };

function updateOf({ spec, tensors }: Opened, layer: number, module: string): Update {
  const how = spec.modules[layer]?.get(module);
  if (how?.kind !== 'lora') throw new Error(`internal: no LoRA on ${module}`);
  const read = (part: string) => readStored(tensors.get(peftName(spec, layer, module, part))!);
  return { rank: how.rank, scale: how.scale, a: read('lora_A.weight'), b: read('lora_B.weight') };
}

/** @throws ADAPTER_UNSUPPORTED, ADAPTER_MISMATCH */
function requireAlike(one: Opened, first: Opened, { kind }: Combination): void {
  const refuse = (message: string, fix?: string) =>
    new TunesmithError('ADAPTER_UNSUPPORTED', { file: one.folder, message, fix });
  if (one.spec.settings.kind !== 'lora') throw refuse(`is ${one.spec.settings.kind}: only LoRA adapters are merged.`);
  if (one.spec.saved.length > 0 || one.spec.tokenRows !== undefined) {
    throw refuse('has modules that trained in full beside LoRA, which have no update to be merged.');
  }
  const ranks = new Set(one.spec.modules.flatMap((modules) => [...modules.values()].map(rankOf)));
  if (ranks.size > 1) throw refuse('has several ranks, and what is merged needs one.');
  if (modulesOf(one.spec) !== modulesOf(first.spec)) {
    throw refuse(`adapts other modules than ${basename(first.folder)} does.`, 'merge runs of the same --targets');
  }
  if (kind === 'ties' && String([...ranks]) !== String(rankOf(firstModule(first.spec)))) {
    throw refuse('has another rank than the first: ties goes factor by factor.', '--method linear');
  }
  if (one.baseHash !== undefined && first.baseHash !== undefined && one.baseHash !== first.baseHash) {
    const message = `belongs to another base model than ${basename(first.folder)} does.`;
    throw new TunesmithError('ADAPTER_MISMATCH', { file: one.folder, message });
  }
}

type Module = AdapterSpec['modules'][number] extends ReadonlyMap<string, infer M> ? M : never;

const rankOf = (module: Module | undefined) => (module?.kind === 'lora' ? module.rank : 0);

function firstModule({ modules }: AdapterSpec): Module | undefined {
  return modules.flatMap((names) => [...names.values()])[0];
}

function modulesOf(spec: AdapterSpec): string {
  return spec.modules
    .flatMap((modules, layer) => [...modules.keys()].map((module) => layerTensor(spec, layer, module)))
    .join(' ');
}
