import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CPO_LOSSES, DPO_LOSSES, logSigmoid, oddsRatio, sigmoid, simpoLoss, UNPAIRED_LOSSES } from './losses.ts';
import { type Judged, type PreferenceMethod, rowRule } from './rules.ts';

const H = 1e-5;
const gain = fc.double({ min: -6, max: 6, noNaN: true });
const terms = fc.record({
  beta: fc.double({ min: 0.05, max: 2, noNaN: true }),
  smoothing: fc.double({ min: 0.001, max: 0.4, noNaN: true }),
});

function expectSlope(f: (x: number) => number, x: number, slope: number): void {
  const measured = (f(x + H) - f(x - H)) / (2 * H);
  expect(Math.abs(measured - slope)).toBeLessThan(1e-5 * Math.max(1, Math.abs(slope)));
}

describe('losses of pairs', () => {
  const all = {
    ...DPO_LOSSES,
    ...Object.fromEntries(Object.entries(CPO_LOSSES).map(([name, f]) => [`cpo ${name}`, f])),
  };
  test.each(Object.entries(all))('%s has the derivatives of its value', (name, loss) => {
    fc.assert(
      fc.property(gain, gain, terms, (c, r, t) => {
        // A hinge has no derivative where it bends.
        fc.pre(!name.endsWith('hinge') || Math.abs(1 - t.beta * (c - r)) > 1e-3);
        const [, dc, dr] = loss(c, r, t);
        expectSlope((x) => loss(x, r, t)[0], c, dc);
        expectSlope((x) => loss(c, x, t)[0], r, dr);
      }),
    );
  });

  test('sigmoid begins at ln 2, and smoothing takes a share of the pairs the other way round', () => {
    expect(DPO_LOSSES.sigmoid(0, 0, { beta: 0.1, smoothing: 0.1 })[0]).toBeCloseTo(Math.LN2, 15);
    const [beta, e, d] = [0.3, 0.1, 2.5];
    const closed = -(1 - e) * Math.log(sigmoid(beta * d)) - e * Math.log(sigmoid(-beta * d));
    expect(DPO_LOSSES.sigmoid(2, -0.5, { beta, smoothing: e })[0]).toBeCloseTo(closed, 14);
  });

  test('log sigmoid neither overflows nor loses digits', () => {
    expect(logSigmoid(-1000)).toBe(-1000);
    expect(logSigmoid(1000)).toBeCloseTo(0, 300);
    expect(logSigmoid(40)).toBeCloseTo(-Math.exp(-40), 30);
  });

  test('the odds ratio and SimPO have the derivatives of their values', () => {
    const logp = fc.double({ min: -8, max: -0.05, noNaN: true });
    fc.assert(
      fc.property(logp, logp, terms, (c, r, t) => {
        const { dc, dr } = oddsRatio(c, r);
        expectSlope((x) => oddsRatio(x, r).ratio, c, dc);
        expectSlope((x) => oddsRatio(c, x).ratio, r, dr);
        const own = { ...t, gamma: 0.5 };
        const [, sc, sr] = simpoLoss(c, r, own);
        expectSlope((x) => simpoLoss(x, r, own)[0], c, sc);
        expectSlope((x) => simpoLoss(c, x, own)[0], r, sr);
      }),
    );
  });

  test.each(['kto', 'apo_zero_unpaired'] as const)('%s has the derivative of its value', (name) => {
    fc.assert(
      fc.property(gain, fc.boolean(), terms, (g, isGood, { beta }) => {
        const loss = (x: number) => UNPAIRED_LOSSES[name](x, isGood, { beta, kl: 0.7 });
        expectSlope((x) => loss(x)[0], g, loss(g)[1]);
      }),
    );
  });
});

describe('the rule of a method', () => {
  const METHODS: readonly PreferenceMethod[] = [
    { kind: 'dpo', loss: 'ipo', beta: 0.1, rpoAlpha: 0.5 },
    { kind: 'dpo', loss: 'exo_pair', beta: 0.1 },
    { kind: 'dpo', loss: 'sigmoid', beta: 0.1, labelSmoothing: 0.2 },
    { kind: 'kto', loss: 'kto', beta: 0.1 },
    { kind: 'orpo', beta: 0.1 },
    { kind: 'cpo', loss: 'sigmoid', beta: 0.1, cpoAlpha: 0.7 },
    { kind: 'simpo', beta: 2, gamma: 0.5, cpoAlpha: 0.3 },
  ];
  const answers: readonly Judged[] = [
    { logp: -7, tokens: 5, textLogp: -12, textTokens: 9, reference: -8, isGood: true },
    { logp: -6, tokens: 4, textLogp: -6, textTokens: 4, reference: -5.5 },
  ];
  const facts = { rows: 3, chosenTokens: 20, kl: 0.4 };

  test.each(METHODS)('$kind $loss: slopes are the derivatives by answers and texts', (method) => {
    const rule = rowRule(method);
    const { slopes } = rule(answers, facts);
    for (const [i, { answer, text }] of slopes.entries()) {
      for (const [key, slope] of [
        ['logp', answer],
        ['textLogp', text],
      ] as const) {
        const at = (x: number) =>
          rule(
            answers.map((one, j) => (j === i ? { ...one, [key]: x } : one)),
            facts,
          ).loss;
        expectSlope(at, answers[i]![key], slope);
      }
    }
  });

  test('rounding alone tells no pair apart', () => {
    const near = (extra: number): Judged[] => [
      { logp: -40 + extra, tokens: 5, textLogp: -40, textTokens: 5, reference: -40 },
      { logp: -30, tokens: 5, textLogp: -30, textTokens: 5, reference: -30 },
    ];
    const rule = rowRule({ kind: 'dpo', loss: 'sigmoid', beta: 0.1 });
    expect(rule(near(1e-6), facts).means['rewards/accuracies']).toBe(0);
    expect(rule(near(1e-2), facts).means['rewards/accuracies']).toBe(1);
  });
});
