import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Example, IGNORE } from '../text/example.ts';
import { gridLength, planMicroBatches } from './batches.ts';
import { buildMicroBatch, type MicroBatch } from './layout.ts';

/** Rows that begin with so many tokens of the same text, and have their own after it. */
const anExample: fc.Arbitrary<Example> = fc
  .tuple(
    fc.constantFrom(0, 5, 20, 30),
    fc.array(fc.tuple(fc.integer({ min: 1, max: 99 }), fc.boolean()), { minLength: 1, maxLength: 70 }),
  )
  .map(([alike, own]) => [...Array.from({ length: alike }, (_, i) => [100 + i, i % 3 === 0] as const), ...own])
  .map((tokens) => ({
    ids: Int32Array.from(tokens, ([id]) => id),
    labels: Int32Array.from(tokens, ([id, trained]) => (trained ? id : IGNORE)),
  }));
const aBatch = fc.array(anExample, { minLength: 1, maxLength: 12 });
const someOptions = fc.record({
  pack: fc.boolean(),
  microBatch: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
  targetTokens: fc.constantFrom(16, 64, 256),
  share: fc.boolean(),
});
type Options = Parameters<typeof planMicroBatches>[1];

const plansOf = (batch: readonly Example[], options: Options) =>
  planMicroBatches(
    batch.map((e) => e.ids.length),
    options,
  );
const build = (batch: readonly Example[], options: Options) =>
  plansOf(batch, options).map((p) => buildMicroBatch(batch, p));

/** Each target with the tokens that the model sees before it: those at lower positions of the same row of the grid. */
function predictions(m: MicroBatch): string[] {
  return [...m.lossPositions].map((at, i) => {
    const cell = m.inverse[at]!;
    const start = cell - (cell % m.length);
    const context = [...m.gridIndex.subarray(start, cell + 1)].map((t) => m.ids[t]);
    return `${context.join()} -> ${m.lossTargets[i]}`;
  });
}

/** The same straight from the examples. */
function expected(batch: readonly Example[]): string[] {
  return batch.flatMap(({ ids, labels }) =>
    [...labels].flatMap((l, i) => (i === 0 || l === IGNORE ? [] : [`${ids.subarray(0, i).join()} -> ${l}`])),
  );
}

