import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/support/cli.ts';
import { readSafetensorsHeader, readStored } from '../io/index.ts';
import { dareOf, type Factors, slerpOf, sumOf, tiesOf, type Update } from '../model/adapters/combine.ts';
import { openPeft } from '../model/peft.ts';
import { openModelSource } from '../model/source.ts';
import { type Combination, combineAdapters } from './combine.ts';

const golden = path.join(import.meta.dirname, '../../test/golden');
const { config } = openModelSource(path.join(golden, 'llama/model'));
const adapter = (name: string) => path.join(golden, name, 'adapter');
const parts = [
  { adapter: adapter('llama'), weight: 1 },
  { adapter: adapter('adapters/rslora'), weight: 0.7 },
];
const folder = temporaryFolder();
let made = 0;

async function merged(combination: Combination) {
  const out = path.join(folder, `merged-${made++}`);
  const rank = await combineAdapters(parts, config, combination, out);
  const { tensors } = openPeft(out, config);
  return { rank, values: new Map([...tensors].map(([name, stored]) => [name, readStored(stored)])) };
}

const wanted = new Map(
  readSafetensorsHeader(path.join(golden, 'adapters/merged.safetensors')).tensors.map((t) => [t.name, readStored(t)]),
);

/** B A [O, I] of factors. */
function product({ rank, a, b }: Factors): Float64Array {
  const [inputs, outputs] = [a.length / rank, b.length / rank];
  const all = new Float64Array(outputs * inputs);
  for (let o = 0; o < outputs; o++) {
    for (let r = 0; r < rank; r++) {
      for (let i = 0; i < inputs; i++) all[o * inputs + i]! += b[o * rank + r]! * a[r * inputs + i]!;
    }
  }
  return all;
}

function expectClose(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(found.length).toBe(expected.length);
  const most = Math.max(...Array.from(expected, Math.abs));
  for (let i = 0; i < found.length; i++) expect(Math.abs(found[i]! - expected[i]!)).toBeLessThan(tolerance * most);
}

describe('merged adapters', () => {
  it('by ties are those of peft', async () => {
    const { rank, values } = await merged({ kind: 'ties', density: 0.3 });
    expect(rank).toBe(4);
    const names = [...wanted.keys()].filter((name) => name.startsWith('ties.'));
    expect(names.length).toBe(values.size);
    for (const name of names) expectClose(values.get(name.slice(5))!, wanted.get(name)!, 1e-6);
  });

  it('by their sum are those of peft', async () => {
    const { rank, values } = await merged({ kind: 'linear' });
    expect(rank).toBe(8);
    const names = [...wanted.keys()].filter((name) => name.startsWith('cat.'));
    expect(names.length).toBe(3);
    for (const name of names) {
      const own = name.slice(4);
      const [a, b] = ['A', 'B'].map((part) => values.get(`${own}.lora_${part}.weight`)!) as [
        Float32Array,
        Float32Array,
      ];
      expectClose(product({ rank, a, b }), wanted.get(name)!, 1e-6);
    }
  });

  it('by dare are drawn by their seed', async () => {
    const [one, same, other] = [
      await merged({ kind: 'dare', density: 0.5, seed: 1 }),
      await merged({ kind: 'dare', density: 0.5, seed: 1 }),
      await merged({ kind: 'dare', density: 0.5, seed: 2 }),
    ];
    expect(same.values).toEqual(one.values);
    expect(other.values).not.toEqual(one.values);
  });

  it.each([
    ['another method', 'adapters/dora', 'ADAPTER_UNSUPPORTED'],
    ['modules that trained in full', 'adapters/saved', 'ADAPTER_UNSUPPORTED'],
    ['several ranks', 'adapters/patterns', 'ADAPTER_UNSUPPORTED'],
  ])('with %s are refused', async (_, name, code) => {
    const with_ = [parts[0]!, { adapter: adapter(name), weight: 1 }];
    const out = path.join(folder, 'refused');
    await expect(combineAdapters(with_, config, { kind: 'linear' }, out)).rejects.toMatchObject({ code });
  });

  it('do not go over what is there', async () => {
    const out = path.join(folder, 'twice');
    await combineAdapters(parts, config, { kind: 'linear' }, out);
    await expect(combineAdapters(parts, config, { kind: 'linear' }, out)).rejects.toMatchObject({
      code: 'EXPORT_FOLDER',
    });
  });
});

const update = (scale: number, a: readonly number[], b: readonly number[]): Update => ({
  rank: 1,
  scale,
  a: Float32Array.from(a),
  b: Float32Array.from(b),
});

describe('the arithmetic of updates', () => {
  const one = update(2, [1, 0], [1, 2]);
  const other = update(1, [0, 3], [1, 1]);

  it('sums without loss', () => {
    expect([...product(sumOf([one, other], [1, 0.5]))]).toEqual([2, 1.5, 4, 1.5]);
  });

  it('by dare keeps a share, and the sum on average', () => {
    const updates = [update(1, new Array(64).fill(1), [1]), update(1, new Array(64).fill(1), [2])];
    let [sum, zeros, count] = [0, 0, 0];
    for (let seed = 0; seed < 400; seed++) {
      const factors = dareOf(updates, [1, 1], { density: 0.25, seed, purpose: 'test' });
      for (const value of factors.a) zeros += Number(value === 0);
      count += factors.a.length;
      for (const value of product(factors)) sum += value / (400 * 64);
    }
    expect(zeros / count).toBeCloseTo(0.75, 1);
    expect(Math.abs(sum - 3)).toBeLessThan(0.5);
  });

  it('by ties elects the sign that outweighs the other, and takes the mean of what has it', () => {
    const all = [update(1, [3, 1], [1, 1]), update(1, [-1, 1], [1, 1]), update(1, [1, -5], [1, 1])];
    const { a, b } = tiesOf(all, [1, 1, 1], 1);
    expect([...a]).toEqual([2, -5]);
    expect([...b]).toEqual([1, 1]);
    expect([...tiesOf(all, [1, 1, 1], 0.5).a]).toEqual([3, -5]);
  });

  it('by slerp begins and ends at the two, and keeps the length on the way', () => {
    const unit = [update(1, [1, 0], [1, 0]), update(1, [0, 1], [1, 0])] as const;
    expectClose(product(slerpOf(unit, 0)), product(sumOf(unit, [1, 0])), 1e-6);
    expectClose(product(slerpOf(unit, 1)), product(sumOf(unit, [0, 1])), 1e-6);
    for (const t of [0.2, 0.5, 0.9]) {
      const length = Math.hypot(...product(slerpOf(unit, t)));
      expect(length).toBeCloseTo(1, 6);
    }
    expectClose(product(slerpOf(unit, 1 / 3)), [Math.cos(Math.PI / 6), Math.sin(Math.PI / 6), 0, 0], 1e-6);
    expectClose(product(slerpOf([one, one], 0.3)), product(sumOf([one], [1])), 1e-6);
  });
});
