import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GrpoMethod, type OnlineMethod, RlooMethod } from '../../train/methods.ts';
import { advantages, policyLoss } from './objective.ts';

// TRL's own functions, by oracle/make_online_goldens.py.
interface Golden {
  readonly group: number;
  readonly max_tokens: number;
  readonly rewards: readonly number[];
  readonly advantages: Readonly<Record<string, readonly number[]>>;
  readonly answers: readonly {
    readonly now: number[];
    readonly old: number[];
    readonly ref: number[];
    readonly advantage: number;
  }[];
  readonly losses: Readonly<
    Record<
      string,
      {
        readonly config: object;
        readonly loss: number;
        readonly slopes: number[][];
        readonly metrics: Record<string, number>;
      }
    >
  >;
}
const file = path.join(import.meta.dirname, '../../../test/golden/preference/online.json');
const golden = JSON.parse(readFileSync(file, 'utf8')) as Golden;
const common = { group: golden.group, maxTokens: golden.max_tokens };

function methodOf(name: string, config: object): OnlineMethod {
  if (name.startsWith('rloo')) return RlooMethod.parse({ kind: 'rloo', ...common, beta: 0, ...config });
  return GrpoMethod.parse({ kind: 'grpo', ...common, ...config });
}

describe('advantages', () => {
  test.each(Object.entries(golden.advantages))('%s are those of TRL', (name, expected) => {
    const method = methodOf(name, { scaleRewards: name.split('-')[1] });
    for (const [i, advantage] of advantages(golden.rewards, method).entries()) {
      expect(Math.abs(advantage - expected[i]!)).toBeLessThan(1e-5 * Math.max(0.01, Math.abs(expected[i]!)));
    }
  });

  test('of a group add up to 0', () => {
    const rewards = fc.array(fc.double({ min: -3, max: 3, noNaN: true }), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(rewards, fc.constantFrom('rloo-none', 'grpo-group', 'grpo-batch', 'grpo-none'), (own, name) => {
        const gains = advantages(own, methodOf(name, { scaleRewards: name.split('-')[1] }));
        for (const group of [gains.slice(0, 4), gains.slice(4)]) {
          expect(Math.abs(group.reduce((a, b) => a + b, 0))).toBeLessThan(1e-6 * Math.max(1, ...group.map(Math.abs)));
        }
      }),
    );
  });
});

describe('the loss of drawn answers', () => {
  const answersOf = golden.answers.map(({ now, old, ref, advantage }) => ({
    logps: Float64Array.from(now),
    old: Float64Array.from(old),
    reference: Float64Array.from(ref),
    advantage,
  }));
  const facts = { answers: answersOf.length, tokens: answersOf.reduce((n, { logps }) => n + logps.length, 0) };

  test.each(Object.entries(golden.losses))(
    '%s and its derivatives are those of TRL',
    (name, { config, loss, slopes, metrics }) => {
      const method = methodOf(name, config);
      const parts = answersOf.map((answer) => policyLoss(method, answer, facts));
      const near = (actual: number, expected: number) =>
        expect(Math.abs(actual - expected)).toBeLessThan(1e-5 * Math.max(0.01, Math.abs(expected)));
      near(
        parts.reduce((sum, part) => sum + part.loss, 0),
        loss,
      );
      for (const [i, part] of parts.entries())
        for (const [t, slope] of part.slopes.entries()) near(slope, slopes[i]![t]!);
      const whole = method.kind === 'rloo' || method.importance === 'sequence';
      const count = whole ? facts.answers : facts.tokens;
      const mean = (of: 'clippedLow' | 'clippedHigh' | 'kl') => parts.reduce((sum, part) => sum + part[of], 0);
      if (metrics['clip_ratio/low_mean'] !== undefined)
        near(mean('clippedLow') / count, metrics['clip_ratio/low_mean']);
      if (metrics['clip_ratio/high_mean'] !== undefined)
        near(mean('clippedHigh') / count, metrics['clip_ratio/high_mean']);
      if (metrics.kl !== undefined) near(mean('kl') / facts.tokens, metrics.kl);
    },
  );
});
