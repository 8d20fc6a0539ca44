import { availableParallelism, freemem } from 'node:os';
import { join, resolve } from 'node:path';
import { openOrt } from '../engine/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { folderExists, readJson } from '../io/index.ts';
import { version } from '../io/version.ts';
import { startedAdapter, uploadAdapter } from '../model/adapter-handles.ts';
import { uploadBase } from '../model/base.ts';
import type { BaseWeights } from '../model/base-forms.ts';
import { withBaseWeights } from '../model/base-weights.ts';
import { openPeft, type PeftAdapter } from '../model/peft.ts';
import { baseHash, type ModelSource, openModelSource } from '../model/source.ts';
import { openText, type TextTools } from '../text/index.ts';
import type { OnActivity } from './activity.ts';
import { adapterSpec, requireSameKind, weightsOf } from './adapter-request.ts';
import { type BaseChoice, chooseBaseWeights } from './base-choice.ts';
import { newestCheckpoint } from './checkpoint.ts';
import { requireClassifierOptions } from './classify/options.ts';
import { placeHead, requireSameHead, taskOf } from './classify/place.ts';
import { type DataConfig, RunConfig } from './config.ts';
import { type FrozenFacts, type RunContext, START } from './context.ts';
import { isValidFile, openDataset, systemPrompt } from './dataset.ts';
import type { TrainEvent } from './events.ts';
import { executeRun } from './execute.ts';
import { type Frozen, freeze, requireEffective, requireTaken } from './freeze.ts';
import { type Lent, lend } from './lend.ts';
import { budgetOf, chooseMemory, longestTrainable } from './memory.ts';
import { absolutePaths } from './methods.ts';
import { createNetwork } from './network.ts';
import { withNewTokens } from './new-tokens.ts';
import { isOnline, type Objectives, requireAlignedOptions } from './objective.ts';
import { makePlan, requireDisk, type TrainPlan } from './plan.ts';
import { openPretraining } from './pretrain/blocks.ts';
import { openDocuments } from './pretrain/documents.ts';
import { requirePretrainOptions } from './pretrain/options.ts';
import { batchRows } from './pretrain/pretraining.ts';
import { makeModel, placeWeights } from './pretrain/start.ts';
import { type Abilities, NO_ABILITIES } from './retain/abilities.ts';
import { requireBudgeted, requireChoice, budgetOf as retentionBudget } from './retain/budget.ts';
import { requireHeld, requireRetainOptions } from './retain/options.ts';
import { withReplay } from './retain/replay.ts';
import { requireExperts } from './router-loss.ts';
import { chooseFormat, type TextSetup } from './rows.ts';
import { requireSameData, runPath } from './run-folder.ts';
import { holdRun } from './run-lock.ts';
import { trainedBy } from './trained.ts';

/** Where the base model lies. */
export interface RunBase {
  /** A .gguf file or a folder in Hugging Face layout. */
  readonly path: string;
  /** Written to the adapter's base_model_name_or_path, so that peft finds the base. */
  readonly hubId?: string | undefined;
}

/** What the shells know and the domain does not. */
export interface Surroundings {
  readonly now: () => Date;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly version: string;
}

/** This machine, now. */
export function surroundings(): Surroundings {
  return {
    now: () => new Date(),
    cores: availableParallelism(),
    // A container may allow less than the machine has free.
    memoryBytes: Math.min(freemem(), process.availableMemory()),
    version: version(),
  };
}

/** What a run is started or resumed with. */
export type RunRequest =
  | {
      readonly kind: 'start';
      readonly config: RunConfig;
      readonly origins: Readonly<Record<string, string>>;
      readonly base: RunBase;
      /** Where runs keep what others may use. */
      readonly cache?: string | undefined;
    }
  | { readonly kind: 'resume'; readonly run: string; readonly base: RunBase; readonly cache?: string | undefined };

/** A run that is ready to go: data checked, model loaded, cost measured; nothing written yet. */
export interface PreparedRun {
  readonly plan: TrainPlan;
  readonly path: string;
  /** With every choice made, as config.json freezes it. */
  readonly config: RunConfig;
  /** `onActivity` is told of what yields no event while it goes on. */
  start(signal: AbortSignal, onActivity?: OnActivity): AsyncGenerator<TrainEvent>;
  /** Once the run is done. See {@link lend}. */
  lend(): Lent | undefined;
  close(): Promise<void>;
}

