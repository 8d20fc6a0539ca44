import { TunesmithError } from '../errors/index.ts';
import {
  type AdapterRequest,
  type AdapterSpec,
  parseLayers,
  requireMatching,
  resolveAdapter,
} from '../model/adapter.ts';
import { methodOf, type Settings } from '../model/adapters/index.ts';
import { linearModules } from '../model/architectures.ts';
import type { ModelConfig } from '../model/config.ts';
import type { PeftAdapter } from '../model/peft.ts';
import type { AddedTokens, ModelSource } from '../model/source.ts';
import type { RunConfig, Weights } from './config.ts';

type AdapterWeights = Exclude<Weights, { readonly kind: 'full' }>;
type Pattern = string | Readonly<Record<string, number>> | undefined;

/**
 * The adapter that a config asks for; undefined where the model's own weights train. An adapter to start from brings all of its settings but the dropout, which is a matter of the
 * training.
 *
 * @throws ADAPTER_TARGETS, ADAPTER_UNSUPPORTED, CLI_OPTION_CONFLICT
 */
export function adapterSpec(
  { weights, train }: Pick<RunConfig, 'weights' | 'train'>,
  peft: PeftAdapter | undefined,
  { config: model, added }: Pick<ModelSource, 'config' | 'added'>,
): AdapterSpec | undefined {
  if (weights.kind === 'full') return undefined;
  if (peft !== undefined) return { ...peft.spec, dropout: 'dropout' in weights ? weights.dropout : 0 };
  const tokenRows = added?.texts.map((_, i) => added.first + i);
  const spec = resolveAdapter(model, { ...requestOf(weights, model, train.seed), tokenRows });
  requireMatching(spec);
  if ('start' in spec.settings) requireRanks(model, spec);
  return spec;
}

/** A start from the base's matrices has no more directions than they have. @throws CLI_OPTION_VALUE */
function requireRanks(model: ModelConfig, { modules }: AdapterSpec): void {
  for (const [layer, adapted] of modules.entries()) {
    for (const { module, in: width, out } of linearModules(model, layer)) {
      const own = adapted.get(module);
      if (own === undefined || !('rank' in own) || own.rank <= Math.min(width, out)) continue;
      throw new TunesmithError('CLI_OPTION_VALUE', {
        message: `rank ${own.rank} is more than the ${Math.min(width, out)} directions of ${module} [${out}, ${width}], from which --init starts.`,
        fix: 'lower --rank, or leave --init out',
      });
    }
  }
}

/** @throws ADAPTER_TARGETS */
function requestOf(weights: AdapterWeights, model: ModelConfig, seed: number): AdapterRequest {
  const { targets, layers, modulesToSave } = weights;
  return {
    settings: settingsOf(weights, seed),
    dropout: 'dropout' in weights ? weights.dropout : 0,
    targets,
    layers: layers === undefined ? undefined : parseLayers(layers, model.layers),
    save: modulesToSave,
  };
}

function settingsOf(weights: AdapterWeights, seed: number): Settings {
  switch (weights.kind) {
    case 'lora':
      return { kind: 'lora', ...lowRankOf(weights), ...(weights.init === 'default' ? {} : { start: weights.init }) };
    case 'dora':
      return { kind: 'dora', ...lowRankOf(weights) };
    case 'vera':
      return { kind: 'vera', rank: weights.rank, dInitial: weights.dInitial, seed };
    case 'ia3':
      return { kind: 'ia3', feedforward: weights.feedforward };
    default:
      return weights satisfies never;
  }
}

function lowRankOf(weights: Extract<Weights, { readonly kind: 'lora' | 'dora' }>) {
  const { rank, alpha, rsLora } = weights;
  const [rankPattern, alphaPattern] = [weights.rankPattern, weights.alphaPattern].map(patternOf) as [
    Record<string, number>,
    Record<string, number>,
  ];
  for (const [module, value] of Object.entries(rankPattern)) {
    if (Number.isInteger(value) && value > 0) continue;
    throw new TunesmithError('CLI_OPTION_VALUE', {
      message: `the rank of ${module} must be a whole number, not ${value}.`,
    });
  }
  return { rank, alpha, rsLora, rankPattern, alphaPattern };
}

/** `q_proj=8,down_proj=32` */
function patternOf(pattern: Pattern): Record<string, number> {
  if (typeof pattern !== 'string') return { ...pattern };
  return Object.fromEntries(
    pattern.split(',').map((part) => {
      const [module = '', value] = part.split('=');
      return [module.trim(), Number(value)];
    }),
  );
}

/** An adapter brings its method; one that was asked for must be the same. @throws ADAPTER_MISMATCH, CLI_OPTION_CONFLICT */
export function requireSameKind(
  { spec }: PeftAdapter,
  { config: { weights }, origins }: { readonly config: RunConfig; readonly origins: Readonly<Record<string, string>> },
  folder: string,
): void {
  const { kind } = spec.settings;
  const isChosen = (origins['weights.kind'] ?? 'default') !== 'default' || weights.kind !== 'lora';
  if (isChosen && weights.kind !== kind) {
    throw new TunesmithError('ADAPTER_MISMATCH', {
      file: folder,
      message: `is an adapter of the method ${kind}, not ${weights.kind}.`,
      fix: `--weights ${kind}`,
    });
  }
  if ('dropout' in weights && weights.dropout > 0 && !methodOf(spec.settings).hasDropout) {
    throw new TunesmithError('CLI_OPTION_CONFLICT', {
      message: `--dropout has no effect on an adapter of the method ${kind}.`,
      fix: 'leave it out',
    });
  }
}

/** What config.json says of the adapter: what it is, not what the defaults would have made. */
export function weightsOf(
  { settings, dropout, targets, layers, saved }: AdapterSpec,
  added: AddedTokens | undefined,
): Weights {
  const where = {
    targets: typeof targets === 'string' ? targets : [...targets],
    modulesToSave: saved.map((name) => name.replace(/\.weight$/, '')),
    ...(layers === undefined ? {} : { layers: layers.join(',') }),
  };
  const tokens = added === undefined ? {} : { addTokens: [...added.texts] };
  switch (settings.kind) {
    case 'lora': {
      const { start = 'default', ...own } = settings;
      return { ...patterned(own), init: start, dropout, ...where, ...tokens };
    }
    case 'dora':
      return { ...patterned(settings), dropout, ...where, ...tokens };
    case 'vera':
      return { kind: 'vera', rank: settings.rank, dInitial: settings.dInitial, dropout, ...where };
    case 'ia3': {
      const { feedforward } = settings;
      return { kind: 'ia3', feedforward: typeof feedforward === 'string' ? feedforward : [...feedforward], ...where };
    }
    default:
      return settings satisfies never;
  }
}

/** Patterns stand in a config only where there are any. */
function patterned<T extends { readonly rankPattern: object; readonly alphaPattern: object }>({
  rankPattern,
  alphaPattern,
  ...rest
}: T) {
  return {
    ...rest,
    ...(Object.keys(rankPattern).length === 0 ? {} : { rankPattern: { ...(rankPattern as Record<string, number>) } }),
    ...(Object.keys(alphaPattern).length === 0
      ? {}
      : { alphaPattern: { ...(alphaPattern as Record<string, number>) } }),
  };
}
