import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { LAYER_CASES } from '../../test/conformance/layers.ts';
import { inputsOf, real, toHost } from '../../test/conformance/values.ts';
import { createBuilder, finishGraph, type Graph, segmentPrograms } from '../graph/index.ts';
import { fillUniform } from '../math/random.ts';
import { f32, i32 } from '../tensor/tensor.ts';
import type { Engine, Handle } from './engine.ts';
import { createHost, type Driver, SESSION_CAP } from './host.ts';
import { openOrt, openOrtHere, openReference } from './index.ts';

const HERE = { device: 'cpu', threads: 1, optimize: 'on' } as const;

/** sum = a + b and difference = a - b of vectors. */
function sumAndDifference(n: number): Graph {
  const g = createBuilder();
  const [a, b] = [g.input('a', [n]), g.input('b', [n])];
  return finishGraph(g, { sum: g.add(a, b), difference: g.sub(a, b) });
}

function rowOf(rows: number): Graph {
  const g = createBuilder();
  return finishGraph(g, { y: g.gather(g.input('data', [rows, 2]), g.input('index', [1], 'i32')) });
}

const numbers = async (engine: Engine, handle: Handle) => [...(await engine.read(handle)).data].map(Number);

const opened: Engine[] = [];
const kept = <E extends Engine>(engine: E): E => {
  opened.push(engine);
  return engine;
};
afterEach(async () => {
  await Promise.all(opened.splice(0).map((engine) => engine.close()));
});

const ENGINES: readonly (readonly [string, () => Promise<Engine>])[] = [
  ['reference', async () => kept(openReference())],
  ['ort by the C API', async () => kept(await openOrtHere({ ...HERE, driver: 'c-api' }))],
  ['ort by the Node binding', async () => kept(await openOrtHere({ ...HERE, driver: 'binding' }))],
  ['ort in its own process', async () => kept(openOrt(HERE))],
];