/**
 * Opens, checks and measures everything before anything is written. A resumed run takes all its choices from its config.json.
 *
 * A resumed run is held by this process until it is closed.
 *
 * @throws the catalogue errors of models, data, adapters; RUN_ACTIVE, RUN_EXISTS, RUN_DATA_CHANGED, TRAIN_MEMORY, TRAIN_DISK
 */
export async function prepareRun(
  request: RunRequest,
  around: Surroundings,
  onActivity: OnActivity = () => {},
  objectives: Objectives = () => undefined,
  abilities: Abilities = NO_ABILITIES,
): Promise<PreparedRun> {
  const release = request.kind === 'resume' ? holdRun(request.run) : undefined;
  try {
    const { close, ...run } = await prepare(request, around, release, { onActivity, objectives, abilities });
    return { ...run, close: () => close().finally(release) };
  } catch (error) {
    release?.();
    throw error;
  }
}

async function prepare(
  request: RunRequest,
  around: Surroundings,
  release: (() => void) | undefined,
  {
    onActivity,
    ...given
  }: { readonly onActivity: OnActivity; readonly objectives: Objectives; readonly abilities: Abilities },
): Promise<PreparedRun> {
  const old = request.kind === 'resume' ? readFrozen(request.run) : undefined;
  const config = request.kind === 'start' ? request.config : old!.config;
  const inputs = await openInputs(request, config, old, around, given);
  const { source, spec, peft, dataset, frozen, memory, text, clock, path, sha256 } = inputs;
  const { seed } = config.train;
  const threads = old?.facts.threads ?? config.compute.threads ?? around.cores;
  const engine = openOrt({ device: 'cpu', threads, optimize: 'on' });
  try {
    const base = placeWeights(engine, inputs.made, () =>
      uploadBase(engine, source.config, source.tensors, baseWeightsOf(frozen.config)),
    );
    const adapter =
      spec &&
      (peft === undefined
        ? await startedAdapter(engine, source, spec, seed)
        : uploadAdapter(engine, source, { ...peft, spec }));
    const trained = trainedBy(source.config, spec, config.weights);
    const dropout = spec !== undefined && spec.dropout > 0 ? { share: spec.dropout, seed } : undefined;
    const { neftuneAlpha: alpha, routerLoss } = config.train;
    const neftune = alpha === undefined ? undefined : { alpha, seed };
    const classifier = placeHead(engine, inputs, config);
    const temperature =
      isOnline(config.method) && config.method.temperature !== 1 ? config.method.temperature : undefined;
    const options = { trained, classifier, keep: memory.keep, dropout, neftune, routerLoss, temperature };
    const net = createNetwork({ engine, base, adapter, ...options });
    const versions = { tunesmith: around.version, node: process.version };
    const warnings = old === undefined ? (inputs.made?.warnings ?? []) : versionWarnings(old.facts.versions, versions);
    const now = () => performance.now();
    const plan = await makePlan(net, { dataset, frozen, memory, warnings, now, onActivity });
    if (old === undefined) requireDisk(plan, path);
    const facts: FrozenFacts = {
      base: { path: resolve(source.path), hubId: request.base.hubId, sha256 },
      text: { format: text.format, clock },
      maxLength: dataset.maxLength,
      memory,
      threads,
      versions,
    };
    const origins = request.kind === 'start' ? request.origins : {};
    const open = { path, source, newModel: inputs.made, engine, base, net, spec, dataset, text };
    const context = {
      ...open,
      frozen,
      facts,
      origins,
      isResumed: old !== undefined,
      cache: request.cache,
      abilities: given.abilities,
      release,
      warnings,
    };
    const start: PreparedRun['start'] = (signal, onActivity = () => {}) =>
      executeRun({ ...context, onActivity }, signal);
    return { plan, path, config: frozen.config, start, lend: () => lend(context), close: () => engine.close() };
  } catch (error) {
    await engine.close();
    throw error;
  }
}

type FrozenRun = ReturnType<typeof readFrozen>;

