import { TunesmithError } from '../errors/index.ts';
import { type AdaptedModules, type LowRank, methodOf, type Settings } from './adapters/index.ts';
import { requirePatterns, targetMatcher, targetsFix } from './adapters/targets.ts';
import { linearModules, outerTensors } from './architectures.ts';
import type { ModelConfig, ModelType } from './config.ts';
import { layerTensor } from './names.ts';
import { expectedTensors } from './weights.ts';

export { parseLayers } from './adapters/targets.ts';

/** What a user, or a PEFT folder, asks for. */
export interface AdapterRequest {
  readonly settings: Settings;
  /** Share of an adapter's input that is dropped in training. */
  readonly dropout: number;
  /** Names, a group of names, or a regular expression over full module names. */
  readonly targets: string | readonly string[];
  /** Layers that have an adapter; undefined means all. */
  readonly layers?: readonly number[] | undefined;
  /** Modules that train in full beside the adapter (peft's modules_to_save), by the end of their names. */
  readonly save?: readonly string[] | undefined;
  /** Whether embedding and head stay one tensor, where they are one in the model and train in full (default: yes). */
  readonly tied?: boolean;
  /** Tokens whose rows of the embedding, and of a head of its own, train beside the adapter (peft's trainable_token_indices). */
  readonly tokenRows?: readonly number[] | undefined;
}

/** LoRA with nothing else, of which only what differs from peft's defaults need be said. */
export type LoraRequest = Pick<LowRank, 'rank' | 'alpha'> &
  Partial<LowRank> &
  Pick<AdapterRequest, 'targets' | 'layers'> & { readonly dropout?: number };

/** The request of a {@link LoraRequest}. */
export function loraRequest({ dropout = 0, targets, layers, ...given }: LoraRequest): AdapterRequest {
  const settings = { kind: 'lora', rsLora: false, rankPattern: {}, alphaPattern: {}, ...given } as const;
  return { settings, dropout, targets, layers };
}

/** An adapter's settings, resolved against a model. */
export interface AdapterSpec extends AdapterRequest {
  readonly modelType: ModelType;
  /** Per decoder layer: what is adapted. */
  readonly modules: readonly AdaptedModules[];
  /** Tensors that train in full beside the adapter, by their Hugging Face names. */
  readonly saved: readonly string[];
  /** What becomes of embedding and head that are one tensor in the model, where one of them trains in full. */
  readonly tie: 'kept' | 'cut' | 'untouched';
  /** The embedding's Hugging Face name. */
  readonly embedding: string;
  /** Whether it is the head too in the model. */
  readonly tiedEmbeddings: boolean;
  /** Modules of the model's layers that have no adapter though their layer has. */
  readonly left: ReadonlySet<string>;
}

/**
 * Finds the modules that a request names.
 *
 * @throws ADAPTER_TARGETS when a target matches nothing, ADAPTER_UNSUPPORTED for a module that cannot train in full beside an adapter
 */
export function resolveAdapter(config: ModelConfig, request: AdapterRequest): AdapterSpec {
  const { settings, targets, layers } = request;
  const { adapt, knowsTying } = methodOf(settings).folder;
  const chosen = layers === undefined ? undefined : new Set(layers);
  const all = moduleNames(config);
  const matches = targetMatcher(targets, all.flat());
  const modules = all.map((names, layer): AdaptedModules => {
    if (chosen !== undefined && !chosen.has(layer)) return new Map();
    const found = linearModules(config, layer).filter(
      ({ isExpert }, i) => matches(names[i]!) && !(isExpert === true && targets === 'all-linear'),
    );
    return new Map(found.map(({ module }) => [module, adapt(settings, layerTensor(config, layer, module))]));
  });
  if (modules.every((m) => m.size === 0)) {
    throw new TunesmithError('ADAPTER_TARGETS', {
      message: `targets ${JSON.stringify(targets)} match no linear module in the chosen layers.`,
      fix: targetsFix(all.flat()),
    });
  }
  const isTied = config.tiedEmbeddings && knowsTying && request.tied !== false;
  const saved = savedTensors(config, request.save ?? [], isTied);
  const embedding = embedTensor(config);
  const isTouched = config.tiedEmbeddings && [embedding, HEAD_TENSOR].some((one) => saved.includes(one));
  const tie = isTouched ? (isTied ? 'kept' : 'cut') : 'untouched';
  const left = modules.flatMap((adapted, layer) =>
    adapted.size === 0 ? [] : linearModules(config, layer).filter(({ module }) => !adapted.has(module)),
  );
  const { modelType, tiedEmbeddings } = config;
  requireApart(saved, embedding, request.tokenRows);
  const own = { modelType, modules, saved, tie, embedding, tiedEmbeddings } as const;
  return { ...request, ...own, left: new Set(left.map(({ module }) => module)) };
}

