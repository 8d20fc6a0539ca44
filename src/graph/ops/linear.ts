import { sizeOf } from '../../tensor/tensor.ts';
import type { Builder } from '../builder.ts';
import type { TensorType, Value } from '../graph.ts';
import type { Emitter, Op } from '../op.ts';
import { broadcastShape, broadcastStrides, walk } from '../shapes.ts';

/** Attributes of {@link matMul}. */
export interface MatMulAttrs {
  /** Read the last two axes of the first operand swapped. */
  readonly transA: boolean;
  readonly transB: boolean;
  /** The product is multiplied by it. */
  readonly alpha: number;
}

/** alpha * A B over the last two axes; the axes before them broadcast. */
export const matMul: Op<MatMulAttrs> = {
  shape: ([a, b], { transA, transB }) => {
    const [m, k] = matrix(a!, transA);
    const [k2, n] = matrix(b!, transB);
    if (k !== k2) throw new Error(`internal: matMul [${a!.shape}]${transA} x [${b!.shape}]${transB}`);
    return { dtype: 'f32', shape: [...broadcastShape(a!.shape.slice(0, -2), b!.shape.slice(0, -2)), m, n] };
  },
  vjp: (g, dy, [a, b], _y, attrs, wanted) => [
    wanted[0] ? matMulGradA(g, dy, a!, b!, attrs) : undefined,
    wanted[1] ? matMulGradB(g, dy, a!, b!, attrs) : undefined,
  ],
  emit: (e, [a, b], { transA, transB, alpha }, [ta, tb], out) => {
    if (e.device === 'cpu' && transA && !transB && narrow(out, ta!, tb!)) {
      return e.node('Transpose', [emitTurned(e, [a!, b!], alpha, [ta!, tb!], out)], {
        perm: swapLast(out.shape.length),
      });
    }
    const flags = { transA: transA ? 1 : 0, transB: transB ? 1 : 0, alpha: { float: alpha } };
    if (ta!.shape.length === 2 && tb!.shape.length === 2) return e.node('Gemm', [a!, b!], flags);
    if (e.device === 'cpu') return e.node('FusedMatMul', [a!, b!], flags, 'com.microsoft');
    const left = transA ? e.node('Transpose', [a!], { perm: swapLast(ta!.shape.length) }) : a!;
    const right = transB ? e.node('Transpose', [b!], { perm: swapLast(tb!.shape.length) }) : b!;
    const product = e.node('MatMul', [left, right]);
    return alpha === 1 ? product : e.node('Mul', [product, e.f32([alpha], [])]);
  },
  reference: ([a, b], { transA, transB, alpha }, out) => {
    const [m, k] = matrix({ dtype: 'f32', shape: a!.shape }, transA);
    const n = out.shape.at(-1)!;
    const batch = out.shape.slice(0, -2);
    const result = new Float64Array(sizeOf(out.shape));
    const baseB: number[] = [];
    walk(batch, broadcastStrides(b!.shape.slice(0, -2), batch), (offset) => baseB.push(offset * k * n));
    walk(batch, broadcastStrides(a!.shape.slice(0, -2), batch), (offset, index) => {
      const fromA = offset * m * k;
      const fromB = baseB[index]!;
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let l = 0; l < k; l++) {
            const x = a!.data[fromA + (transA ? l * m + i : i * k + l)]!;
            sum += x * b!.data[fromB + (transB ? j * k + l : l * n + j)]!;
          }
          result[index * m * n + i * n + j] = alpha * sum;
        }
      }
    });
    return result;
  },
};

/** Whether A^T B has far fewer columns than rows. */
function narrow(out: TensorType, a: TensorType, b: TensorType): boolean {
  const rank = out.shape.length;
  return out.shape.at(-1)! * 4 <= out.shape.at(-2)! && a.shape.length === rank && b.shape.length === rank;
}

/**
 * A^T B as the transpose of B^T A: MLAS packs a transposed left matrix element by element, which costs as much as the product where the
 * product is narrow (the gradients of LoRA's B and of attention's keys and values), and little when the smaller matrix stands there.
 */
function emitTurned(
  e: Emitter,
  [a, b]: readonly [string, string],
  alpha: number,
  [ta, tb]: readonly [TensorType, TensorType],
  out: TensorType,
): string {
  const shape = [...out.shape.slice(0, -2), out.shape.at(-1)!, out.shape.at(-2)!];
  return matMul.emit(e, [b, a], { transA: true, transB: false, alpha }, [tb, ta], { ...out, shape });
}

function matrix({ shape }: TensorType, trans: boolean): [rows: number, columns: number] {
  const rows = shape.at(-2);
  const columns = shape.at(-1);
  if (rows === undefined || columns === undefined) throw new Error(`internal: matMul needs matrices, got [${shape}]`);
  return trans ? [columns, rows] : [rows, columns];
}

function swapLast(rank: number): number[] {
  const perm = Array.from({ length: rank }, (_, i) => i);
  [perm[rank - 2], perm[rank - 1]] = [rank - 1, rank - 2];
  return perm;
}

function matMulGradA(g: Builder, dy: Value, a: Value, b: Value, { transA, transB, alpha }: MatMulAttrs): Value {
  const grad = transA
    ? g.matMul(b, dy, { transA: transB, transB: true, alpha })
    : g.matMul(dy, b, { transB: !transB, alpha });
  return g.sumTo(grad, a.shape);
}

function matMulGradB(g: Builder, dy: Value, a: Value, b: Value, { transA, transB, alpha }: MatMulAttrs): Value {
  const grad = transB
    ? g.matMul(dy, a, { transA: true, transB: transA, alpha })
    : g.matMul(a, dy, { transA: !transA, alpha });
  return g.sumTo(grad, b.shape);
}
