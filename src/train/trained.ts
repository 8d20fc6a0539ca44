import { TunesmithError } from '../errors/index.ts';
import { type AdapterSpec, HEAD_TENSOR, parseLayers } from '../model/adapter.ts';
import { trainedInputs } from '../model/adapters/index.ts';
import { linearModules, outerTensors } from '../model/architectures.ts';
import { layerWeightNames } from '../model/base.ts';
import type { ModelConfig } from '../model/config.ts';
import { layerTensor } from '../model/names.ts';
import { adapterTensors, PEFT_PREFIX } from '../model/peft.ts';
import { tokenTensors } from '../model/token-rows.ts';
import { expectedTensors } from '../model/weights.ts';
import type { Shape } from '../tensor/tensor.ts';
import { SCORE, SCORE_TENSOR } from './classify/head.ts';
import type { FullWeights, Weights } from './config.ts';
import type { HeadMode } from './head.ts';

/** What trains: inputs of each layer's programs, and tensors outside the layers by the names that programs call them. */
export interface Trained {
  readonly layers: readonly (readonly string[])[];
  readonly outer: readonly string[];
  /** What stands before Hugging Face's names in files. */
  readonly prefix: string;
}

/** What trains with an adapter: its own tensors, and what trains in full beside them. */
export function trainedByAdapter(config: ModelConfig, spec: AdapterSpec): Trained {
  const { modules, saved } = spec;
  const names = new Set(saved);
  const outer = outerTensors(config).filter(({ hf }) => names.has(hf));
  return {
    layers: modules.map((adapted, layer) => [
      ...trainedInputs(adapted, linearModules(config, layer)),
      ...layerWeightNames(config, layer).filter((name) => names.has(layerTensor(config, layer, name))),
    ]),
    outer: [
      ...outer.map(({ name }) => name),
      ...(config.tiedEmbeddings && names.has(HEAD_TENSOR) ? ['head'] : []),
      ...tokenTensors(config, spec).map(({ rows }) => rows),
    ],
    prefix: PEFT_PREFIX,
  };
}

/** Names of norms, whatever the architecture calls them. */
const NORM = /norm|(^|\.)ln_/;

/** All weights, less what is frozen. @throws ADAPTER_TARGETS, CLI_OPTION_CONFLICT */
export function trainedInFull(config: ModelConfig, { layers, freeze = [] }: Partial<FullWeights> = {}): Trained {
  if (config.tiedEmbeddings && freeze.includes('head') && !freeze.includes('embed')) {
    throw new TunesmithError('CLI_OPTION_CONFLICT', {
      message: '--freeze head: head and embedding are one tensor in this model.',
      fix: '--freeze embed freezes both',
    });
  }
  const chosen = layers === undefined ? undefined : new Set(parseLayers(layers, config.layers));
  const isFrozen = (name: string) =>
    NORM.test(name)
      ? freeze.includes('norms')
      : freeze.includes(name === 'head' ? 'head' : 'embed') && !name.includes('.');
  const namesOf = (layer: number) => layerWeightNames(config, layer).filter((name) => !isFrozen(name));
  return {
    layers: Array.from({ length: config.layers }, (_, layer) => (chosen?.has(layer) === false ? [] : namesOf(layer))),
    outer: outerTensors(config)
      .map(({ name }) => name)
      .filter((name) => !isFrozen(name)),
    prefix: '',
  };
}

/** Nothing: for passes forward only. */
export function nothingTrained({ layers }: ModelConfig): Trained {
  return { layers: Array.from({ length: layers }, () => []), outer: [], prefix: '' };
}

/** A classifier trains its own head, and none over the vocabulary. */
export function withScore(trained: Trained): Trained {
  return { ...trained, outer: [...trained.outer.filter((name) => name !== 'head'), SCORE] };
}

/** What a run trains. @throws ADAPTER_TARGETS, CLI_OPTION_CONFLICT */
export function trainedBy(config: ModelConfig, spec: AdapterSpec | undefined, weights: Weights): Trained {
  if (spec !== undefined) return trainedByAdapter(config, spec);
  return trainedInFull(config, weights.kind === 'full' ? weights : {});
}

/** The first layer that the gradient has to reach; the number of layers where it reaches none. */
export function firstTrained({ layers, outer }: Trained): number {
  if (['embed', 'embed.rows', 'positionTable'].some((name) => outer.includes(name))) return 0;
  const first = layers.findIndex((names) => names.length > 0);
  return first < 0 ? layers.length : first;
}

/** What the head computes besides the loss. */
export function gradientMode({ outer }: Pick<Trained, 'outer'>, isTied: boolean): HeadMode {
  if (outer.includes('head') || (isTied && outer.includes('embed'))) return 'gradient-and-weights';
  return outer.some((name) => name.startsWith('norm')) ? 'gradient-and-norm' : 'gradient';
}

/** Shapes of everything that trains, but for a classifier's head. */
export function trainedShapes(config: ModelConfig, trained: Trained, spec: AdapterSpec | undefined): Shape[] {
  if (spec !== undefined) return [...adapterTensors(config, spec).values()];
  const all = expectedTensors(config);
  const names = trained.layers.flatMap((inputs, layer) => inputs.map((name) => fileName(config, trained, layer, name)));
  return [...names, ...trained.outer.map((name) => fileName(config, trained, 'outer', name))].map(
    (name) => all.get(name)!,
  );
}

/** Name of a trained tensor in files: peft's for an adapter, Hugging Face's for full weights. */
export function fileName(config: ModelConfig, { prefix }: Trained, place: number | 'outer', name: string): string {
  if (place !== 'outer') return `${prefix}${layerTensor(config, place, name)}`;
  if (name === SCORE) return `${prefix}${SCORE_TENSOR}`;
  if (name.endsWith('.rows')) {
    // Any token will do: names don't depend on which rows train.
    const tensor = tokenTensors(config, { tokenRows: [0] }).find(({ rows }) => rows === name);
    return `${prefix}${tensor!.name}`;
  }
  return `${prefix}${outerTensors(config).find((tensor) => tensor.name === name)?.hf ?? HEAD_TENSOR}`;
}