describe.each(ENGINES)('an engine: %s', (_name, open) => {
  it('runs programs in order, into new handles and into given ones', async () => {
    const engine = await open();
    const program = engine.compile(sumAndDifference(2));
    const a = engine.upload(f32([1, 2], [2]));
    const b = engine.upload(f32([10, 20], [2]));
    const first = engine.run(program, { a, b });
    const second = engine.run(program, { a: first.sum!, b }, { sum: a });
    expect(second.sum).toBe(a);
    expect(await numbers(engine, a)).toEqual([21, 42]);
    expect(await numbers(engine, second.difference!)).toEqual([1, 2]);
    expect(await numbers(engine, first.difference!)).toEqual([-9, -18]);
  });

  it('compiles equal graphs once', async () => {
    const engine = await open();
    expect(engine.compile(sumAndDifference(2))).toBe(engine.compile(sumAndDifference(2)));
    expect(engine.compile(sumAndDifference(3))).not.toBe(engine.compile(sumAndDifference(2)));
    expect((await engine.stats()).programs).toBe(2);
  });

  it('throws the failure of a queued run at the next read, and then works again', async () => {
    const engine = await open();
    const program = engine.compile(sumAndDifference(2));
    const [a, b] = [engine.upload(f32([1, 2], [2])), engine.upload(f32([3, 4], [2]))];
    engine.release(b);
    const failed = engine.run(program, { a, b });
    // What is queued after the failure: runs are skipped, all else must not be lost.
    const later = engine.compile(sumAndDifference(3));
    const c = engine.upload(f32([1, 1, 1], [3]));
    engine.run(program, { a, b: failed.sum! });
    await expect(engine.read(failed.sum!)).rejects.toThrow(/^internal: handle \d+ was released or never made$/);
    await expect(engine.read(failed.sum!)).rejects.toThrow('was released or never made');
    expect(await numbers(engine, engine.run(later, { a: c, b: c }).sum!)).toEqual([2, 2, 2]);
    expect(await numbers(engine, engine.run(program, { a, b: a }).sum!)).toEqual([2, 4]);
  });

  it('throws a failure at sync too', async () => {
    const engine = await open();
    const a = engine.upload(f32([1, 2], [2]));
    engine.release(a);
    engine.run(engine.compile(sumAndDifference(2)), { a, b: a });
    await expect(engine.sync()).rejects.toThrow('was released or never made');
    await engine.sync();
  });

  it('refuses handles that do not fit, are missing, or are used twice', async () => {
    const engine = await open();
    const program = engine.compile(sumAndDifference(2));
    const a = engine.upload(f32([1, 2], [2]));
    const wide = engine.upload(f32([1, 2, 3], [3]));
    const whole = engine.upload(i32([1, 2], [2]));
    expect(() => engine.run(program, { a })).toThrow(/^internal: program \d+ needs input b$/);
    expect(() => engine.run(program, { a, b: wide })).toThrow('internal: input b is f32[3], not f32[2]');
    expect(() => engine.run(program, { a, b: whole })).toThrow('internal: input b is i32[2], not f32[2]');
    expect(() => engine.run(program, { a, b: a }, { sum: wide })).toThrow('internal: output sum is f32[3], not f32[2]');
    expect(() => engine.run(program, { a, b: a }, { sum: a })).toThrow('a handle that the run already uses');
    const b = engine.upload(f32([3, 4], [2]));
    expect(() => engine.run(program, { a, b: a }, { sum: b, difference: b })).toThrow('the run already uses');
    expect(await numbers(engine, a)).toEqual([1, 2]);
  });

  it('takes a second release for what it is', async () => {
    const engine = await open();
    const a = engine.upload(f32([1, 2], [2]));
    engine.release(a, a);
    engine.release(a);
    const [b, c] = [engine.upload(f32([3, 4], [2])), engine.upload(f32([5, 6], [2]))];
    const { sum, difference } = engine.run(engine.compile(sumAndDifference(2)), { a: b, b: c });
    expect(await numbers(engine, sum!)).toEqual([8, 10]);
    expect(await numbers(engine, difference!)).toEqual([-2, -2]);
  });

  it('answers concurrent reads in the order of asking', async () => {
    const engine = await open();
    const program = engine.compile(sumAndDifference(2));
    const order: number[] = [];
    let a = engine.upload(f32([1, 2], [2]));
    const reads: Promise<unknown>[] = [];
    for (let i = 0; i < 20; i++) {
      a = engine.run(program, { a, b: a }).sum!;
      reads.push(numbers(engine, a).then((values) => order.push(values[0]!)));
      if (i % 5 === 0) reads.push(engine.sync());
    }
    await Promise.all(reads);
    expect(order).toEqual(Array.from({ length: 20 }, (_, i) => 2 ** (i + 1)));
  });

  it('neither sees later changes to an uploaded array nor changes what was read', async () => {
    const engine = await open();
    const program = engine.compile(sumAndDifference(2));
    const mine = Float32Array.of(1, 2);
    const a = engine.upload(f32(mine, [2]));
    const b = engine.upload(f32([10, 20], [2]));
    const before = await engine.read(a);
    mine.fill(0);
    const { sum } = engine.run(program, { a, b });
    engine.run(program, { a: sum!, b }, { sum: a });
    engine.release(a, b);
    for (let i = 0; i < 3; i++) engine.run(program, { a: sum!, b: sum! });
    await engine.sync();
    expect([...before.data]).toEqual([1, 2]);
    expect(await numbers(engine, sum!)).toEqual([11, 22]);
    expect([...mine]).toEqual([0, 0]);
  });

  it.each([2, 100_000])('takes %i uploaded numbers as they are at the call', async (n) => {
    const engine = await open();
    const mine = new Float32Array(n).fill(3);
    const a = engine.upload(f32(mine, [n]));
    mine.fill(4);
    expect((await engine.read(a)).data[n - 1]).toBe(3);
  });

  it('draws numbers as the host of random numbers does', async () => {
    const engine = await open();
    const stream = { seed: 7, purpose: 'lora_A', a: 3 };
    const drawn = engine.upload({ uniform: { ...stream, bound: 0.5 }, shape: [2, 3] });
    expect(await numbers(engine, drawn)).toEqual([...fillUniform(new Float32Array(6), -0.5, 0.5, stream)]);
  });

  it('uploads a part of a larger array', async () => {
    const engine = await open();
    const part = Float32Array.of(9, 9, 9, 1, 2, 9).subarray(3, 5);
    const a = engine.upload(f32(part, [2]));
    expect(await numbers(engine, engine.run(engine.compile(sumAndDifference(2)), { a, b: a }).sum!)).toEqual([2, 4]);
  });
});

describe.each(ENGINES.slice(1))('a failure inside ONNX Runtime: %s', (_name, open) => {
  it('becomes an internal error at the next read, and the program still works', async () => {
    const engine = await open();
    const program = engine.compile(rowOf(3));
    const data = engine.upload(f32([1, 2, 3, 4, 5, 6], [3, 2]));
    const { y } = engine.run(program, { data, index: engine.upload(i32([7], [1])) });
    await expect(engine.read(y!)).rejects.toThrow(/indices element out of data bounds/);
    expect(await numbers(engine, engine.run(program, { data, index: engine.upload(i32([2], [1])) }).y!)).toEqual([
      5, 6,
    ]);
  });

  it('gives the same bits for the same program and inputs', async () => {
    const engine = await open();
    const c = LAYER_CASES[1]!;
    const { forward, backward } = segmentPrograms(c.segment, c.wanted, 'nothing');
    const { shape } = forward.nodes[forward.outputs.y!]!;
    const inputs = inputsOf(backward, { ...c.inputs, dy: real(shape, -1, 1, 99) });
    const handles = Object.fromEntries(Object.entries(inputs).map(([name, t]) => [name, engine.upload(toHost(t))]));
    const results = [];
    for (let i = 0; i < 3; i++) {
      const outputs = engine.run(engine.compile(backward), handles);
      results.push(await Promise.all(Object.values(outputs).map((handle) => engine.read(handle))));
      engine.release(...Object.values(outputs));
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });
});

type Action =
  | { readonly kind: 'upload'; readonly n: number; readonly value: number }
  | { readonly kind: 'allocate'; readonly n: number }
  | { readonly kind: 'run' | 'runInto' | 'copy'; readonly a: number; readonly b: number; readonly into: number }
  | { readonly kind: 'release'; readonly a: number };

const pick = fc.nat(1000);
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ kind: fc.constant('upload'), n: fc.integer({ min: 1, max: 2 }), value: fc.integer({ min: -9, max: 9 }) }),
  fc.record({ kind: fc.constant('allocate'), n: fc.integer({ min: 1, max: 2 }) }),
  fc.record({ kind: fc.constantFrom('run', 'runInto', 'copy'), a: pick, b: pick, into: pick }),
  fc.record({ kind: fc.constant('release'), a: pick }),
);

