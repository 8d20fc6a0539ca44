// Shape legend: N tokens, O rows and I columns of a stored matrix, which may be several tensors one above the other
import type { StoredTensor, StoredType } from '../../io/stored.ts';
import { sizeOf } from '../../tensor/tensor.ts';
import type { TensorType } from '../graph.ts';
import type { Op, ReadStored } from '../op.ts';

/** A constant matrix [O, I] that the engine reads from files when it compiles. */
export interface StoredMatrix {
  readonly tensors: readonly StoredTensor[];
}

/** Values that share one scale. */
export const QUANTIZED_BLOCK = 32;

/** Stored types whose codes are taken as they are; all others are rounded to 8 bits in blocks. */
export const KEPT_CODES = ['Q4_0', 'Q4_1', 'Q8_0'] as const satisfies readonly StoredType[];

/** Rows and columns of a stored matrix. */
export function matrixShape({ tensors }: StoredMatrix): readonly [rows: number, columns: number] {
  const columns = tensors[0]!.shape[1]!;
  if (tensors.some((t) => t.shape.length !== 2 || t.shape[1] !== columns)) {
    throw new Error(`internal: ${tensors.map((t) => t.name)} do not stand one above the other`);
  }
  return [tensors.reduce((sum, t) => sum + t.shape[0]!, 0), columns];
}

/**
 * x [N, I] times a stored matrix: [N, O]. For generation where speed counts: an engine may round weights that are not stored in 4 or 8 bits to
 * 8 bits in blocks of {@link QUANTIZED_BLOCK}, and x to 8 bits.
 */
export const quantizedLinear: Op<StoredMatrix> = {
  shape: ([x], matrix) => {
    const [rows, columns] = matrixShape(matrix);
    if (x!.shape.length !== 2 || x!.shape[1] !== columns) {
      throw new Error(`internal: quantizedLinear of [${x!.shape}] and [${rows},${columns}]`);
    }
    return { dtype: 'f32', shape: [x!.shape[0]!, rows] };
  },
  vjp: 'inference-only',
  emit: (e, [x], matrix, [type]) => {
    const [rows, columns] = matrixShape(matrix);
    const { bits, codes, scales, offsets } = e.quantized(matrix.tensors, 'blocks');
    const attrs = { N: rows, K: columns, bits, block_size: QUANTIZED_BLOCK, accuracy_level: 4 };
    const product = e.node('MatMulNBits', [x!, codes, scales], attrs, 'com.microsoft');
    if (offsets === undefined) return product;
    // A block's values are scale * code + offset, so its offset meets the sum of the block's x.
    const blocks = e.node('Reshape', [x!, e.i64([type!.shape[0]!, columns / QUANTIZED_BLOCK, QUANTIZED_BLOCK])]);
    const sums = e.node('ReduceSum', [blocks, e.i64([2])], { keepdims: 0 });
    return e.node('Gemm', [sums, offsets, product], { transB: 1 });
  },
  reference: ([x], matrix, _out, read) => {
    const [rows, columns] = matrixShape(matrix);
    const weights = widened(matrix, read);
    const n = x!.shape[0]!;
    const result = new Float64Array(n * rows);
    for (let i = 0; i < n; i++) {
      for (let o = 0; o < rows; o++) {
        let sum = 0;
        for (let j = 0; j < columns; j++) sum += x!.data[i * columns + j]! * weights[o * columns + j]!;
        result[i * rows + o] = sum;
      }
    }
    return result;
  },
};

/** Rows of a stored matrix by index [N]: [N, I], with the rounding of {@link quantizedLinear}. */
export const quantizedRows: Op<StoredMatrix> = {
  shape: ([index], matrix): TensorType => ({ dtype: 'f32', shape: [index!.shape[0]!, matrixShape(matrix)[1]] }),
  vjp: 'inference-only',
  emit: (e, [index], matrix, [type]) => {
    const [, columns] = matrixShape(matrix);
    const { bits, codes, scales, offsets } = e.quantized(matrix.tensors, 'rows');
    const attrs = { gather_axis: 0, quantize_axis: 1, block_size: QUANTIZED_BLOCK, bits };
    const rows = e.node('GatherBlockQuantized', [codes, index!, scales], attrs, 'com.microsoft');
    if (offsets === undefined) return rows;
    const n = type!.shape[0]!;
    const blocks = columns / QUANTIZED_BLOCK;
    const offset = e.node('Reshape', [e.node('Gather', [offsets, index!], { axis: 0 }), e.i64([n, blocks, 1])]);
    const sum = e.node('Add', [e.node('Reshape', [rows, e.i64([n, blocks, QUANTIZED_BLOCK])]), offset]);
    return e.node('Reshape', [sum, e.i64([n, columns])]);
  },
  reference: ([index], matrix, out, read) => {
    const columns = matrixShape(matrix)[1];
    const weights = widened(matrix, read);
    const result = new Float64Array(sizeOf(out.shape));
    index!.data.forEach((row, i) => {
      result.set(weights.subarray(row * columns, (row + 1) * columns), i * columns);
    });
    return result;
  },
};

function widened(matrix: StoredMatrix, read: ReadStored): Float32Array {
  const weights = new Float32Array(sizeOf(matrixShape(matrix)));
  let from = 0;
  for (const tensor of matrix.tensors) {
    const values = read(tensor);
    weights.set(values, from);
    from += values.length;
  }
  return weights;
}