/** Everything that a run reads, checked, before an engine is started. */
async function openInputs(
  request: RunRequest,
  given: RunConfig,
  old: FrozenRun | undefined,
  around: Surroundings,
  { objectives, abilities }: { readonly objectives: Objectives; readonly abilities: Abilities },
) {
  if (given.compute.device === 'webgpu') {
    throw new TunesmithError('CLI_OPTION_VALUE', {
      message: '--device webgpu does not train yet.',
      fix: 'leave --device out',
    });
  }
  if (request.kind === 'start') requireTaken(given);
  if (request.kind === 'start') requireClassifierOptions(given, request.origins);
  if (request.kind === 'start') requirePretrainOptions(given, request.origins);
  if (request.kind === 'start') requireAlignedOptions(given, request.origins);
  if (request.kind === 'start') requireRetainOptions(given);
  if (request.kind === 'start') requireBudgeted(given);
  const path = request.kind === 'resume' ? request.run : runPath(given, request.base.path, around.now());
  const { seed } = given.train;
  const documents = given.method.kind === 'pretrain' ? await openDocuments(normalisedData(given), seed) : undefined;
  const made = request.kind === 'start' ? makeModel(given, documents, join(path, START)) : undefined;
  const opened =
    made?.source ?? withNewTokens(openModelSource(request.base.path), given, adapterFolder(request, given));
  const chosen =
    old === undefined
      ? chooseBaseWeights(given, opened, budgetOf(given, around.memoryBytes))
      : { weights: baseWeightsOf(given), why: undefined };
  const config: RunConfig = { ...given, compute: { ...given.compute, baseWeights: chosen.weights } };
  const source = withBaseWeights(opened, chosen.weights);
  if (request.kind === 'start') requireExperts(config.train.routerLoss, source.config);
  const clock = old?.facts.text.clock ?? around.now().toISOString();
  const tools: Partial<TextTools> = source.text === undefined ? {} : openText(source.text, { now: new Date(clock) });
  const data = normalisedData(config);
  const text: TextSetup = {
    tokenizer: tools.tokenizer,
    template: tools.template,
    format: old?.facts.text.format ?? chooseFormat(data.format, tools),
    trainOn: data.trainOn,
    allow: data.allow,
  };
  // The system prompt goes with the model everywhere, so its text is frozen, not the name of its file.
  const system = old === undefined ? systemPrompt(data) : data.system;
  const length = old === undefined ? {} : { maxLength: old.facts.maxLength };
  const pinned = { ...data, ...length, ...(system === undefined ? {} : { system }) };
  const peft = startAdapter(request, config, source);
  const spec = adapterSpec(config, peft, source);
  const trainee = { config, source, spec };
  // A length that is set is held against the rows, which may all be shorter.
  const longest = pinned.maxLength ?? longestTrainable(trainee, around.memoryBytes);
  const { method } = config;
  const rendered =
    request.cache === undefined || source.text === undefined
      ? undefined
      : { folder: join(request.cache, 'rendered'), text: source.text, clock };
  const reading = { data: pinned, text, model: source.config, longest, seed, rendered };
  const open = objectives(method)?.open ?? openDataset;
  const read =
    documents === undefined || method.kind !== 'pretrain'
      ? await open({ ...reading, method: method.kind })
      : await openPretraining(documents, { ...reading, method });
  const isBudgeted = retentionBudget(config) !== undefined;
  const dataset = await withReplay(read, { ...reading, method, isBudgeted, measured: abilities.generalText() });
  if (peft?.score !== undefined) requireSameHead(adapterFolder(request, config)!, config, dataset.classes);
  if (request.kind === 'resume') requireSameData(request.run, dataset);
  else {
    requireEffective(config, dataset.select.length > 0);
    requireHeld(config, dataset);
    requireChoice(config, dataset.select.length > 0);
  }
  const memory = old?.facts.memory ?? chooseMemory(trainee, dataset, around.memoryBytes);
  const weights = spec === undefined ? config.weights : weightsOf(spec, source.added);
  const stored = withAbsolutePaths({ ...config, weights }, pinned, request.base);
  const frozen = withChoice(freeze(stored, source.config, batchRows(dataset), memory.targetTokens), chosen);
  const sha256 = made?.sha256 ?? (await baseHash(source));
  requireSameBase(old?.facts.base.sha256 ?? peft?.baseHash, sha256, source.path);
  return { source, clock, text, dataset, peft, spec, memory, frozen, path, sha256, made };
}