/** @throws ADAPTER_UNSUPPORTED for single rows of what trains in full */
function requireApart(saved: readonly string[], embedding: string, tokenRows: AdapterRequest['tokenRows']): void {
  const whole = saved.find((name) => name === embedding || name === HEAD_TENSOR);
  if (whole === undefined || tokenRows === undefined) return;
  throw new TunesmithError('ADAPTER_UNSUPPORTED', {
    message: `${whole} trains in full, so that single rows of it have nothing to train beside it.`,
    fix: 'leave it out of --modules-to-save, or leave --add-tokens out',
  });
}

/** Refuses what of a user's request would have no effect. @throws ADAPTER_TARGETS */
export function requireMatching(spec: AdapterSpec): void {
  const { settings, modules } = spec;
  if (!('rankPattern' in settings)) return;
  const adapted = modules.flatMap((names, layer) =>
    [...names.keys()].map((module) => layerTensor(spec, layer, module)),
  );
  requirePatterns(settings.rankPattern, adapted);
  requirePatterns(settings.alphaPattern, adapted);
}

/** What a PEFT folder names as targets: short module names where every chosen layer has the same ones, full names otherwise. */
export function targetNames(spec: AdapterSpec): string[] {
  const layers = methodOf(spec.settings).folder.knowsLayers ? spec.layers : undefined;
  const chosen = spec.modules
    .map((m, layer) => ({ layer, names: [...m.keys()] }))
    .filter(({ names }) => names.length > 0);
  const first = chosen[0]?.names ?? [];
  const count = layers?.length ?? spec.modules.length;
  const isUniform = chosen.length === count && chosen.every(({ names }) => String(names) === String(first));
  const shortOf = (module: string) => module.split('.').at(-1)!;
  const left = new Set([...spec.left].map(shortOf));
  const names = isUniform
    ? first.map((module) => (left.has(shortOf(module)) ? module : shortOf(module)))
    : chosen.flatMap(({ layer, names: modules }) => modules.map((module) => layerTensor(spec, layer, module)));
  return [...new Set(names)].sort();
}

/** Full names of the linear modules of each layer. */
function moduleNames(config: ModelConfig): readonly (readonly string[])[] {
  return Array.from({ length: config.layers }, (_, layer) =>
    linearModules(config, layer).map(({ module }) => layerTensor(config, layer, module)),
  );
}

/**
 * The tensors of the modules that end as one of `names` does: as in peft, at any letter, so that `norm` is every norm. Of an embedding and a head
 * that stay tied, the embedding stands for both.
 *
 * @throws ADAPTER_TARGETS, ADAPTER_UNSUPPORTED
 */
function savedTensors(config: ModelConfig, names: readonly string[], isTied: boolean): string[] {
  if (names.length === 0) return [];
  const tensors = [...expectedTensors(config).keys(), ...(config.tiedEmbeddings ? [HEAD_TENSOR] : [])];
  const modules = tensors.map((tensor) => ({ tensor, module: tensor.replace(/\.(weight|bias)$/, '') }));
  const linear = new Set(moduleNames(config).flat());
  const isMatched = (name: string) => modules.some(({ module, tensor }) => tensor === name && isNamed(module, names));
  for (const name of names) {
    const found = modules.filter(({ module }) => module.endsWith(name));
    if (found.length === 0) {
      throw new TunesmithError('ADAPTER_TARGETS', { message: `no module of the model ends in "${name}".` });
    }
    if (isTied && found.every(({ tensor }) => tensor === HEAD_TENSOR) && !isMatched(embedTensor(config))) {
      throw new TunesmithError('ADAPTER_TARGETS', {
        message: `"${name}" is one tensor with the embedding in this model.`,
        fix: 'name the embedding, which trains both',
      });
    }
    const bad = found.find(({ module }) => linear.has(module));
    if (bad === undefined) continue;
    throw new TunesmithError('ADAPTER_UNSUPPORTED', {
      message: `${bad.module} cannot train in full beside an adapter: only embeddings, head and norms can.`,
      fix: 'name it as a target, or train with --weights full',
    });
  }
  return modules
    .filter(({ module, tensor }) => isNamed(module, names) && !(isTied && tensor === HEAD_TENSOR))
    .map(({ tensor }) => tensor);
}

function isNamed(module: string, ends: readonly string[]): boolean {
  return ends.some((end) => module.endsWith(end));
}

/** The head's name, also where it is tied and no tensor of that name exists. */
export const HEAD_TENSOR = 'lm_head.weight';

/** The embedding's Hugging Face name. */
export function embedTensor(config: ModelConfig): string {
  return outerTensors(config).find(({ name }) => name === 'embed')!.hf;
}
