import { TunesmithError } from '../errors/index.ts';
import type { Shape } from '../tensor/tensor.ts';
import { type AdapterSpec, embedTensor, HEAD_TENSOR } from './adapter.ts';
import type { ModelConfig } from './config.ts';

/** How peft calls the rows that train; they are the rows themselves, not what is added to them. */
const PART = 'token_adapter.trainable_tokens_delta';

/** Tensors of which single rows train beside an adapter: the embedding, and the head where it is a tensor of its own. */
export interface TokenTensor {
  /** As programs call the rows. */
  readonly rows: 'embed.rows' | 'head.rows';
  /** As programs call all of it. */
  readonly whole: 'embed' | 'head';
  /** Hugging Face's name of all of it. */
  readonly hf: string;
  /** peft's name of the rows, behind its prefix. */
  readonly name: string;
  readonly shape: Shape;
}

/** Whose rows an adapter trains; none where it trains none. */
export function tokenTensors(config: ModelConfig, { tokenRows = [] }: Pick<AdapterSpec, 'tokenRows'>): TokenTensor[] {
  if (tokenRows.length === 0) return [];
  const shape = [tokenRows.length, config.hiddenSize];
  const one = (whole: TokenTensor['whole'], hf: string): TokenTensor => ({
    rows: `${whole}.rows`,
    whole,
    hf,
    name: `${hf.replace(/\.weight$/, '')}.${PART}`,
    shape,
  });
  const embed = one('embed', embedTensor(config));
  return config.tiedEmbeddings ? [embed] : [embed, one('head', HEAD_TENSOR)];
}

/** What peft's trainable_token_indices says: ids for the embedding, or ids by module. */
export function writeTokenRows(
  config: { readonly tiedEmbeddings: boolean; readonly embedding: string },
  tokenRows: readonly number[],
): readonly number[] | Readonly<Record<string, readonly number[]>> {
  if (config.tiedEmbeddings) return tokenRows;
  const short = config.embedding
    .replace(/\.weight$/, '')
    .split('.')
    .at(-1)!;
  return { [short]: tokenRows, lm_head: tokenRows };
}

/**
 * Reads trainable_token_indices.
 *
 * @throws ADAPTER_UNSUPPORTED where embedding and head have other tokens, or only one of the two trains in a model in which they are two
 */
export function readTokenRows(value: unknown, config: ModelConfig, file: string): readonly number[] | undefined {
  if (value === undefined || value === null) return undefined;
  const refuse = (message: string): never => {
    throw new TunesmithError('ADAPTER_UNSUPPORTED', { file, message: `trainable_token_indices ${message}` });
  };
  const isIds = (ids: unknown): ids is number[] => Array.isArray(ids) && ids.every((id) => Number.isInteger(id));
  const lists = isIds(value) ? [value] : typeof value === 'object' ? Object.values(value) : [value];
  const [first] = lists;
  if (!isIds(first) || lists.some((ids) => String(ids) !== String(first))) {
    return refuse('must name the same tokens for each module.');
  }
  if (!config.tiedEmbeddings && lists.length !== 2) {
    return refuse('must name embedding and head, which are two tensors in this model.');
  }
  const beyond = first.find((id) => id < 0 || id >= config.vocabSize);
  if (beyond !== undefined) {
    throw new TunesmithError('ADAPTER_MISMATCH', {
      file,
      message: `trains token ${beyond}, and the embedding of the model has ${config.vocabSize} rows.`,
      fix: 'put the tokens that were added beside it, as added_tokens.json: {"<token>": id}',
    });
  }
  return first.length === 0 ? undefined : first;
}
