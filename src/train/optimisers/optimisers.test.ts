import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Engine, type Handle, openOrtHere, openReference } from '../../engine/index.ts';
import { fillNormal } from '../../math/random.ts';
import { f32, type Shape, sizeOf } from '../../tensor/tensor.ts';
import { groupOf } from './groups.ts';
import {
  constantsOf,
  initialGroupState,
  OPTIMIZERS,
  type OptimizerConstants,
  type OptimizerName,
  type OptimizerOptions,
  optimizerBytes,
  updateGroup,
} from './index.ts';

type Numbers = Record<string, number[]>;
interface Golden {
  lr: number;
  shapes: Record<string, Shape>;
  start: Numbers;
  grads: Numbers[];
  cases: {
    name: string;
    optimizer: OptimizerName;
    options: object;
    weightDecay: number;
    first: Numbers;
    last: Numbers;
  }[];
}
const golden = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../test/golden/optimisers/optimisers.json'), 'utf8'),
) as Golden;
const NAMES = Object.keys(OPTIMIZERS) as OptimizerName[];

let ort: Engine;
const reference = openReference();
beforeAll(async () => {
  ort = await openOrtHere({ device: 'cpu', threads: 1, optimize: 'on' });
});
afterAll(() => ort.close());

const optionsOf = (constants: OptimizerConstants, more: Partial<OptimizerOptions> = {}): OptimizerOptions => ({
  constants,
  weightDecay: 0,
  loraPlusRatio: 1,
  seed: 0,
  ...more,
});

/** Parameters after each step of given gradients. */
async function follow(
  engine: Engine,
  shapes: Readonly<Record<string, Shape>>,
  start: Readonly<Record<string, ArrayLike<number>>>,
  gradOf: (
    step: number,
    parameters: Readonly<Record<string, Float32Array>>,
  ) => Readonly<Record<string, ArrayLike<number>>>,
  options: OptimizerOptions,
  { steps, lr }: { readonly steps: number; readonly lr: number },
): Promise<Record<string, Float32Array>[]> {
  const upload = (values: Readonly<Record<string, ArrayLike<number>>>) =>
    Object.fromEntries(
      Object.entries(shapes).map(([name, shape]) => [
        name,
        engine.upload(f32(Float32Array.from(values[name]!), shape)),
      ]),
    );
  let parameters: Record<string, Handle> = upload(start);
  let state = initialGroupState(engine, parameters, options);
  const read = async () => {
    const entries = Object.entries(parameters).map(async ([name, handle]) => {
      const { data } = await engine.read(handle);
      return [name, Float32Array.from(data as Float32Array)] as const;
    });
    return Object.fromEntries(await Promise.all(entries));
  };
  const after: Record<string, Float32Array>[] = [];
  let now = await read();
  for (let step = 1; step <= steps; step++) {
    const grads = upload(gradOf(step, now));
    ({ parameters, state } = updateGroup(engine, { parameters, grads, state }, options, { step, lr, gradScale: 1 }));
    now = await read();
    after.push(now);
  }
  return after;
}

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    const bound = tolerance * Math.max(1e-3, Math.abs(expected[i]!));
    expect(Math.abs(actual[i]! - expected[i]!), `${what} ${i}: ${actual[i]}, not ${expected[i]}`).toBeLessThan(bound);
  }
}

describe.each(['reference', 'ort'] as const)('on %s', (engineName) => {
  test.each(golden.cases.map((c) => [c.name, c] as const))('%s is that of torch or transformers', async (_name, c) => {
    const engine = engineName === 'ort' ? ort : reference;
    const constants = { name: c.optimizer, ...c.options } as OptimizerConstants;
    const options = optionsOf(constants, { weightDecay: c.weightDecay });
    const numbers = { steps: golden.grads.length, lr: golden.lr };
    const after = await follow(
      engine,
      golden.shapes,
      golden.start,
      (step) => golden.grads[step - 1]!,
      options,
      numbers,
    );
    for (const name of Object.keys(golden.shapes)) {
      expectClose(after[0]![name]!, c.first[name]!, 2e-6, `${name} after the first step, entry`);
      expectClose(after.at(-1)![name]!, c.last[name]!, 1e-5, `${name} after the last step, entry`);
    }
  });

  test('Lion is what the paper writes, in float64', async () => {
    const [beta1, beta2, lr, weightDecay] = [0.9, 0.99, 0.05, 0.1];
    const options = optionsOf({ name: 'lion', beta1, beta2 }, { weightDecay });
    const numbers = { steps: golden.grads.length, lr };
    const engine = engineName === 'ort' ? ort : reference;
    const after = await follow(
      engine,
      golden.shapes,
      golden.start,
      (step) => golden.grads[step - 1]!,
      options,
      numbers,
    );
    for (const name of Object.keys(golden.shapes)) {
      const expected = golden.start[name]!.map((start, i) => {
        let [p, m] = [start, 0];
        for (const grads of golden.grads) {
          const g = grads[name]![i]!;
          p = p * (1 - lr * weightDecay) - lr * Math.sign(beta1 * m + (1 - beta1) * g);
          m = beta2 * m + (1 - beta2) * g;
        }
        return p;
      });
      expectClose(after.at(-1)![name]!, expected, 1e-5, name);
    }
  });
});

