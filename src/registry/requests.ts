import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import { TunesmithError } from '../errors/index.ts';
import { readJson } from '../io/files.ts';
import type { RunConfig } from '../train/config.ts';
import type { TrainEvent } from '../train/events.ts';
import type { RunRequest } from '../train/run.ts';
import { type ConfigLayer, type ResolvedConfig, resolveLayers } from './config.ts';
import { broughtByAdapter } from './config-faults.ts';
import { configFields } from './fields.ts';
import { type LocatedModel, locateBase, locateModel, type Pull } from './locate.ts';
import type { Places } from './models.ts';
import { flatten, resolveRun, showRun, tryResolveRun } from './runs.ts';

/** A run to be started. */
export type StartRequest = RunRequest & { readonly kind: 'start' };
/** A run to go on with. */
export type ResumeRequest = RunRequest & { readonly kind: 'resume' };

/** A new run of a resolved config. @throws CLI_OPTION_CONFLICT, and what {@link locateModel} throws */
export async function startRequest(resolved: ResolvedConfig, places: Places, pull: Pull): Promise<StartRequest> {
  const { origins } = resolved;
  const config = withRewardRuns(resolved.config, places);
  // A new model has no base: it is made from its config.
  if (config.method.kind === 'pretrain' && config.method.fromScratch !== undefined) {
    return { kind: 'start', config, origins, base: { path: config.method.fromScratch } };
  }
  const base = await locateModel(config.model, places, pull);
  if (base.adapter !== undefined) {
    throw new TunesmithError('CLI_OPTION_CONFLICT', {
      message: `${config.model} is a run with an adapter, and a run starts from a base model.`,
      fix: `tunesmith train --from ${config.model} ...`,
    });
  }
  const cache = places.home;
  if (base.run === undefined) return { kind: 'start', config, origins, base, cache };
  // `@last` will be another run tomorrow, and weights of our own are not what the hub has.
  return { kind: 'start', config: { ...config, model: base.path }, origins, base: { path: base.path }, cache };
}

/** Runs that reward are known by where their weights lie: `@last` will be another run tomorrow. Files likewise. */
function withRewardRuns(config: RunConfig, { runs }: Places): RunConfig {
  const { method } = config;
  if (!('reward' in method) || method.reward === undefined) return config;
  const reward = [method.reward].flat().map((spec) => {
    const [, weight = '', name = ''] = /^([^*:/\\]*\*)?(.+)$/s.exec(spec) ?? [];
    if (/\.[mc]?[tj]s$/.test(name)) return `${weight}${resolve(name)}`;
    const [kind, file] = name.startsWith('json:') ? ['json:', name.slice('json:'.length)] : [undefined, undefined];
    if (file !== undefined) return `${weight}${kind}${resolve(file)}`;
    const run = tryResolveRun(name, runs);
    return run?.weights === undefined ? spec : `${weight}${resolve(run.weights)}`;
  });
  return { ...config, method: { ...method, reward } };
}

/**
 * A run as it is, from its newest checkpoint.
 *
 * @throws RUN_NOT_FOUND, CLI_OPTION_CONFLICT for a checkpoint of its own choice, and what {@link locateModel} throws
 */
export async function resumeRequest(name: string, places: Places, pull: Pull): Promise<ResumeRequest> {
  const found = resolveRun(name, places.runs);
  const named = /:(step-\d+|best|last)$/.exec(name);
  if (named !== null && basename(found.run) !== name) {
    throw new TunesmithError('CLI_OPTION_CONFLICT', {
      message: `a run is resumed from its newest checkpoint, not from ${named[1]}.`,
      fix: `tunesmith train --from ${name} ... starts a new run from it`,
    });
  }
  const base = await locateBase(found.run, places, pull);
  return { kind: 'resume', run: found.run, base, cache: places.home };
}

/** The last event of a finished run, which has nothing to go on with. */
export function doneEvent(run: string): (TrainEvent & { readonly type: 'done' }) | undefined {
  return showRun(run).events.find((event) => event.type === 'done');
}

/**
 * A new run with the config of another, from its adapter or its weights; its name, and what the adapter brings, are not taken over.
 *
 * @param layers what is to be different
 * @throws what {@link startRequest} and {@link resolveLayers} throw
 */
export async function fromRequest(
  name: string,
  layers: readonly ConfigLayer[],
  places: Places,
  pull: Pull,
): Promise<StartRequest> {
  for (const [path, layer] of layers.flatMap((one) => ['model', 'initAdapter'].map((key) => [key, one] as const))) {
    if (layer.value[path] === undefined) continue;
    const [called, from] = layer.kind === 'flags' ? [`--${layer.flagOf(path)}`, '--from'] : [path, 'from'];
    throw new TunesmithError('CLI_OPTION_CONFLICT', { message: `${from} brings what ${called} would bring.` });
  }
  const { run } = resolveRun(name, places.runs);
  const model = await locateModel(name, places, pull);
  const resolved = resolveLayers([{ kind: 'run', name, value: takenOver(run, model) }, ...layers]);
  return startRequest(withEarlierPrompts(resolved, run, name), places, pull);
}

/** The task of the run that another starts from is the one that shall not be forgotten. */
function withEarlierPrompts({ config, origins }: ResolvedConfig, run: string, name: string): ResolvedConfig {
  const { method } = config;
  if (!('replay' in method) || method.replay !== 'self' || method.replayPrompts !== undefined)
    return { config, origins };
  const { train } = Earlier.parse(readJson(join(run, 'config.json'))).data;
  const [replayPrompts] = typeof train === 'string' ? [train] : train;
  return {
    config: { ...config, method: { ...method, replayPrompts } },
    origins: { ...origins, 'method.replayPrompts': `run ${name}` },
  };
}

const Earlier = z.looseObject({ data: z.looseObject({ train: z.union([z.string(), z.array(z.string())]) }) });

/** What is read of a run's config.json. */
const Frozen = z.looseObject({ model: z.string(), origins: z.record(z.string(), z.string()).default({}) });

/** What was chosen for a run; what was chosen automatically, or by default, is chosen anew. */
function takenOver(run: string, { path, adapter }: LocatedModel): Record<string, unknown> {
  const json = Frozen.parse(readJson(join(run, 'config.json')));
  const frozen = flatten(json);
  const left = [
    'model',
    'output.name',
    'initAdapter',
    'method.fromScratch',
    'method.vocab',
    ...(adapter === undefined ? [] : broughtByAdapter()),
  ];
  const value: Record<string, unknown> =
    adapter === undefined ? { model: path } : { model: json.model, initAdapter: adapter };
  for (const { path: field } of configFields()) {
    const origin = json.origins[field] ?? 'default';
    if (frozen[field] === undefined || origin === 'default' || left.includes(field)) continue;
    const [section = '', key] = field.split('.');
    const there = value[section];
    if (key !== undefined) value[section] = { ...(typeof there === 'object' ? there : {}), [key]: frozen[field] };
  }
  return value;
}
