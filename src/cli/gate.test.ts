import { describe, expect, it } from 'vitest';
import { cli } from '../../test/support/cli.ts';
import type { Comparison } from '../evaluate/compare.ts';
import { checkGate, readLimit } from './gate.ts';

const comparison = (changes: Partial<Comparison>): Comparison => ({
  task: 'general text',
  role: 'general',
  unit: 'loss',
  items: 30,
  tuned: 3,
  base: 3,
  gain: { estimate: -0.02, low: -0.04, high: 0 },
  p: 0.1,
  correctedP: 0.1,
  verdict: 'unsure',
  ...changes,
});

describe('gate', () => {
  it('decides by the unfavourable end of the interval, not by the estimate', () => {
    const passes = (maxForget: string) =>
      checkGate([comparison({})], { minGain: undefined, maxForget: readLimit('max-forget', maxForget) })[0]!.passed;
    expect(passes('3%')).toBe(false);
    expect(passes('4%')).toBe(false);
    expect(passes('4.1%')).toBe(true);
  });

  it('asks for a gain that is shown', () => {
    const learned = comparison({
      task: 'mine',
      role: 'target',
      unit: 'accuracy',
      gain: { estimate: 0.1, low: 0.04, high: 0.16 },
    });
    const passes = (minGain: string) =>
      checkGate([learned], { minGain: readLimit('min-gain', minGain), maxForget: undefined })[0]!.passed;
    expect(passes('4points')).toBe(true);
    expect(passes('5 points')).toBe(false);
  });

  it('judges skills together, not one by one', () => {
    const skill = comparison({ task: 'grammar', unit: 'accuracy', gain: { estimate: -0.05, low: -0.1, high: 0 } });
    const all = comparison({ task: 'all skills', unit: 'accuracy', gain: { estimate: 0, low: -0.01, high: 0.01 } });
    const checks = checkGate([skill, all], { minGain: undefined, maxForget: readLimit('max-forget', '2points') });
    expect(checks).toMatchObject([{ task: 'all skills', passed: true }]);
  });

  it('refuses a limit that nothing measured', () => {
    const limits = { minGain: readLimit('min-gain', '2points'), maxForget: undefined };
    expect(() => checkGate([comparison({})], limits)).toThrow('no task here measures one');
  });

  it.each(['3', 'much', '-2%', ''])('refuses %j, which has no unit', async (value) => {
    const { exit, lines } = await cli(['gate', 'x', `--max-forget=${value}`]);
    expect(exit).toBe(2);
    expect(lines[0]).toMatchObject({ type: 'error', code: 'CLI_OPTION_VALUE' });
  });

  it('asks for a limit', async () => {
    expect((await cli(['gate', 'x'])).lines[0]).toMatchObject({ code: 'CLI_ARGUMENT' });
  });
});