describe('micro-batches', () => {
  test('every row is in one of them, shortest first', () => {
    fc.assert(
      fc.property(aBatch, someOptions, (batch, options) => {
        const rows = plansOf(batch, options).flatMap((p) => p.rows);
        expect([...rows].sort((a, b) => a - b)).toEqual(batch.map((_, i) => i));
        const lengths = rows.map((r) => batch[r]!.ids.length);
        expect(lengths).toEqual([...lengths].sort((a, b) => a - b));
      }),
    );
  });

  test('each trained token is predicted once from exactly its own row, packed or not', () => {
    fc.assert(
      fc.property(aBatch, someOptions, (batch, options) => {
        const built = build(batch, options);
        expect(built.flatMap(predictions).sort()).toEqual(expected(batch).sort());
        expect(built.reduce((n, m) => n + m.lossTokens, 0)).toBe(expected(batch).length);
      }),
    );
  });

  test('going to the grid and back changes no token', () => {
    fc.assert(
      fc.property(aBatch, someOptions, (batch, options) => {
        for (const m of build(batch, options)) {
          const cells = [...m.gridValid.keys()].filter((c) => m.gridValid[c] === 1);
          const first = cells.filter((c) => m.shared === undefined || m.shared.owner[c] === 1);
          for (const c of first) expect(m.inverse[m.gridIndex[c]!]).toBe(c);
          expect(new Set(cells.map((c) => m.gridIndex[c])).size).toBe(first.length);
          expect(m.usedTokens).toBe(first.length);
          expect(cells).toHaveLength(m.realTokens);
          for (const c of cells) expect(m.positions[m.gridIndex[c]!]).toBe(c % m.length);
          for (const index of m.gridIndex) expect(index >= 0 && index < m.ids.length).toBe(true);
          for (const cell of m.inverse) expect(cell >= 0 && cell < m.rows * m.length).toBe(true);
        }
      }),
    );
  });

  test('dense means that nothing need be gathered', () => {
    fc.assert(
      fc.property(aBatch, someOptions, (batch, options) => {
        for (const m of build(batch, options)) {
          const identity = [...m.gridIndex].every((t, i) => t === i) && [...m.inverse].every((c, i) => c === i);
          if (m.dense) expect(identity && m.ids.length === m.rows * m.length).toBe(true);
          if (!options.pack || m.rows === 1) expect(m.dense).toBe(true);
        }
      }),
    );
  });

  test('sizes are rounded up, so that few programs are compiled', () => {
    fc.assert(
      fc.property(aBatch, someOptions, (batch, options) => {
        for (const plan of plansOf(batch, options)) {
          expect(plan.length % 16).toBe(0);
          const real = plan.rows.reduce((n, r) => n + batch[r]!.ids.length, 0);
          expect(plan.tokens).toBeGreaterThanOrEqual(real);
          if (options.pack) expect(plan.tokens - real).toBeLessThan(64);
        }
      }),
    );
    expect([1, 16, 17, 256, 257, 512, 513, 640, 641].map(gridLength)).toEqual([
      16, 16, 32, 256, 288, 512, 576, 640, 704,
    ]);
  });

  test('what rows begin with alike stands there once, and each further cell of it is listed', () => {
    fc.assert(
      fc.property(aBatch, (batch) => {
        for (const m of build(batch, { pack: true, microBatch: 12, share: true })) {
          if (m.shared === undefined) continue;
          const beginnings = new Set(
            batch.flatMap(({ ids }) => [...ids.keys()].map((i) => ids.slice(0, i + 1).join())),
          );
          expect(m.usedTokens).toBe(beginnings.size);
          const { owner, cells, tokens, valid } = m.shared;
          const listed = [...cells].filter((_, i) => valid[i] === 1);
          const others = [...m.gridValid.keys()].filter((c) => m.gridValid[c] === 1 && owner[c] === 0);
          expect(listed.sort((a, b) => a - b)).toEqual(others);
          for (const [i, cell] of cells.entries()) if (valid[i] === 1) expect(m.gridIndex[cell]).toBe(tokens[i]);
        }
      }),
    );
  });

  test('each row knows how many targets are its own', () => {
    fc.assert(
      fc.property(aBatch, someOptions, (batch, options) => {
        for (const m of build(batch, options)) {
          for (const { row, targets } of m.spans) {
            expect(targets).toBe(batch[row]!.labels.subarray(1).filter((l) => l !== IGNORE).length);
          }
        }
      }),
    );
  });

  test('--micro-batch counts rows', () => {
    const lengths = [5, 3, 9, 1, 7];
    for (const pack of [true, false]) {
      expect(planMicroBatches(lengths, { pack, microBatch: 2 }).map((p) => p.rows)).toEqual([[3, 1], [0, 4], [2]]);
    }
  });

  test('automatic ones hold about the tokens that are wanted', () => {
    const lengths = Array.from({ length: 40 }, (_, i) => 50 + i);
    const plans = planMicroBatches(lengths, { pack: true, targetTokens: 384 });
    for (const plan of plans.slice(0, -1)) expect(plan.tokens).toBeGreaterThan(256);
    for (const plan of plans) expect(plan.tokens).toBeLessThanOrEqual(384);
    // A row longer than that stands alone.
    expect(planMicroBatches([1000, 20], { pack: true }).map((p) => p.rows)).toEqual([[1], [0]]);
  });

  test('packing three rows, written out', () => {
    const rows = [[1, 2, 3], [4], [5, 6]].map((ids) => ({ ids: Int32Array.from(ids), labels: Int32Array.from(ids) }));
    const plan = planMicroBatches([3, 1, 2], { pack: true })[0]!;
    expect(plan).toEqual({ rows: [1, 2, 0], length: 16, tokens: 16, share: false });
    const m = buildMicroBatch(rows, plan);
    expect([...m.ids.subarray(0, 8)]).toEqual([4, 5, 6, 1, 2, 3, 0, 0]);
    expect([...m.positions.subarray(0, 8)]).toEqual([0, 0, 1, 0, 1, 2, 0, 0]);
    expect([...m.inverse.subarray(0, 8)]).toEqual([0, 16, 17, 32, 33, 34, 0, 0]);
    expect([...m.gridIndex.subarray(30, 38)]).toEqual([0, 0, 3, 4, 5, 0, 0, 0]);
    expect([[...m.lossPositions], [...m.lossTargets]]).toEqual([
      [1, 3, 4],
      [6, 2, 3],
    ]);
    expect(m).toMatchObject({ dense: false, realTokens: 6, lossTokens: 3, rows: 3 });
  });
});
