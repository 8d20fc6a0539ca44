import { join } from 'node:path';
import { z } from 'zod';
import { TunesmithError } from '../../errors/index.ts';
import { readJson, safetensorsSha256, type TensorToWrite, writeAtomic, writeSafetensors } from '../../io/index.ts';
import { type ModelConfig, type ModelType, parseHfConfig } from '../../model/config.ts';
import { toHfFolder } from '../../model/hf-layout.ts';
import { INITIAL_DEVIATION, initialWeight } from '../../model/initial-weights.ts';
import type { ModelSource } from '../../model/source.ts';
import { expectedTensors } from '../../model/weights.ts';
import { type TrainedTokenizer, trainTokenizer } from '../../text/index.ts';

/** Ids of a new tokenizer where nothing is said. */
const VOCAB = 4096;

/** Architectures whose weights are made here. */
const MADE: readonly ModelType[] = ['llama', 'mistral', 'qwen2', 'qwen3', 'smollm3', 'olmo2', 'gpt2'];

/** The short form of a new model's config: a Llama of this size. */
const ShortForm = z.strictObject({
  layers: z.int().min(1),
  hidden: z.int().min(2),
  heads: z.int().min(1),
  kvHeads: z.int().min(1).optional(),
  /** Width of the feed-forward layers; 8/3 of `hidden`, rounded up to a multiple of 64. */
  intermediate: z.int().min(1).optional(),
  /** Longest text in tokens. */
  context: z.int().min(2).default(1024),
  /** The head is the embedding. */
  tied: z.boolean().default(true),
});

/** A model that is not there yet. Its weights are made when they are asked for. */
export interface NewModel {
  /** What it will be once it is written. */
  readonly source: ModelSource;
  /** Of the weight file that {@link NewModel.write} writes. */
  readonly sha256: string;
  /** The first value of a weight, by its Hugging Face name. */
  weight(name: string): Float32Array;
  /** Writes it as a folder in Hugging Face layout. */
  write(folder: string): void;
  readonly warnings: readonly { readonly code: string; readonly message: string }[];
}

/** What a new model is made from. */
export interface NewModelOptions {
  /** A config.json, or a JSON file in the short form. */
  readonly file: string;
  /** Ids of the tokenizer; if not given what the config says, or 4,096. */
  readonly vocab: number | undefined;
  /** The tokenizer is trained on them. */
  readonly texts: Iterable<string>;
  readonly seed: number;
  /** The folder that it will be written to. */
  readonly folder: string;
}

/**
 * Makes a model from its configuration: a tokenizer that is trained on the texts, and random weights.
 *
 * @throws FILE_NOT_FOUND, FILE_NOT_JSON, MODEL_CONFIG, MODEL_UNSUPPORTED
 */
export function newModel({ file, vocab, texts, seed, folder }: NewModelOptions): NewModel {
  const given = readConfig(file);
  // A config that is wrong is found before a tokenizer is trained.
  const checked = parseHfConfig({ vocab_size: VOCAB, ...given }, file);
  if (!MADE.includes(checked.modelType)) {
    const message = `weights of ${checked.modelType} are not made here, only those of ${MADE.join(', ')}.`;
    throw new TunesmithError('MODEL_UNSUPPORTED', { file, message });
  }
  const wanted = vocab ?? checked.vocabSize;
  const tokenizer = trainTokenizer(texts, { vocabSize: wanted });
  const json = {
    ...given,
    vocab_size: tokenizer.vocabSize,
    bos_token_id: tokenizer.eosId,
    eos_token_id: tokenizer.eosId,
    pad_token_id: tokenizer.eosId,
    torch_dtype: 'float32',
  };
  const config = parseHfConfig(json, file);
  const shapes = expectedTensors(config);
  const deviation = deviationOf(given);
  const weight = (name: string) => initialWeight(config, name, shapes.get(name)!, { seed, deviation });
  const tensors = () =>
    [...shapes].map(([name, shape]) =>
      toHfFolder(config, { name, type: 'F32', shape, data: () => weight(name) } as TensorToWrite<'F32'>),
    );
  return {
    source: sourceOf(config, tokenizer, folder),
    sha256: safetensorsSha256(tensors()),
    weight,
    write: (to) => {
      const files = {
        'config.json': json,
        'tokenizer.json': tokenizer.json,
        'tokenizer_config.json': tokenizer.config,
      };
      for (const [name, value] of Object.entries(files)) {
        writeAtomic(join(to, name), `${JSON.stringify(value, null, 2)}\n`);
      }
      writeSafetensors(join(to, 'model.safetensors'), tensors());
    },
    warnings: vocabWarning(wanted, tokenizer.vocabSize),
  };
}

function vocabWarning(wanted: number, vocabSize: number) {
  if (vocabSize === wanted) return [];
  const message = `the texts gave a tokenizer of ${vocabSize} ids, fewer than ${wanted}: no other pair of tokens stands in them twice.`;
  return [{ code: 'TOKENIZER_SMALL', message }];
}

function sourceOf(config: ModelConfig, tokenizer: TrainedTokenizer, path: string): ModelSource {
  const { json: tokenizerJson, config: tokenizerConfig } = tokenizer;
  const text = { kind: 'hf', tokenizerJson, tokenizerConfig, chatTemplate: undefined } as const;
  return { path, config, tensors: new Map(), text, weightFiles: [join(path, 'model.safetensors')] };
}

type Json = Readonly<Record<string, unknown>>;

function readConfig(file: string): Json {
  const json = readJson(file);
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new TunesmithError('MODEL_CONFIG', { file, message: 'is not a JSON object.' });
  }
  return 'model_type' in json ? { ...json } : fromShortForm(json, file);
}

function fromShortForm(json: object, file: string): Json {
  const parsed = ShortForm.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const place = issue?.path.join('.') ?? '';
    throw new TunesmithError('MODEL_CONFIG', {
      file,
      message: `${place === '' ? '' : `${place}: `}${issue?.message ?? 'is wrong'}.`,
      fix: 'a config.json with model_type, or {"layers": 4, "hidden": 256, "heads": 4}',
    });
  }
  const { layers, hidden, heads, kvHeads = heads, context, tied } = parsed.data;
  if (hidden % (2 * heads) !== 0 || heads % kvHeads !== 0) {
    const message = `hidden ${hidden} is not an even number for each of ${heads} heads, or kvHeads ${kvHeads} does not divide them.`;
    throw new TunesmithError('MODEL_CONFIG', { file, message });
  }
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: hidden,
    intermediate_size: parsed.data.intermediate ?? Math.ceil((8 * hidden) / 3 / 64) * 64,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    hidden_act: 'silu',
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    max_position_embeddings: context,
    tie_word_embeddings: tied,
    initializer_range: INITIAL_DEVIATION,
  };
}

function deviationOf({ initializer_range: range }: Json): number | undefined {
  return typeof range === 'number' && range > 0 ? range : undefined;
}
