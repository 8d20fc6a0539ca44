import type { Op } from '../op.ts';

/** RMS normalisation over the last axis, x / sqrt(mean(x^2) + eps) * weight (Zhang and Sennrich 2019, arXiv:1910.07467). */
export const rmsNorm: Op<{ readonly eps: number }> = {
  shape: ([x]) => x!,
  vjp: (g, dy, [x, weight], _y, { eps }, wanted) => {
    const scale = g.rmsScale(x!, eps);
    const normed = g.mul(x!, scale);
    const width = x!.shape.at(-1)!;
    let dx: typeof dy | undefined;
    if (wanted[0]) {
      const dn = g.mul(dy, weight!);
      const mean = g.mul(g.reduceSum(g.mul(dn, normed), [-1]), g.scalar(1 / width));
      dx = g.mul(scale, g.sub(dn, g.mul(normed, mean)));
    }
    return [dx, wanted[1] ? g.sumTo(g.mul(dy, normed), weight!.shape) : undefined];
  },
  emit: (e, inputs, { eps }) => e.node('SimplifiedLayerNormalization', inputs, { axis: -1, epsilon: { float: eps } }),
  reference: ([x, weight], { eps }) => {
    const width = x!.shape.at(-1)!;
    const scale = rootMeanSquareScale(x!.data, width, eps);
    return x!.data.map((v, i) => v * scale[Math.floor(i / width)]! * weight!.data[i % width]!);
  },
};

/** 1 / sqrt(mean(x^2) + eps) over the last axis, which stays with length 1. Only gradients use it. */
export const rmsScale: Op<{ readonly eps: number }> = {
  shape: ([x]) => ({ dtype: 'f32', shape: x!.shape.with(-1, 1) }),
  vjp: (g, dy, [x], y) => [g.mul(x!, g.mul(g.mul(dy, g.mul(y, g.mul(y, y))), g.scalar(-1 / x!.shape.at(-1)!)))],
  emit: (e, [x], { eps }) => {
    const mean = e.node('ReduceMean', [e.node('Mul', [x!, x!]), e.i64([-1])], { keepdims: 1 });
    return e.node('Reciprocal', [e.node('Sqrt', [e.node('Add', [mean, e.f32([eps], [])])])]);
  },
  reference: ([x], { eps }) => rootMeanSquareScale(x!.data, x!.shape.at(-1)!, eps),
};

function rootMeanSquareScale(x: Float64Array, width: number, eps: number): Float64Array {
  const scale = new Float64Array(x.length / width);
  for (let row = 0; row < scale.length; row++) {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += x[row * width + i]! ** 2;
    scale[row] = 1 / Math.sqrt(sum / width + eps);
  }
  return scale;
}

/**
 * Rotary position embedding (Su et al. 2021, arXiv:2104.09864) in the half-split layout of Hugging Face models:
 * x [N, H * K] and cos, sin [N, K / 2] of each token's position.
 */
export const rope: Op<Record<string, never>> = {
  shape: ([x]) => x!,
  // The rotation is orthogonal: its transpose turns the other way.
  vjp: (g, dy, [_x, cos, sin]) => [g.rope(dy, cos!, g.neg(sin!)), undefined, undefined],
  emit: (e, [x, cos, sin], _attrs, [type]) => {
    const [n, width] = type!.shape;
    const rotated = e.node(
      'RotaryEmbedding',
      [e.node('Reshape', [x!, e.i64([1, n!, width!])]), e.i64([0]), cos!, sin!],
      {},
      'com.microsoft',
    );
    return e.node('Reshape', [rotated, e.i64([n!, width!])]);
  },
  reference: ([x, cos, sin]) => {
    const [n, width] = x!.shape as [number, number];
    const half = cos!.shape[1]!;
    const result = new Float64Array(x!.data.length);
    for (let t = 0; t < n; t++) {
      for (let head = 0; head < width; head += 2 * half) {
        for (let i = 0; i < half; i++) {
          const at = t * width + head + i;
          const [c, s] = [cos!.data[t * half + i]!, sin!.data[t * half + i]!];
          result[at] = x!.data[at]! * c - x!.data[at + half]! * s;
          result[at + half] = x!.data[at + half]! * c + x!.data[at]! * s;
        }
      }
    }
    return result;
  },
};
