import type { Emitter } from '../../graph/index.ts';

/**
 * An axis whose length is known only when the model runs. In the graph a number stands for it that nothing else is a multiple of; see
 * {@link standIns}.
 */
export interface DynamicAxis {
  /** Name of the axis, as a symbol of the file. */
  readonly name: string;
  readonly length: number;
  /** Where its length is read when the model runs; undefined for one that only inputs and outputs have. */
  readonly from?: { readonly input: string; readonly axis: number };
}

/**
 * Primes: larger than the width of a head, far apart (so that the difference of two is too), and small enough that the product of three with the
 * heads of a model is an exact float64.
 */
const PRIMES = [10_007, 12_511, 15_013, 17_519, 20_021, 22_531, 25_033, 27_539];

/**
 * Numbers that can stand for the lengths of dynamic axes: primes that divide none of the given ones, the smallest first.
 *
 * @param fixed lengths and other numbers that the graph has beside them
 */
export function standIns(count: number, fixed: Iterable<number>): number[] {
  const all = [...fixed].filter((n) => n !== 0);
  const free = PRIMES.filter((prime) => all.every((n) => n % prime !== 0));
  if (free.length < count) throw new Error('internal: every stand-in divides a length of the model');
  return free.slice(0, count);
}

/** An emitter whose integers, where they are multiples of an axis's stand-in, become the products of the real lengths. */
export function withAxes(plain: Emitter, axes: readonly DynamicAxis[]): Emitter {
  const known = new Map<string, string>();
  const once = (key: string, make: () => string): string => {
    const name = known.get(key) ?? make();
    known.set(key, name);
    return name;
  };
  const lengthOf = ({ name, from }: DynamicAxis): string =>
    once(name, () => {
      if (from === undefined) throw new Error(`internal: the length of ${name} is needed, and nothing says it`);
      return plain.node('Shape', [from.input], { start: from.axis, end: from.axis + 1 });
    });
  /** The value of one dynamic number, [1] i64. */
  const product = (value: number): string =>
    once(`=${value}`, () => {
      let rest = value;
      const factors: string[] = [];
      for (const axis of read) {
        for (; rest % axis.length === 0; rest /= axis.length) factors.push(lengthOf(axis));
      }
      if (rest !== 1) factors.push(plain.i64([rest]));
      return factors.reduce((a, b) => plain.node('Mul', [a, b]));
    });
  const read = axes.filter(({ from }) => from !== undefined);
  const isDynamic = (value: number) => value !== 0 && read.some((axis) => value % axis.length === 0);
  return {
    ...plain,
    i64(values) {
      if (!values.some(isDynamic)) return plain.i64(values);
      return once(`[${values}]`, () => {
        const parts = values.map((value) => (isDynamic(value) ? product(value) : plain.i64([value])));
        return parts.length === 1 ? parts[0]! : plain.node('Concat', parts, { axis: 0 });
      });
    },
    f32(values, shape) {
      if (shape.some(isDynamic))
        throw new Error(`internal: a constant of shape [${shape}] in a graph with dynamic axes`);
      return plain.f32(values, shape);
    },
  };
}
