import { readStored, readStoredRows } from '../io/read-stored.ts';
import type { StoredTensor } from '../io/stored.ts';
import { layerTensor } from '../model/names.ts';
import { type PeftAdapter, peftName } from '../model/peft.ts';
import type { ModelSource } from '../model/source.ts';
import { expectedTensors } from '../model/weights.ts';
import { type Shape, sizeOf } from '../tensor/tensor.ts';

/** A model with its adapter merged into its weights, which are computed when they are read. */
export interface MergedModel {
  readonly source: ModelSource;
  /** By Hugging Face name, in the order of the model. */
  readonly shapes: ReadonlyMap<string, Shape>;
  /** Whether an adapter changes this tensor. */
  isChanged(name: string): boolean;
  /** Rows (slices of the first axis) of a tensor as float32: W + scale B A, rounded once. */
  rows(name: string, first: number, count: number): Float32Array;
}

/** The two factors of one adapted module: W [out, in] + scale B [out, rank] A [rank, in]. */
export interface LoraFactors {
  readonly a: StoredTensor;
  readonly b: StoredTensor;
  readonly rank: number;
  readonly scale: number;
}

/** The factors of an adapter by the Hugging Face name of the weight that they change. */
export function loraFactors({ spec, tensors }: PeftAdapter): ReadonlyMap<string, LoraFactors> {
  const factors = new Map<string, LoraFactors>();
  for (const [layer, adapted] of spec.modules.entries()) {
    for (const [module, { rank, scale }] of adapted) {
      const a = tensors.get(peftName(spec, layer, module, 'lora_A'));
      const b = tensors.get(peftName(spec, layer, module, 'lora_B'));
      if (a === undefined || b === undefined) throw new Error(`internal: no factors of ${module}`);
      factors.set(`${layerTensor(spec, layer, module)}.weight`, { a, b, rank, scale });
    }
  }
  return factors;
}

/** Opens a model with an adapter merged in; without one its weights as they are. Quantised weights are merged into as training saw them, widened to float32. */
export function openMerged(source: ModelSource, adapter: PeftAdapter | undefined): MergedModel {
  const factors = adapter === undefined ? new Map<string, LoraFactors>() : loraFactors(adapter);
  const read = factorReader();
  return {
    source,
    shapes: expectedTensors(source.config),
    isChanged: (name) => factors.has(name),
    rows(name, first, count) {
      const stored = source.tensors.get(name);
      if (stored === undefined) throw new Error(`internal: no tensor ${name}`);
      const weights = readStoredRows(stored, first, count);
      const own = factors.get(name);
      if (own !== undefined) addProduct(weights, read(own), own, first);
      return weights;
    },
  };
}

/** A tensor's merged values, all of them. */
export function mergedTensor(model: MergedModel, name: string): Float32Array {
  return model.rows(name, 0, model.shapes.get(name)?.[0] ?? 0);
}

interface FactorValues {
  readonly a_RI: Float32Array;
  readonly b_OR: Float32Array;
}

/** Keeps the factors that were read last: a tensor is read in many pieces. */
function factorReader(): (factors: LoraFactors) => FactorValues {
  let last: { readonly of: LoraFactors; readonly values: FactorValues } | undefined;
  return (of) => {
    if (last?.of !== of) last = { of, values: { a_RI: readStored(of.a), b_OR: readStored(of.b) } };
    return last.values;
  };
}

/** Adds scale B A to rows of W; sums are kept in float64, so that each weight is rounded once. */
function addProduct(w_NI: Float32Array, { a_RI, b_OR }: FactorValues, { a, rank, scale }: LoraFactors, first: number) {
  const width = sizeOf(a.shape.slice(1));
  const sum = new Float64Array(width);
  for (let row = 0, at = 0; at < w_NI.length; row++, at += width) {
    sum.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = scale * b_OR[(first + row) * rank + r]!;
      const from = r * width;
      for (let i = 0; i < width; i++) sum[i]! += factor * a_RI[from + i]!;
    }
    for (let i = 0; i < width; i++) w_NI[at + i]! += sum[i]!;
  }
}
