// Shape legend: N tokens of a micro-batch, D model width
import type { Builder, Value } from '../graph/index.ts';
import type { Architecture, Attend, LayerVector, Linear, LinearModule, OuterTensor, Routing } from './architecture.ts';
import { type Layout, rotatedAttention } from './attention.ts';
import type { LayerKind, ModelConfig, ModelType } from './config.ts';
import { gemma3Text } from './gemma3-text.ts';
import { gpt2 } from './gpt2.ts';
import { granite } from './granite.ts';
import { llama } from './llama.ts';
import { mistral } from './mistral.ts';
import { olmo2 } from './olmo2.ts';
import { phi3 } from './phi3.ts';
import { qwen2 } from './qwen2.ts';
import { qwen3 } from './qwen3.ts';
import { qwen3Moe } from './qwen3-moe.ts';
import { smollm3 } from './smollm3.ts';
import { starcoder2 } from './starcoder2.ts';

/** Every architecture by its `model_type`. Where two share a GGUF name, files of it are read as the first. */
export const ARCHITECTURES: Readonly<Record<ModelType, Architecture>> = {
  llama,
  mistral,
  qwen2,
  qwen3,
  smollm3,
  gemma3_text: gemma3Text,
  phi3,
  olmo2,
  gpt2,
  qwen3_moe: qwen3Moe,
  granite,
  starcoder2,
};

/** The architecture of a model. */
export function architectureOf({ modelType }: Pick<ModelConfig, 'modelType'>): Architecture {
  return ARCHITECTURES[modelType];
}

/** The linear modules of a layer in the order of their use; an adapter goes on these. */
export function linearModules(config: ModelConfig, layer: number): readonly LinearModule[] {
  return architectureOf(config).modules(config, layer);
}

/** All tensors of a layer that are no matrices of linear modules: norms and biases. */
export function layerVectors(config: ModelConfig, layer: number): readonly LayerVector[] {
  const biases = linearModules(config, layer)
    .filter(({ bias }) => bias)
    .map(({ module, out }) => ({ name: `${module}.bias`, shape: [out] }));
  return [...architectureOf(config).norms(config, layer), ...biases];
}

/** The tensors outside the layers; a tied head is not among them. */
export function outerTensors(config: ModelConfig): readonly OuterTensor[] {
  return architectureOf(config).outer(config);
}

/** What a layer's programs depend on beside its layout and what is adapted: layers of one signature share them. */
export function layerSignature({ layerKinds }: ModelConfig, layer: number, { length }: Pick<Layout, 'length'>): string {
  const { rope, window, hasExperts } = layerKinds[layer]!;
  return `${rope},${window < length ? window : 0},${hasExperts === true}`;
}

/** What a layer is built with. */
export interface LayerOptions {
  readonly config: ModelConfig;
  readonly layer: number;
  readonly layout: Layout;
  /** Without biases. */
  readonly linear: Linear;
  /** Within the rows of the layout, if not given. */
  readonly attend?: Attend;
  /** Told of the layer's router, where it has one. */
  readonly onRouting?: ((routing: Routing) => void) | undefined;
}

/** One decoder layer: x [N, D] to [N, D]. */
export function decoderLayer(g: Builder, x_ND: Value, options: LayerOptions): Value {
  const { config, layer, layout, linear } = options;
  const attend = options.attend ?? ((qkv, kind: LayerKind) => rotatedAttention(g, qkv, config, kind, layout));
  const biased = new Map(linearModules(config, layer).flatMap((m) => (m.bias ? [[m.module, m.out]] : [])));
  const withBias: Linear = (module, x) => {
    const y = linear(module, x);
    const out = biased.get(module);
    return out === undefined ? y : g.add(y, g.input(`${module}.bias`, [out]));
  };
  const { onRouting } = options;
  const build = { g, config, kind: config.layerKinds[layer]!, linear: withBias, attend, onRouting };
  return architectureOf(config).layer(build, x_ND);
}

/**
 * What the first layer gets: the embedding's rows [N, D] of the tokens, scaled, and where positions are learned their rows of `positionTable`.
 *
 * @param at makes the position of each token [N]
 */
export function embedded(g: Builder, config: ModelConfig, rows_ND: Value, at: () => Value): Value {
  const { embeddingScale } = config;
  const scaled = embeddingScale === 1 ? rows_ND : g.mul(rows_ND, g.scalar(embeddingScale));
  const positions = outerTensors(config).find(({ name }) => name === 'positionTable');
  return positions === undefined ? scaled : g.add(scaled, g.gather(g.input('positionTable', positions.shape), at()));
}

/** The norm before the head: x [*, D]. Inputs are those of {@link outerTensors} that it needs. */
export function finalNorm(g: Builder, config: ModelConfig, x: Value): Value {
  const y = architectureOf(config).finalNorm(g, config, x);
  return config.temperature === undefined ? y : g.mul(y, g.scalar(1 / config.temperature));
}
