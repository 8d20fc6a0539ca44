import { describe, expect, it } from 'vitest';
import { createBuilder, finishGraph } from '../graph/index.ts';
import { fillNormal } from '../math/random.ts';
import { f32, i32 } from '../tensor/tensor.ts';
import type { Engine } from './index.ts';
import { openOrtHere, openReference } from './index.ts';

const SHAPE = { heads: 4, kvHeads: 2, width: 8 };

function graphOf(rows: number, length: number, capacity: number) {
  const { heads, kvHeads, width } = SHAPE;
  const g = createBuilder();
  const cache = [rows, kvHeads, capacity, width];
  const result = g.cachedAttention(
    {
      q: g.input('q', [rows, length, heads * width]),
      k: g.input('k', [rows, length, kvHeads * width]),
      v: g.input('v', [rows, length, kvHeads * width]),
      keys: g.input('keys', cache),
      values: g.input('values', cache),
      last: g.input('last', [rows], 'i32'),
      total: g.input('total', [1], 'i32'),
    },
    { heads, kvHeads },
  );
  return finishGraph(g, { y: result.attended, keysNext: result.keys, valuesNext: result.values });
}

function random(shape: number[], name: string) {
  const data = new Float32Array(shape.reduce((n, d) => n * d, 1));
  return f32(fillNormal(data, 0, 1, { seed: 1, purpose: name }), shape);
}

async function attend(engine: Engine, rows: number, length: number, capacity: number, last: number[]) {
  const { heads, kvHeads, width } = SHAPE;
  const keys = engine.upload(random([rows, kvHeads, capacity, width], 'keys'));
  const values = engine.upload(random([rows, kvHeads, capacity, width], 'values'));
  const inputs = {
    q: engine.upload(random([rows, length, heads * width], 'q')),
    k: engine.upload(random([rows, length, kvHeads * width], 'k')),
    v: engine.upload(random([rows, length, kvHeads * width], 'v')),
    keys,
    values,
    last: engine.upload(i32(last, [rows])),
    total: engine.upload(i32([Math.max(...last) + 1], [1])),
  };
  const out = engine.run(engine.compile(graphOf(rows, length, capacity)), inputs, {
    keysNext: keys,
    valuesNext: values,
  });
  return [await engine.read(out.y!), await engine.read(keys), await engine.read(values)].map((t) =>
    [...t.data].map(Number),
  );
}

describe('cachedAttention', () => {
  const cases = [
    { what: 'a prompt', rows: 1, length: 5, last: [4] },
    { what: 'the next part of a prompt', rows: 1, length: 5, last: [9] },
    { what: 'one token in each of rows of different lengths', rows: 3, length: 1, last: [0, 7, 15] },
  ];
  for (const driver of ['c-api', 'binding'] as const) {
    for (const { what, rows, length, last } of cases) {
      it(`equals the reference for ${what}, and writes over the caches (${driver})`, async () => {
        const reference = openReference();
        const ort = await openOrtHere({ device: 'cpu', threads: 1, optimize: 'on', driver });
        const expected = await attend(reference, rows, length, 16, last);
        const actual = await attend(ort, rows, length, 16, last);
        for (const [i, part] of expected.entries()) {
          part.forEach((x, j) => {
            expect(actual[i]![j]).toBeCloseTo(x, 5);
          });
        }
        await ort.close();
      });
    }
  }
});
