import { join } from 'node:path';
import { fileExists, readBytes, readJson, type TensorToWrite, writeAtomic, writeSafetensors } from '../io/index.ts';
import { chatTemplateFromGguf, tokenizerJsonFromGguf } from '../text/tokenizer-gguf.ts';
import { writeGrownText } from './added-tokens.ts';
import { architectureOf } from './architectures.ts';
import type { Activation, ModelConfig } from './config.ts';
import { toHfFolder } from './hf-layout.ts';
import { CLASSIFIER_CLASS, type ModelSource } from './source.ts';

/** Files of a Hugging Face folder that go with a tuned model unchanged. */
const COMPANIONS = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
];

/** What a folder of a classifier says of its labels. */
export interface FolderLabels {
  readonly kind: 'single' | 'multi' | 'reward';
  readonly labels: readonly string[];
}

/**
 * Writes tuned weights as a folder in Hugging Face layout, with configuration, tokenizer and template of the model that they come from.
 *
 * @param classifier the labels of a classifier, whose head is among the tensors
 */
export function writeModelFolder(
  folder: string,
  source: ModelSource,
  tensors: readonly TensorToWrite<'F32'>[],
  classifier?: FolderLabels,
): void {
  if (source.text?.kind === 'gguf') {
    const { json, config } = tokenizerJsonFromGguf(source.text.metadata);
    const template = chatTemplateFromGguf(source.text.metadata);
    writeJson(join(folder, 'config.json'), hfConfig(source.config));
    writeJson(join(folder, 'tokenizer.json'), json);
    writeJson(join(folder, 'tokenizer_config.json'), config);
    if (template !== undefined) writeAtomic(join(folder, 'chat_template.jinja'), template);
  } else {
    for (const name of COMPANIONS) {
      const file = join(source.path, name);
      if (fileExists(file)) writeAtomic(join(folder, name), readBytes(file));
    }
  }
  writeGrownText(folder, source);
  const layout = tensors.map((tensor) => toHfFolder(source.config, tensor));
  if (classifier !== undefined) {
    const file = join(folder, 'config.json');
    writeJson(file, classifierConfig(readJson(file) as Record<string, unknown>, source.config, classifier));
  }
  writeSafetensors(join(folder, 'model.safetensors'), layout);
}

const PROBLEMS: Readonly<Record<FolderLabels['kind'], string>> = {
  single: 'single_label_classification',
  multi: 'multi_label_classification',
  reward: 'regression',
};

/** config.json of a classifier, from that of its base. */
export function classifierConfig(
  json: Readonly<Record<string, unknown>>,
  config: ModelConfig,
  { kind, labels }: FolderLabels,
): Record<string, unknown> {
  return {
    ...json,
    architectures: [architectureOf(config).className.replace(/For\w+$/, CLASSIFIER_CLASS)],
    id2label: Object.fromEntries(labels.map((label, k) => [String(k), label])),
    label2id: Object.fromEntries(labels.map((label, k) => [label, k])),
    problem_type: PROBLEMS[kind],
    // Without one, transformers takes rows one at a time only.
    pad_token_id: json.pad_token_id ?? config.eosIds[0] ?? 0,
  };
}

function writeJson(path: string, value: unknown): void {
  writeAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** config.json in the spelling that every version of transformers reads. */
export function hfConfig(c: ModelConfig): Record<string, unknown> {
  const { className, write } = architectureOf(c);
  return {
    architectures: [className],
    model_type: c.modelType,
    hidden_size: c.hiddenSize,
    intermediate_size: c.intermediateSize,
    num_hidden_layers: c.layers,
    num_attention_heads: c.heads,
    num_key_value_heads: c.kvHeads,
    head_dim: c.headDim,
    hidden_act: HF_ACTIVATIONS[c.activation],
    rms_norm_eps: c.normEps,
    rope_theta: c.rope.theta,
    rope_scaling: hfScaling(c.rope.scaling),
    vocab_size: c.vocabSize,
    tie_word_embeddings: c.tiedEmbeddings,
    max_position_embeddings: c.maxPositions,
    eos_token_id: c.eosIds.length === 1 ? c.eosIds[0] : c.eosIds,
    torch_dtype: 'float32',
    ...write(c),
  };
}

const HF_ACTIVATIONS: Readonly<Record<Activation, string>> = { silu: 'silu', geluTanh: 'gelu_pytorch_tanh' };

function hfScaling(scaling: ModelConfig['rope']['scaling']): Record<string, unknown> | null {
  switch (scaling.kind) {
    case 'none':
      return null;
    case 'linear':
      return { rope_type: 'linear', factor: scaling.factor };
    case 'llama3':
      return {
        rope_type: 'llama3',
        factor: scaling.factor,
        low_freq_factor: scaling.lowFreqFactor,
        high_freq_factor: scaling.highFreqFactor,
        original_max_position_embeddings: scaling.originalMaxPositions,
      };
    case 'factors':
      // transformers' longrope with the same factors for short and long rows.
      return {
        rope_type: 'longrope',
        short_factor: scaling.factors,
        long_factor: scaling.factors,
        attention_factor: scaling.attentionFactor,
      };
    default:
      return scaling satisfies never;
  }
}
