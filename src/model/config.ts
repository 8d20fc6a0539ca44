import { nearestName, TunesmithError } from '../errors/index.ts';
import { ARCHITECTURES } from './architectures.ts';
import { configReader, ggufReader, parseGgufDecoder } from './config-reader.ts';

/** Rotary embedding frequencies and how they are stretched. */
export interface RopeConfig {
  readonly theta: number;
  readonly scaling:
    | { readonly kind: 'none' }
    /** Positions are divided by factor. */
    | { readonly kind: 'linear'; readonly factor: number }
    /** Llama 3.1: low frequencies are divided by factor, high ones kept, those between blended. */
    | {
        readonly kind: 'llama3';
        readonly factor: number;
        readonly lowFreqFactor: number;
        readonly highFreqFactor: number;
        readonly originalMaxPositions: number;
      }
    /**
     * Each frequency is divided by a factor of its own, as GGUF files of Llama 3.x carry them and LongRoPE has them (Ding et al. 2024,
     * arXiv:2402.13753); cos and sin are multiplied by `attentionFactor`.
     */
    | { readonly kind: 'factors'; readonly factors: readonly number[]; readonly attentionFactor: number };
}

/** The architectures that are computed, as config.json names them. */
export const MODEL_TYPES = [
  'llama',
  'mistral',
  'qwen2',
  'qwen3',
  'smollm3',
  'gemma3_text',
  'phi3',
  'olmo2',
  'gpt2',
  'qwen3_moe',
  'granite',
  'starcoder2',
] as const;

/** See {@link MODEL_TYPES}. */
export type ModelType = (typeof MODEL_TYPES)[number];

/** Activations of feed-forward layers. */
export type Activation = 'silu' | 'geluTanh';

/** What may differ between the layers of one model without their weights differing in shape. */
export interface LayerKind {
  /** Which rotation q and k get; `local` layers have a theta of their own. */
  readonly rope: 'global' | 'local' | 'none';
  /** Tokens that a query sees, itself included; 0 for all before it. */
  readonly window: number;
  /** Its feed-forward layer is made of experts. */
  readonly hasExperts?: boolean;
}

/** Experts of the layers that have them. */
export interface Experts {
  readonly count: number;
  /** How many the router chooses for each token. */
  readonly perToken: number;
  /** Their feed-forward width. */
  readonly width: number;
  /** The weights of the chosen ones are scaled to a sum of 1. */
  readonly isNormalised: boolean;
}

/** What the graph of a decoder depends on, whatever file it came from. */
export interface ModelConfig {
  readonly modelType: ModelType;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Of each head so many coordinates turn with the position; the rest stay. */
  readonly rotaryDim: number;
  readonly normEps: number;
  readonly rope: RopeConfig;
  /** Of layers whose kind says so. */
  readonly localRope: RopeConfig | undefined;
  /** One for each layer. */
  readonly layerKinds: readonly LayerKind[];
  /** Products of q and k are multiplied by it. */
  readonly attentionScale: number;
  /** Rows of the embedding are multiplied by it. */
  readonly embeddingScale: number;
  /** What a layer adds is multiplied by it; 1 if not given. */
  readonly residualScale?: number;
  /** Logits are multiplied by it; 1 if not given. */
  readonly logitScale?: number;
  /** Of a network that trains on answers which it drew: logits are divided by it, as they were then; 1 if not given. */
  readonly temperature?: number;
  readonly activation: Activation;
  /** Which linear modules have a bias. */
  readonly biases: { readonly qkv: boolean; readonly output: boolean; readonly mlp: boolean };
  readonly experts?: Experts;
  readonly vocabSize: number;
  readonly tiedEmbeddings: boolean;
  readonly maxPositions: number;
  readonly eosIds: readonly number[];
}

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads a Hugging Face config.json in the spelling of transformers 4 or 5.
 *
 * @param file only for messages
 * @throws MODEL_UNSUPPORTED for an architecture or option that would be computed wrongly, MODEL_CONFIG for a missing or bad value
 */
export function parseHfConfig(json: Json, file: string): ModelConfig {
  const modelType = MODEL_TYPES.find((type) => type === json.model_type);
  if (modelType === undefined) throw unknownType('model_type', String(json.model_type), MODEL_TYPES, file);
  return ARCHITECTURES[modelType].parse(configReader(json, file));
}

/** Names the known type that is spelt most like it, or else one of the same family. */
function unknownType(key: string, given: string, known: readonly string[], file: string): TunesmithError {
  const family = (type: string) => /^[a-z]*/.exec(type)?.[0] ?? '';
  const near =
    nearestName(given, known) ?? known.find((type) => family(given).length > 2 && family(type) === family(given));
  return new TunesmithError('MODEL_UNSUPPORTED', {
    file,
    message: `${key} "${given}" is not one of: ${known.join(', ')}.`,
    fix: near === undefined ? undefined : `use a model of a known type; the nearest is ${near}.`,
  });
}

/** What the tensors of a GGUF file say of its model. */
export interface GgufFacts {
  readonly tiedEmbeddings: boolean;
  readonly vocabSize: number;
  /** Divisors of the frequencies, where the file has them. */
  readonly ropeFactors: readonly number[] | undefined;
  /** There are others for long rows. */
  readonly hasLongFactors: boolean;
}

/**
 * Reads the configuration that a GGUF file's metadata carries.
 *
 * @throws MODEL_UNSUPPORTED, MODEL_CONFIG
 */
export function parseGgufConfig(metadata: Json, facts: GgufFacts, file: string): ModelConfig {
  const { modelType, gguf } = ggufArchitecture(metadata, file);
  const reader = ggufReader(metadata, gguf.architecture, facts, file);
  return gguf.parse(reader, parseGgufDecoder(reader, modelType));
}

/** The architecture that a GGUF file's metadata names. @throws MODEL_UNSUPPORTED */
export function ggufArchitecture(metadata: Json, file: string): (typeof ARCHITECTURES)[ModelType] {
  const given = metadata['general.architecture'];
  const all = Object.values(ARCHITECTURES);
  const found = all.find(({ gguf }) => gguf.architecture === given);
  if (found !== undefined) return found;
  const known = [...new Set(all.map(({ gguf }) => gguf.architecture))];
  throw unknownType('general.architecture', String(given), known, file);
}
