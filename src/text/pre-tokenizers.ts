import { isRecord } from '../io/json-checks.ts';
import { arrayOf } from './json.ts';

type Json = Readonly<Record<string, unknown>>;

/** GPT-2's pattern: contractions, words, numbers and punctuation with the space before them, white space. */
export const GPT2_PATTERN = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** A pre-tokenizer that puts what the pattern matches into pieces of its own. */
export function splitBy(regex: string): Json {
  return { type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false };
}

/** A pre-tokenizer that only turns bytes into printable characters. */
export const BYTES_ONLY: Json = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false };

/** Several pre-tokenizers, one after the other. */
export function inSequence(pretokenizers: readonly Json[]): Json {
  return { type: 'Sequence', pretokenizers };
}

/**
 * Rewrites a pre-tokenizer into kinds that the library computes as transformers does.
 *
 * In the library, `\s` of ByteLevel and `\d` of Digits are JavaScript's (other white space, ASCII digits only), and Metaspace does not split.
 * `\p{N}` and Oniguruma's `\s` in a Split are right.
 *
 * @throws Error naming the kind if it can't be computed exactly
 */
export function exactPreTokenizer(config: unknown): Json | null {
  if (config === null || config === undefined) return null;
  if (!isRecord(config)) throw new Error('its pre_tokenizer is not an object');
  switch (config.type) {
    case 'Sequence':
      return inSequence(
        arrayOf(config.pretokenizers)
          .map((c) => exactPreTokenizer(c))
          .filter((c) => c !== null),
      );
    case 'ByteLevel':
      return inSequence([
        ...(config.add_prefix_space === true ? [PREFIX_SPACE] : []),
        ...(config.use_regex === false ? [] : [splitBy(GPT2_PATTERN)]),
        BYTES_ONLY,
      ]);
    case 'Digits':
      return splitBy(config.individual_digits === true ? '\\p{N}' : '\\p{N}+');
    case 'Metaspace':
      return exactMetaspace(config);
    case 'Split':
      return exactSplit(config);
    default:
      throw new Error(`its pre-tokenizer ${JSON.stringify(config.type)} is not known`);
  }
}

/** Puts a space before text that has none there. */
const PREFIX_SPACE: Json = { type: 'Metaspace', replacement: ' ', prepend_scheme: 'always' };

function exactMetaspace(config: Json): Json {
  // Files from before `prepend_scheme` say add_prefix_space, on by default.
  const scheme = config.prepend_scheme ?? (config.add_prefix_space === false ? 'never' : 'always');
  const replacement = typeof config.replacement === 'string' ? config.replacement : '\u2581';
  const space: Json = { type: 'Metaspace', replacement, prepend_scheme: scheme };
  if (config.split === false) return space;
  return inSequence([space, splitBy(`${replacement}?[^${replacement}]+|${replacement}`)]);
}

function exactSplit(config: Json): Json {
  const pattern = config.pattern;
  const isRegex = isRecord(pattern) && typeof pattern.Regex === 'string';
  const isString = isRecord(pattern) && typeof pattern.String === 'string';
  if (!isRegex && !isString) throw new Error('its Split pre-tokenizer has no pattern');
  const behavior = String(config.behavior ?? 'Isolated').toLowerCase();
  if (behavior === 'isolated') return { ...config, invert: false };
  if (behavior === 'removed' && isRegex) return config;
  // Gemma splits at spaces that its normalizer has replaced before: no effect, whatever the behaviour.
  if (pattern.String === ' ') return config;
  throw new Error(`its Split pre-tokenizer has the behaviour ${behavior}`);
}
