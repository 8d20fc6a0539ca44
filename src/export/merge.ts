import { TunesmithError } from '../errors/index.ts';
import { readStored, readStoredRows } from '../io/read-stored.ts';
import { type StoredTensor, withRows } from '../io/stored.ts';
import { type AdaptedModule, type Merge, methodOf } from '../model/adapters/index.ts';
import type { LinearModule } from '../model/architecture.ts';
import { linearModules } from '../model/architectures.ts';
import { layerTensor } from '../model/names.ts';
import { PEFT_PREFIX, type PeftAdapter, peftName } from '../model/peft.ts';
import type { ModelSource } from '../model/source.ts';
import { tokenTensors } from '../model/token-rows.ts';
import { expectedTensors } from '../model/weights.ts';
import { f32, type Shape } from '../tensor/tensor.ts';

/** A model with its adapter merged into its weights, which are computed when they are read. */
export interface MergedModel {
  readonly source: ModelSource;
  /** By Hugging Face name, in the order of the model. */
  readonly shapes: ReadonlyMap<string, Shape>;
  /** Whether an adapter changes this tensor. */
  isChanged(name: string): boolean;
  /** Rows (slices of the first axis) of a tensor as float32, such as W + scale B A, rounded once. */
  rows(name: string, first: number, count: number): Float32Array;
}

/** The two factors of one adapted module: W [out, in] + scale B [out, rank] A [rank, in]. */
export interface LoraFactors {
  readonly a: StoredTensor;
  readonly b: StoredTensor;
  readonly rank: number;
  readonly scale: number;
}

/** The factors of a LoRA adapter by the Hugging Face name of the weight that they change. */
export function loraFactors({ spec, tensors }: PeftAdapter): ReadonlyMap<string, LoraFactors> {
  const factors = new Map<string, LoraFactors>();
  for (const [layer, adapted] of spec.modules.entries()) {
    for (const [module, how] of adapted) {
      if (how.kind !== 'lora') continue;
      const { rank, scale } = how;
      const a = tensors.get(peftName(spec, layer, module, 'lora_A.weight'));
      const b = tensors.get(peftName(spec, layer, module, 'lora_B.weight'));
      if (a === undefined || b === undefined) throw new Error(`internal: no factors of ${module}`);
      factors.set(`${layerTensor(spec, layer, module)}.weight`, { a, b, rank, scale });
    }
  }
  return factors;
}

/**
 * Opens a model with an adapter merged in; without one its weights as they are. Quantised weights are merged into as training saw them, widened to float32.
 *
 * @throws EXPORT_UNSUPPORTED for a head that was trained apart from the embedding that it is one tensor with
 */
export function openMerged(source: ModelSource, adapter: PeftAdapter | undefined): MergedModel {
  if (adapter?.spec.tie === 'cut') {
    throw new TunesmithError('EXPORT_UNSUPPORTED', {
      file: source.path,
      message: 'has embedding and head in one tensor, and the adapter trained them apart.',
      fix: 'export the adapter itself, with --to peft',
    });
  }
  const changes = adapter === undefined ? new Map<string, Change>() : changesOf(source, adapter);
  const open = mergeReader(adapter);
  return {
    source,
    shapes: expectedTensors(source.config),
    isChanged: (name) => changes.has(name),
    rows(name, first, count) {
      const change = changes.get(name);
      const stored = change?.kind === 'replaced' ? change.by : source.tensors.get(name);
      if (stored === undefined) throw new Error(`internal: no tensor ${name}`);
      const weights = readStoredRows(stored, first, count);
      if (change?.kind === 'merged') mergeRows(weights, open(change), first, change);
      return weights;
    },
  };
}

/** What an adapter does to a tensor. */
type Change =
  | { readonly kind: 'replaced'; readonly by: StoredTensor }
  | {
      readonly kind: 'merged';
      readonly what: 'weight' | 'bias';
      readonly layer: number;
      readonly size: LinearModule;
      readonly module: AdaptedModule;
    };

function changesOf({ config, ...source }: ModelSource, { spec, tensors }: PeftAdapter): Map<string, Change> {
  const changes = new Map<string, Change>();
  for (const name of spec.saved) {
    changes.set(name, { kind: 'replaced', by: tensors.get(`${PEFT_PREFIX}${name}`)! });
  }
  for (const { hf, name } of tokenTensors(config, spec)) {
    const rows = readStored(tensors.get(`${PEFT_PREFIX}${name}`)!);
    changes.set(hf, {
      kind: 'replaced',
      by: withRows(source.tensors.get(hf)!, config.vocabSize, spec.tokenRows!, rows),
    });
  }
  for (const [layer, adapted] of spec.modules.entries()) {
    for (const size of linearModules(config, layer)) {
      const module = adapted.get(size.module);
      if (module === undefined) continue;
      for (const what of size.bias ? (['weight', 'bias'] as const) : (['weight'] as const)) {
        changes.set(layerTensor(config, layer, `${size.module}.${what}`), {
          kind: 'merged',
          what,
          layer,
          size,
          module,
        });
      }
    }
  }
  return changes;
}

/** Keeps the tensors of the module that was read last: a weight is read in many pieces. */
function mergeReader(adapter: PeftAdapter | undefined): (change: Change & { kind: 'merged' }) => Merge {
  let last: { readonly place: string; readonly merge: Merge } | undefined;
  return ({ layer, size, module }) => {
    const place = `${layer}.${size.module}`;
    if (last?.place === place) return last.merge;
    const { spec, tensors } = adapter!;
    const read = (part: string) => {
      const stored = tensors.get(peftName(spec, layer, size.module, part)) ?? tensors.get(`base_model.${part}`);
      if (stored === undefined) throw new Error(`internal: no ${part} of ${size.module}`);
      return f32(readStored(stored), stored.shape);
    };
    last = { place, merge: methodOf(module).merge(module, size, read) };
    return last.merge;
  };
}

/** Changes rows of a weight, or values of a bias; sums are kept in float64, so that each is rounded once. */
function mergeRows(
  values: Float32Array,
  merge: Merge,
  first: number,
  { what, size }: Change & { kind: 'merged' },
): void {
  if (what === 'bias') {
    for (let i = 0; i < values.length; i++) values[i]! *= merge.bias?.[first + i] ?? 1;
    return;
  }
  for (let o = 0, at = 0; at < values.length; o++, at += size.in) {
    const row = Float64Array.from(values.subarray(at, at + size.in));
    merge.row(row, first + o);
    values.set(row, at);
  }
}

/** A tensor's merged values, all of them. */
export function mergedTensor(model: MergedModel, name: string): Float32Array {
  return model.rows(name, 0, model.shapes.get(name)?.[0] ?? 0);
}