/** How the base of a run lies in memory; runs from before there was a choice have float32. */
export function baseWeightsOf({ compute: { baseWeights = 'f32' } }: Pick<RunConfig, 'compute'>): BaseWeights {
  return baseWeights === 'auto' ? 'f32' : baseWeights;
}

/** Tells of an automatic choice with the others. */
function withChoice(frozen: Frozen, { weights: value, why }: BaseChoice): Frozen {
  if (why === undefined) return frozen;
  return { ...frozen, automatic: { 'compute.baseWeights': { value, why }, ...frozen.automatic } };
}

/** Bits hold for the same versions only. */
function versionWarnings(then: FrozenFacts['versions'], now: FrozenFacts['versions']): RunContext['warnings'] {
  return (['tunesmith', 'node'] as const)
    .filter((name) => then[name] !== now[name])
    .map((name) => ({
      code: 'RUN_VERSION',
      message: `the run was started by ${name} ${then[name]} and goes on with ${now[name]}: the last digits may differ.`,
    }));
}

/** The data section in its long form. */
export function normalisedData(config: RunConfig): Exclude<RunConfig['data'], string> {
  if (typeof config.data !== 'string') return config.data;
  return { train: config.data, format: 'auto', trainOn: 'all', onLong: 'trim-context', role: [], map: [], allow: [] };
}

/**
 * What config.json says of files: where they lie on this machine, so that the run goes on from any working directory. Paths from the run's
 * own folder would break when the run is moved or copied, which is likelier than that its data moves along.
 */
function withAbsolutePaths(config: RunConfig, data: DataConfig, base: RunBase): RunConfig {
  const { model, initAdapter, method } = config;
  const { train, valid } = data;
  return {
    ...config,
    // A name stays a name; a path is known by where it led.
    model: resolve(model) === resolve(base.path) ? resolve(model) : model,
    data: {
      ...data,
      train: typeof train === 'string' ? resolve(train) : train.map((file) => resolve(file)),
      ...(isValidFile(valid) ? { valid: resolve(valid) } : {}),
    },
    ...(initAdapter === undefined ? {} : { initAdapter: resolve(initAdapter) }),
    method: absolutePaths(method),
  };
}

/** The adapter that a run starts from; a resumed one has its own copy, whatever became of the first. */
function startAdapter(request: RunRequest, config: RunConfig, source: ModelSource): PeftAdapter | undefined {
  const folder = adapterFolder(request, config);
  if (config.weights.kind === 'full' || folder === undefined) return undefined;
  // Folders do not say that the second half of each factor does not train.
  const isJoined = request.kind === 'resume' && 'init' in config.weights && config.weights.init !== 'default';
  const own = isJoined ? adapterSpec(config, undefined, source) : undefined;
  const peft = openPeft(folder, source.config, taskOf(config), own);
  if (request.kind === 'start') requireSameKind(peft, request, folder);
  return peft;
}

function adapterFolder(request: RunRequest, { initAdapter }: RunConfig): string | undefined {
  return request.kind === 'resume' ? ownAdapter(request.run) : initAdapter;
}

/** The newest checkpoint of a run, or the adapter that it started from. */
function ownAdapter(run: string): string | undefined {
  const start = join(run, START);
  return newestCheckpoint(run) ?? (folderExists(start) ? start : undefined);
}

/** @throws ADAPTER_MISMATCH */
export function requireSameBase(expected: string | undefined, found: string, path: string): void {
  if (expected === undefined || expected === found) return;
  throw new TunesmithError('ADAPTER_MISMATCH', {
    file: path,
    message: `has the sha256 ${found.slice(0, 12)}…, the adapter was trained on ${expected.slice(0, 12)}….`,
    fix: 'use the base that it was trained on',
  });
}

/** What config.json of a run freezes. Options that came after the run have their defaults. @throws RUN_CONFIG */
export function readFrozen(run: string): { readonly config: RunConfig; readonly facts: FrozenFacts } {
  const file = join(run, 'config.json');
  const { frozen, origins: _, ...stored } = readJson(file) as { frozen: FrozenFacts; origins: unknown };
  const { data: config, error } = RunConfig.safeParse(stored);
  if (config !== undefined) return { config, facts: frozen };
  const faults = error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new TunesmithError('RUN_CONFIG', { file, message: `${faults.join('; ')}.` });
}
