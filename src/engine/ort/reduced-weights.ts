import type { Emitter } from '../../graph/index.ts';
import type { Shape } from '../../tensor/tensor.ts';
import { type BlockType, bitsOf } from './quantize.ts';

/** How the numbers of a weight lie in a model file. */
export type WeightForm = 'F32' | 'F16' | BlockType;

/** A weight on its way into a model file. */
export interface FileWeight {
  readonly shape: Shape;
  readonly form: WeightForm;
  /** Rows (slices of the first axis) as float32. */
  rows(first: number, count: number): Float32Array;
}

/** One that lies in blocks: its codes and scales are two tensors of the file. */
type InBlocks = FileWeight & { readonly form: BlockType };

/** An emitter that reads weights as they lie in a file, and the values that stand for inputs of the graph. */
export interface ReducedReader {
  readonly emitter: Emitter;
  nameOf(input: string): string;
}

/**
 * Reads weights of 16 bits by way of a Cast, and those in blocks by the operators that take them so: products with the transposed matrix, and
 * rows by index.
 */
export function readReduced(plain: Emitter, weights: ReadonlyMap<string, FileWeight>): ReducedReader {
  const widened = new Map<string, string>();
  const inBlocks = (name: string): InBlocks | undefined => {
    const weight = weights.get(name);
    return weight !== undefined && isInBlocks(weight) ? weight : undefined;
  };
  const node: Emitter['node'] = (opType, inputs, attrs = {}, ...rest) => {
    const place = inputs.findIndex((name) => inBlocks(name) !== undefined);
    if (place < 0) return plain.node(opType, inputs, attrs, ...rest);
    const [name, other] = [inputs[place]!, inputs[1 - place]!];
    if (opType === 'Gemm' && place === 1 && attrs.transB === 1) return product(plain, other, name, inBlocks(name)!);
    if (opType === 'Gather' && place === 0) return pickedRows(plain, other, name, inBlocks(name)!);
    throw new Error(`internal: ${opType} does not read ${name} in blocks`);
  };
  return {
    emitter: { ...plain, node },
    nameOf(input) {
      if (weights.get(input)?.form !== 'F16') return input;
      const name = widened.get(input) ?? plain.node('Cast', [input], { to: 1 });
      widened.set(input, name);
      return name;
    },
  };
}

function isInBlocks(weight: FileWeight): weight is InBlocks {
  return weight.form !== 'F32' && weight.form !== 'F16';
}

/** x [N, I] times the transposed matrix. Activations stay in float32. */
function product(e: Emitter, x: string, name: string, { shape: [rows, columns], form }: InBlocks): string {
  const attrs = { N: rows!, K: columns!, bits: bitsOf(form), block_size: 32 };
  return e.node('MatMulNBits', [x, `${name}.codes`, `${name}.scales`], attrs, 'com.microsoft');
}

function pickedRows(e: Emitter, index: string, name: string, { shape, form }: InBlocks): string {
  const [rows, columns] = shape as readonly [number, number];
  const codes = e.node('Reshape', [`${name}.codes`, e.i64([rows, (columns * bitsOf(form)) / 8])]);
  const attrs = { gather_axis: 0, quantize_axis: 1, block_size: 32, bits: bitsOf(form) };
  return e.node('GatherBlockQuantized', [codes, index, `${name}.scales`], attrs, 'com.microsoft');
}