/** What every live handle must hold. */
type Model = Map<Handle, number[]>;

function perform(engine: Engine, live: Model, step: Action): void {
  const choose = (index: number, n?: number) => {
    const fitting = [...live.keys()].filter((h) => n === undefined || h.shape[0] === n);
    return fitting[index % Math.max(1, fitting.length)];
  };
  if (step.kind === 'upload') {
    const values = new Array<number>(step.n).fill(step.value);
    live.set(engine.upload(f32(values, [step.n])), values);
  } else if (step.kind === 'allocate') {
    live.set(engine.allocate([step.n]), new Array<number>(step.n).fill(0));
  } else if (step.kind === 'release') {
    const handle = choose(step.a);
    if (handle === undefined) return;
    engine.release(handle);
    live.delete(handle);
  } else {
    combine(engine, live, step, choose);
  }
}

function combine(
  engine: Engine,
  live: Model,
  step: Extract<Action, { a: number; b: number }>,
  choose: (index: number, n?: number) => Handle | undefined,
): void {
  const a = choose(step.a);
  const n = a?.shape[0];
  const [b, into] = [choose(step.b, n), choose(step.into, n)];
  if (a === undefined || b === undefined || into === undefined) return;
  const [x, y] = [live.get(a)!, live.get(b)!];
  if (step.kind === 'copy') {
    engine.copy(a, 0, into, 0, 1);
    live.set(into, live.get(into)!.with(0, x[0]!));
    return;
  }
  const target = step.kind === 'runInto' && into !== a && into !== b ? { sum: into } : {};
  const { sum, difference } = engine.run(engine.compile(sumAndDifference(n!)), { a, b }, target);
  live.set(
    sum!,
    x.map((v, i) => Math.fround(v + y[i]!)),
  );
  live.set(
    difference!,
    x.map((v, i) => Math.fround(v - y[i]!)),
  );
}

describe('the buffer pool', () => {
  it('never hands out a buffer that is in use', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 60 }), async (steps) => {
        const engine = openReference();
        const live: Model = new Map();
        for (const step of steps) perform(engine, live, step);
        for (const [handle, values] of live) expect(await numbers(engine, handle)).toEqual(values);
        await engine.close();
      }),
      { numRuns: 200 },
    );
  });
});

describe('the host', () => {
  /** A host whose sessions take so many bytes, and what became of the sessions; programs are told apart by their size. */
  function watchedHost(bytes: number) {
    const compiled: number[] = [];
    const open = new Set<number>();
    const driver: Driver = {
      compile: async (graph) => {
        const size = graph.nodes[0]!.shape[0]!;
        compiled.push(size);
        open.add(size);
        return {
          bytes,
          run: async () => {},
          dispose: async () => {
            open.delete(size);
          },
        };
      },
    };
    const host = createHost(driver);
    const known = new Set<number>();
    const use = async (n: number) => {
      if (!known.has(n)) await host.handle({ kind: 'compile', program: n, graph: sumAndDifference(n) });
      known.add(n);
      await host.handle({ kind: 'allocate', dtype: 'f32', handle: n, shape: [n] });
      await host.handle({ kind: 'run', program: n, inputs: [n, n], outputs: [1000 + n, 2000 + n] });
      expect((await host.handle({ kind: 'sync', request: 1 }))?.error).toBeUndefined();
    };
    return { compiled, open, use };
  }

  const { count, bytes } = SESSION_CAP;
  it.each([
    { what: 'by their number', size: 1, most: count },
    { what: 'by their bytes', size: bytes / 8, most: 8 },
    { what: 'but the one in use, however large', size: 2 * bytes, most: 1 },
  ])('keeps a bounded number of sessions, those used last: $what', async ({ size, most }) => {
    const { compiled, open, use } = watchedHost(size);
    for (let n = 1; n <= most; n++) await use(n);
    await use(1);
    expect(compiled).toHaveLength(most);
    await use(most + 1); // drops the least recently used: 2, or 1 where it is alone
    const dropped = Math.min(2, most);
    expect(open.size).toBe(most);
    expect(open.has(dropped)).toBe(false);
    await use(dropped); // compiles it again
    expect(open.has(dropped)).toBe(true);
    expect(compiled).toEqual([...Array.from({ length: most + 1 }, (_, i) => i + 1), dropped]);
  });
});
