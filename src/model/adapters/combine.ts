import { fillDropout } from '../../math/random.ts';

/** The update of one module: scale * B A. Ranks R, inputs I, outputs O. */
export interface Update {
  readonly rank: number;
  readonly scale: number;
  /** [R, I] */
  readonly a: Float32Array;
  /** [O, R] */
  readonly b: Float32Array;
}

/** Factors whose product is an update, scale 1. */
export type Factors = Omit<Update, 'scale'>;

/**
 * The sum of updates, each times its weight (task arithmetic: Ilharco et al. 2022, arXiv:2212.04089), without loss: their factors stand side by side, so that the
 * ranks add up.
 */
export function sumOf(updates: readonly Update[], weights: readonly number[]): Factors {
  const rank = updates.reduce((n, one) => n + one.rank, 0);
  const [inputs, outputs] = sizesOf(updates[0]!);
  const [a, b] = [new Float32Array(rank * inputs), new Float32Array(outputs * rank)];
  let from = 0;
  for (const [i, update] of updates.entries()) {
    a.set(update.a, from * inputs);
    const weight = weights[i]! * update.scale;
    for (let o = 0; o < outputs; o++) {
      for (let r = 0; r < update.rank; r++) b[o * rank + from + r] = weight * update.b[o * update.rank + r]!;
    }
    from += update.rank;
  }
  return { rank, a, b };
}

function sizesOf({ rank, a, b }: Factors): readonly [inputs: number, outputs: number] {
  return [a.length / rank, b.length / rank];
}

/**
 * Drop and rescale (DARE: Yu et al. 2023, arXiv:2311.03099): of each factor a share `density` is kept by chance and made larger by as much, and the updates are
 * summed. Factors are drawn independently, so that the expected value is the sum itself.
 *
 * @param purpose what the random numbers are for; each module has its own
 */
export function dareOf(
  updates: readonly Update[],
  weights: readonly number[],
  { density, seed, purpose }: { readonly density: number; readonly seed: number; readonly purpose: string },
): Factors {
  const dropped = updates.map((update, i) => {
    const thin = (values: Float32Array, which: number) => {
      const mask = fillDropout(new Float32Array(values.length), 1 - density, { seed, purpose, a: i, b: which });
      return values.map((value, at) => value * mask[at]!);
    };
    return { ...update, a: thin(update.a, 0), b: thin(update.b, 1) };
  });
  return sumOf(dropped, weights);
}

/**
 * TIES (Yadav et al. 2023, arXiv:2306.01708), of either factor by itself as in peft's add_weighted_adapter: of each the share `density` that is largest stays, the sign
 * that outweighs the other is elected place by place, and the mean is taken of what has it. A weight goes by its root into either factor.
 *
 * @param updates of one rank
 */
export function tiesOf(updates: readonly Update[], weights: readonly number[], density: number): Factors {
  const products = updates.map(({ scale }, i) => weights[i]! * scale);
  const roots = products.map((product) => Math.sqrt(Math.abs(product)));
  const signed = roots.map((root, i) => root * Math.sign(products[i]!));
  const { rank } = updates[0]!;
  const of = (factor: 'a' | 'b', shares: readonly number[]) =>
    elected(
      updates.map((update) => largest(update[factor], density)),
      shares,
    );
  return { rank, a: of('a', signed), b: of('b', roots) };
}

/** Values of which all but the largest are 0; of equally large ones the first stay. */
function largest(values: Float32Array, density: number): Float32Array {
  const count = Math.floor(density * values.length);
  if (count >= values.length) return values;
  const kept = new Float32Array(values.length);
  const order = Array.from(values.keys()).sort((i, j) => Math.abs(values[j]!) - Math.abs(values[i]!) || i - j);
  for (const at of order.slice(0, count)) kept[at] = values[at]!;
  return kept;
}

function elected(all: readonly Float32Array[], weights: readonly number[]): Float32Array {
  return all[0]!.map((_, at) => {
    const total = all.reduce((sum, values) => sum + values[at]!, 0);
    const sign = total >= 0 ? 1 : -1;
    const [sum, count] = all.reduce(
      ([sum, count], values, i) =>
        Math.sign(values[at]!) === sign ? [sum + weights[i]! * values[at]!, count + 1] : [sum, count],
      [0, 0],
    );
    return sum / Math.max(1, count);
  });
}

/**
 * A step along the arc between two updates, of which share `t` lies behind it (SLERP: Shoemake 1985, "Animating rotation with quaternion curves"): sin((1 - t) w) / sin w
 * of the one and sin(t w) / sin w of the other, w the angle between them. Where they point the same way, or against each other, the straight line.
 */
export function slerpOf([first, second]: readonly [Update, Update], t: number): Factors {
  const cosine = inner(first, second) / Math.sqrt(inner(first, first) * inner(second, second));
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  const sine = Math.sin(angle);
  const weights = sine > 1e-6 ? [Math.sin((1 - t) * angle) / sine, Math.sin(t * angle) / sine] : [1 - t, t];
  return sumOf([first, second], weights);
}

/** The sum over all entries of the product of two updates: that of (B1^T B2) and (A1 A2^T), so that none is formed. */
function inner(one: Update, other: Update): number {
  const [inputs, outputs] = sizesOf(one);
  let sum = 0;
  for (let r = 0; r < one.rank; r++) {
    for (let s = 0; s < other.rank; s++) {
      let [a, b] = [0, 0];
      for (let i = 0; i < inputs; i++) a += one.a[r * inputs + i]! * other.a[s * inputs + i]!;
      for (let o = 0; o < outputs; o++) b += one.b[o * one.rank + r]! * other.b[o * other.rank + s]!;
      sum += a * b;
    }
  }
  return one.scale * other.scale * sum;
}