describe('a least-squares problem with directions of very different slopes', () => {
  const shape: Shape = [64, 80];
  const size = sizeOf(shape);
  const target = fillNormal(new Float32Array(size), 0, 1, { seed: 1, purpose: 'target' });
  const slope = Float32Array.from({ length: size }, (_, i) => 10 ** (-4 * ((i % 80) / 80)));
  const noiseOf = (step: number) => fillNormal(new Float32Array(size), 0, 0.3, { seed: 2, purpose: 'noise', a: step });
  const distance = (x: ArrayLike<number>) => Math.sqrt(target.reduce((sum, t, i) => sum + (x[i]! - t) ** 2, 0) / size);
  const solve = async (constants: OptimizerConstants, lr: number, steps = 300) => {
    const gradOf = (step: number, { x }: Readonly<Record<string, Float32Array>>) => {
      const noise = noiseOf(step);
      return { x: target.map((t, i) => slope[i]! * (x![i]! - t + noise[i]!)) };
    };
    const start = { x: new Float32Array(size).fill(0.1) };
    return follow(ort, { x: shape }, start, gradOf, optionsOf(constants), { steps, lr });
  };
  const RATE: Readonly<Record<OptimizerName, number>> = {
    adamw: 0.02,
    'adamw-8bit': 0.02,
    sgd: 0.1,
    adafactor: 0.02,
    lion: 0.01,
  };

  test.each(NAMES)('%s comes closer to the solution', async (name) => {
    const after = await solve(constantsOf(name, {}), RATE[name]);
    // SGD, which knows one rate for all, gets the steep directions only.
    expect(distance(after.at(-1)!.x!)).toBeLessThan((name === 'sgd' ? 0.8 : 0.2) * distance(after[0]!.x!));
  });

  test('8-bit states end as close as float32 ones', async () => {
    const wide = await solve(constantsOf('adamw', {}), 0.02);
    const narrow = await solve(constantsOf('adamw-8bit', {}), 0.02);
    expect(narrow.at(-1)!.x).not.toEqual(wide.at(-1)!.x);
    expect(distance(narrow.at(-1)!.x!)).toBeLessThan(1.03 * distance(wide.at(-1)!.x!));
  });
});

describe('the state', () => {
  const shapes: Shape[] = [[64, 100], [100]];
  test.each([
    ['adamw', 2 * 4 * 6500],
    // One byte an entry, a scale for each of 25 blocks; the vector is small and stays in float32.
    ['adamw-8bit', 2 * (6400 + 25 * 4) + 2 * 400],
    ['sgd', 4 * 6500],
    ['adafactor', 4 * (64 + 100 + 100)],
    ['lion', 4 * 6500],
  ] as const)('of %s takes %i bytes', (name, bytes) => {
    expect(optimizerBytes(shapes, constantsOf(name, {}))).toBe(bytes);
  });

  test('of SGD without momentum is nothing', () => {
    expect(optimizerBytes(shapes, constantsOf('sgd', { momentum: 0 }))).toBe(0);
  });

  test.each(NAMES)('of %s lies in the engine as it is counted', async (name) => {
    const before = (await ort.stats()).handleBytes;
    const parameters = {
      a: { id: -1, dtype: 'f32', shape: shapes[0]! },
      b: { id: -2, dtype: 'f32', shape: shapes[1]! },
    } as const;
    const constants = constantsOf(name, {});
    initialGroupState(ort, parameters, optionsOf(constants));
    expect((await ort.stats()).handleBytes - before).toBe(optimizerBytes(shapes, constants));
  });
});

describe('groups', () => {
  const full = { weightDecay: 0.1, loraPlusRatio: 1 };

  test('norms and biases are not decayed', () => {
    const names = ['input_layernorm.weight', 'norm', 'self_attn.q_norm.weight', 'self_attn.q_proj.bias', 'ln_1.weight'];
    expect(names.filter((name) => groupOf(name, 1, full).decays)).toEqual([]);
    for (const name of ['self_attn.q_proj.weight', 'embed', 'mlp.up_proj.lora_A.weight']) {
      expect(groupOf(name, 2, full).decays, name).toBe(true);
      expect(groupOf(name, 2, { ...full, weightDecay: 0 }).decays, name).toBe(false);
    }
  });

  test('LoRA+ multiplies the rate of B', async () => {
    const options = optionsOf({ name: 'sgd', momentum: 0, nesterov: false }, { loraPlusRatio: 16 });
    const [a, b] = ['q_proj.lora_A.weight', 'q_proj.lora_B.weight'] as const;
    const shapes = { [a]: [1, 2], [b]: [2, 1] };
    const ones = { [a]: [1, 1], [b]: [1, 1] };
    const [after] = await follow(ort, shapes, ones, () => ones, options, { steps: 1, lr: 1 / 32 });
    expect([...after![a]!, ...after![b]!]).toEqual([31 / 32, 31 / 32, 0.5, 0.5]);
  });
});
