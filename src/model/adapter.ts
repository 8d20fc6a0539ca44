import { TunesmithError } from '../errors/index.ts';
import { linearModules } from './architectures.ts';
import type { ModelConfig, ModelType } from './config.ts';
import type { LoraModule } from './lora.ts';
import { layerTensor } from './names.ts';

/** A LoRA adapter's settings, resolved against a model. */
export interface AdapterSpec {
  readonly modelType: ModelType;
  readonly rank: number;
  readonly alpha: number;
  /** Scale alpha / sqrt(rank) instead of alpha / rank (arXiv:2312.03732). */
  readonly rsLora: boolean;
  readonly dropout: number;
  /** As the user or peft wrote them: names, or a regular expression over full module names. */
  readonly targets: string | readonly string[];
  /** Layers that have an adapter; undefined means all. */
  readonly layers: readonly number[] | undefined;
  /** Per decoder layer: what is adapted. */
  readonly modules: readonly ReadonlyMap<string, LoraModule>[];
}

/** What a user asks for. */
export interface AdapterRequest {
  readonly rank: number;
  readonly alpha: number;
  readonly rsLora?: boolean;
  readonly dropout: number;
  readonly targets: string | readonly string[];
  readonly layers?: readonly number[] | undefined;
  /** rank and alpha of single modules, by full name or suffix (peft's rank_pattern and alpha_pattern). */
  readonly rankPattern?: Readonly<Record<string, number>>;
  readonly alphaPattern?: Readonly<Record<string, number>>;
}

/**
 * Finds the linear modules that a request names. `all-linear` is every one but the output head and experts; a list matches whole names or
 * suffixes at a dot (`q_proj`); any other text is a regular expression that must match the whole name.
 *
 * @throws ADAPTER_TARGETS when a target matches nothing
 */
export function resolveAdapter(config: ModelConfig, request: AdapterRequest): AdapterSpec {
  const chosen = request.layers === undefined ? undefined : new Set(request.layers);
  const matches = matcher(config, request.targets);
  const modules = Array.from({ length: config.layers }, (_, layer) => {
    const adapted = new Map<string, LoraModule>();
    if (chosen !== undefined && !chosen.has(layer)) return adapted;
    for (const { module, isExpert } of linearModules(config, layer)) {
      const name = layerTensor(config, layer, module);
      if (!matches(name) || (isExpert === true && request.targets === 'all-linear')) continue;
      const rank = patternValue(request.rankPattern, name) ?? request.rank;
      const alpha = patternValue(request.alphaPattern, name) ?? request.alpha;
      adapted.set(module, { rank, scale: alpha / (request.rsLora === true ? Math.sqrt(rank) : rank) });
    }
    return adapted;
  });
  if (modules.every((m) => m.size === 0)) {
    throw new TunesmithError('ADAPTER_TARGETS', {
      message: `targets ${JSON.stringify(request.targets)} match no linear module in the chosen layers.`,
      fix: `use all-linear or names among ${shortNames(config)}`,
    });
  }
  const { rank, alpha, dropout, targets, layers } = request;
  return {
    modelType: config.modelType,
    rank,
    alpha,
    dropout,
    targets,
    layers,
    rsLora: request.rsLora === true,
    modules,
  };
}

/** Full names of all linear modules: `model.layers.0.self_attn.q_proj`. */
function moduleNames(config: ModelConfig): string[] {
  return Array.from({ length: config.layers }, (_, layer) =>
    linearModules(config, layer).map(({ module }) => layerTensor(config, layer, module)),
  ).flat();
}

function shortNames(config: ModelConfig): string {
  return [...new Set(moduleNames(config).map((name) => name.split('.').at(-1)))].join(', ');
}

function matcher(config: ModelConfig, targets: string | readonly string[]): (name: string) => boolean {
  if (targets === 'all-linear') return () => true;
  if (typeof targets === 'string' && !/^[\w.,\s]+$/.test(targets)) {
    const pattern = patternOf(`^(?:${targets})$`, targets);
    return (name) => pattern.test(name);
  }
  const names = typeof targets === 'string' ? targets.split(',').map((t) => t.trim()) : targets;
  const all = moduleNames(config);
  for (const target of names) {
    if (!all.some((name) => isSuffix(target, name))) {
      throw new TunesmithError('ADAPTER_TARGETS', {
        message: `target "${target}" is not a linear module of the model.`,
        fix: `use all-linear or names among ${shortNames(config)}`,
      });
    }
  }
  return (name) => names.some((target) => isSuffix(target, name));
}

/** @throws ADAPTER_TARGETS for what is no regular expression */
function patternOf(source: string, given: string): RegExp {
  try {
    return new RegExp(source);
  } catch (cause) {
    throw new TunesmithError('ADAPTER_TARGETS', { message: `"${given}" is no regular expression.`, cause });
  }
}

function isSuffix(target: string, name: string): boolean {
  return name === target || name.endsWith(`.${target}`);
}

/** peft: a pattern's key is matched as `(.*\.)?(key)$`. */
function patternValue(patterns: Readonly<Record<string, number>> | undefined, name: string): number | undefined {
  if (patterns === undefined) return undefined;
  for (const [key, value] of Object.entries(patterns)) {
    if (isSuffix(key, name) || patternOf(`^(.*\\.)?(${key})$`, key).test(name)) return value;
  }
  return undefined;
}

/** Reads `0-3,10` or `last:8` as layer numbers. @throws ADAPTER_TARGETS */
export function parseLayers(text: string, layers: number): number[] {
  const bad = (): never => {
    throw new TunesmithError('ADAPTER_TARGETS', {
      message: `layers "${text}" is not a list such as 0-3,10 or last:8 within 0 to ${layers - 1}.`,
    });
  };
  const last = /^last:(\d+)$/.exec(text);
  if (last !== null) {
    const count = Number(last[1]);
    if (count < 1 || count > layers) return bad();
    return Array.from({ length: count }, (_, i) => layers - count + i);
  }
  const chosen = new Set<number>();
  for (const part of text.split(',')) {
    const range = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part);
    if (range === null) return bad();
    const from = Number(range[1]);
    const to = Number(range[2] ?? range[1]);
    if (from > to || to >= layers) return bad();
    for (let layer = from; layer <= to; layer++) chosen.add(layer);
  }
  return [...chosen].sort((a, b) => a - b);
}
