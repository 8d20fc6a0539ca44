import { TunesmithError } from '../errors/index.ts';
import { fileExists, readText } from '../io/index.ts';
import { withAddedTokens, withTokensOf } from '../model/added-tokens.ts';
import type { ModelSource } from '../model/source.ts';
import { taskOf } from './classify/place.ts';
import type { RunConfig } from './config.ts';

/**
 * The model that a run trains: with the tokens that it adds, or that the adapter brings from which it starts.
 *
 * @throws TOKEN_ADDED, CLI_OPTION_CONFLICT for a model that will give labels or rewards, and the errors of tokens and files
 */
export function withNewTokens(source: ModelSource, config: RunConfig, adapter: string | undefined): ModelSource {
  const { weights } = config;
  const asked = 'addTokens' in weights ? tokensAsked(weights.addTokens) : [];
  const grown = asked.length > 0 ? withAddedTokens(source, asked) : withTokensOf(source, adapter);
  if (grown.added === undefined || taskOf(config) === 'CAUSAL_LM') return grown;
  throw new TunesmithError('CLI_OPTION_CONFLICT', {
    message: `new tokens have no place in --method ${config.method.kind}: it has no head whose rows could be theirs.`,
    fix: 'leave --add-tokens out, or start from an adapter without new tokens',
  });
}

/** What config.json and the command line say: a list, one with commas, or a file with a token on each line. */
function tokensAsked(given: string | readonly string[] | undefined): readonly string[] {
  if (given === undefined || typeof given !== 'string') return given ?? [];
  if (!fileExists(given)) return given.split(',').map((token) => token.trim());
  const lines = readText(given).split(/\r?\n/);
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
}
