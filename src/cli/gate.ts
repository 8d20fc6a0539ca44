import { TunesmithError } from '../errors/index.ts';
import type { Comparison } from '../evaluate/compare.ts';
import { comparisonText } from '../evaluate/words.ts';

/** A limit with its unit: per cent of perplexity, or points of accuracy. */
export interface Limit {
  readonly amount: number;
  readonly unit: 'loss' | 'accuracy';
}

/** What a run must show before it may ship. */
export interface GateLimits {
  readonly minGain: Limit | undefined;
  readonly maxForget: Limit | undefined;
}

/** One demand and whether it is met. */
export interface GateCheck {
  readonly demand: 'min-gain' | 'max-forget';
  readonly task: string;
  readonly passed: boolean;
  /** The end of the interval that decides, in the unit of the limit. */
  readonly decisive: number;
  readonly text: string;
}

/** Reads `3%` or `2points`. @throws CLI_OPTION_VALUE for a bare number, whose unit nobody could know */
export function readLimit(flag: string, value: string): Limit {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)\s*(%|points?)$/.exec(value.trim()) ?? [];
  if (amount !== undefined) return { amount: Number(amount), unit: unit === '%' ? 'loss' : 'accuracy' };
  throw new TunesmithError('CLI_OPTION_VALUE', {
    message: `--${flag} ${value} has no unit.`,
    fix: `--${flag} 3% of perplexity, or --${flag} 2points of accuracy`,
  });
}

/**
 * Holds comparisons against limits. It is the unfavourable end of each interval that decides: a gain must be shown, and forgetting must be ruled out.
 *
 * @throws CLI_OPTION_CONFLICT where nothing was measured in the unit of a limit
 */
export function checkGate(comparisons: readonly Comparison[], { minGain, maxForget }: GateLimits): GateCheck[] {
  const of = (demand: GateCheck['demand'], limit: Limit | undefined, role: Comparison['role']): GateCheck[] => {
    if (limit === undefined) return [];
    // Bits per byte are a loss too, but no rise of perplexity by so many per cent.
    const isPoints = ({ unit }: Comparison) => unit !== 'loss' && unit !== 'bits';
    const isFitting = (one: Comparison) => (limit.unit === 'loss' ? one.unit === 'loss' : isPoints(one));
    const fitting = comparisons.filter((one) => one.role === role && isFitting(one));
    // The skills together find less than each of them; each alone is too small to be a verdict.
    const pooled = fitting.filter(({ task }) => task === 'all skills');
    const judged = pooled.length > 0 ? pooled : fitting;
    if (judged.length === 0) throw nothingMeasured(demand, limit);
    return judged.map((one) => check(demand, limit.amount, one));
  };
  return [...of('min-gain', minGain, 'target'), ...of('max-forget', maxForget, 'general')];
}

function check(demand: GateCheck['demand'], amount: number, comparison: Comparison): GateCheck {
  const { low } = comparison.gain;
  const isGain = demand === 'min-gain';
  // At least so much better; or at most so much worse, which is how much perplexity rises.
  const decisive = comparison.unit === 'loss' ? 100 * (1 - Math.exp(-low)) : 100 * low;
  const passed = isGain ? decisive >= amount : -decisive <= amount;
  const unit = comparison.unit === 'loss' ? '%' : 'points';
  const shown = isGain
    ? `at least ${decisive.toFixed(1)} ${unit} better is sure, ${amount} are asked`
    : `at most ${Math.max(0, -decisive).toFixed(1)} ${unit} worse is sure, ${amount} are allowed`;
  return { demand, task: comparison.task, passed, decisive, text: `${comparisonText(comparison)}\n  ${shown}` };
}

function nothingMeasured(demand: string, { unit }: Limit): TunesmithError {
  const isGain = demand === 'min-gain';
  const what = unit === 'loss' ? 'a loss (%)' : 'an accuracy (points)';
  const fix = !isGain
    ? 'leave --suite none out'
    : unit === 'loss'
      ? 'give a gain in points with --task FILE, or train with rows held out'
      : '--task FILE';
  return new TunesmithError('CLI_OPTION_CONFLICT', {
    message: `--${demand} is about ${what}, and no task here measures one.`,
    fix,
  });
}
