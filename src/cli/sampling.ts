import { TunesmithError } from '../errors/index.ts';
import type { OptionSpecs, Values } from './command.ts';
import type { Sampling } from './domain.ts';

/** Options of commands that generate. */
export const samplingOptions = {
  'max-tokens': { type: 'integer', value: 'N', description: 'longest answer in tokens', default: '256' },
  temperature: { type: 'number', value: 'X', description: '0 always takes the likeliest token', default: '0' },
  'top-k': { type: 'integer', value: 'N', description: 'only the N likeliest tokens' },
  'top-p': { type: 'number', value: 'X', description: 'only the likeliest tokens that together have this share' },
  'min-p': {
    type: 'number',
    value: 'X',
    description: "only tokens with this share of the likeliest one's probability",
  },
  'repetition-penalty': { type: 'number', value: 'X', description: 'above 1 makes tokens that were there less likely' },
  seed: { type: 'integer', value: 'N', description: 'seed of the choice', default: '0' },
  stop: { type: 'string', value: 'TEXT', many: true, description: 'a text that ends the answer' },
  precision: {
    type: 'string',
    choices: ['exact', 'fast'],
    description: 'float32 as score has it, or 8-bit arithmetic',
    default: 'exact',
  },
} as const satisfies OptionSpecs;

/** What the help of commands that generate says of precisions. */
export const PRECISION_NOTE =
  '--precision exact gives the same numbers as score. fast multiplies in 8 bits on the weights as they are stored (4-bit and 8-bit blocks\n' +
  'as they are, all else rounded to 8 bits in blocks of 32): several times less memory and faster, and now and then another word.';

/** One line on what `fast` rounds, where it rounds weights. */
export function roundingText(rounded: Readonly<Record<string, number>>): string | undefined {
  const parts = Object.entries(rounded).map(
    ([type, count]) => `${count} ${count === 1 ? 'matrix' : 'matrices'} in ${type}`,
  );
  return parts.length === 0 ? undefined : `--precision fast rounds ${parts.join(', ')} to 8 bits.`;
}

/** Says where an answer that did not end by itself was cut. */
export function lengthText(
  { stop, tokens }: { readonly stop: string; readonly tokens: number },
  maxTokens: number,
  contextLength: number,
): string | undefined {
  if (stop !== 'length') return undefined;
  if (tokens < maxTokens) return `cut: the model's context of ${contextLength} tokens is full`;
  return `cut at --max-tokens ${maxTokens}`;
}

/** The range of each number: lowest, highest, and whether these themselves are allowed. */
const RANGES = {
  'max-tokens': [1, Number.MAX_SAFE_INTEGER],
  temperature: [0, 100],
  'top-k': [1, Number.MAX_SAFE_INTEGER],
  'top-p': [Number.MIN_VALUE, 1],
  'min-p': [0, 1],
  'repetition-penalty': [Number.MIN_VALUE, 100],
  seed: [0, Number.MAX_SAFE_INTEGER],
} as const;

/** Reads them. @throws CLI_OPTION_VALUE, CLI_OPTION_CONFLICT for what greedy choice would ignore */
export function samplingOf(options: Values<typeof samplingOptions>): Sampling {
  for (const [name, [low, high]] of Object.entries(RANGES)) {
    const value = options[name as keyof typeof RANGES];
    if (value === undefined || (value >= low && value <= high)) continue;
    const range = low === Number.MIN_VALUE ? `above 0` : `at least ${low}`;
    const top = high > 1e9 ? '' : ` and at most ${high}`;
    throw new TunesmithError('CLI_OPTION_VALUE', { message: `--${name} ${value} is not ${range}${top}.` });
  }
  if (options.stop?.includes('')) throw new TunesmithError('CLI_OPTION_VALUE', { message: '--stop is empty.' });
  const temperature = options.temperature ?? 0;
  const ignored = (['top-k', 'top-p', 'min-p', 'seed'] as const).find((name) => options[name] !== undefined);
  if (temperature === 0 && ignored !== undefined) {
    const message = `--${ignored} has no effect where the likeliest token is always taken.`;
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message, fix: '--temperature 0.7, say' });
  }
  return {
    maxTokens: options['max-tokens'] ?? 256,
    temperature,
    ...(options['top-k'] === undefined ? {} : { topK: options['top-k'] }),
    ...(options['top-p'] === undefined ? {} : { topP: options['top-p'] }),
    ...(options['min-p'] === undefined ? {} : { minP: options['min-p'] }),
    ...(options['repetition-penalty'] === undefined ? {} : { repetitionPenalty: options['repetition-penalty'] }),
    seed: options.seed ?? 0,
    stop: options.stop ?? [],
    precision: options.precision === 'fast' ? 'fast' : 'exact',
  };
}
