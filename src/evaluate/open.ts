import { availableParallelism } from 'node:os';
import { assertNoErrors, type LoadedRows, loadRows, readPairs } from '../data/index.ts';
import type { Engine, Handle } from '../engine/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { type AdapterHandles, uploadAdapter } from '../model/adapter-handles.ts';
import { withTokensOf } from '../model/added-tokens.ts';
import { type BaseHandles, uploadBase } from '../model/base.ts';
import type { BaseWeights } from '../model/base-forms.ts';
import { withBaseWeights } from '../model/base-weights.ts';
import { type AdapterTask, openPeft } from '../model/peft.ts';
import { baseHash, type ModelSource, openModelSource } from '../model/source.ts';
import { withStrength } from '../model/strength.ts';
import { openText, specialTexts, type TextTools, type Tokenizer } from '../text/index.ts';
import { fitsWidened } from '../train/base-choice.ts';
import { SCORE_TENSOR } from '../train/classify/head.ts';
import { rolesOf, systemPrompt } from '../train/dataset.ts';
import { chooseFormat, type TextSetup } from '../train/rows.ts';
import { baseWeightsOf, normalisedData, readFrozen, requireSameBase } from '../train/run.ts';
import { openDevice } from './device.ts';
import type { ModelRequest, RowReading } from './types.ts';

/** A model's files and its text, before any weight is read. */
export interface OpenedText {
  readonly source: ModelSource;
  readonly text: TextSetup;
  /** The system prompt that the run was trained with. */
  readonly system: string | undefined;
  /** The roles that the run was told of: `bot=assistant`. */
  readonly roles: readonly string[];
  /** Columns of the files as columns of ours: `input=question`. */
  readonly map: readonly string[];
}

/** Opens headers, tokenizer and chat template; a run brings the format, clock, system prompt, roles and allowances that it was trained with. */
export function openTextOf(model: ModelRequest, reading: RowReading = {}, task: AdapterTask = 'CAUSAL_LM'): OpenedText {
  const frozen = model.run === undefined ? undefined : readFrozen(model.run);
  const grown = withTokensOf(openModelSource(model.path, task), model.adapter);
  const source = withBaseWeights(grown, baseWeights(model));
  const clock = frozen === undefined ? new Date() : new Date(frozen.facts.text.clock);
  const tools: Partial<TextTools> = source.text === undefined ? {} : openText(source.text, { now: clock });
  const data = frozen === undefined ? undefined : normalisedData(frozen.config);
  const format = frozen?.facts.text.format ?? chooseFormat('auto', tools);
  const text: TextSetup = {
    tokenizer: tools.tokenizer,
    template: tools.template,
    format,
    trainOn: data?.trainOn ?? 'all',
    allow: [...(data?.allow ?? []), ...(reading.allow ?? [])],
  };
  const roles = [...(data?.role ?? []), ...(reading.roles ?? [])];
  return { source, text, system: data === undefined ? undefined : systemPrompt(data), roles, map: reading.map ?? [] };
}

/** The base that a run was trained on, or what is asked for. @throws BASE_WEIGHTS where the two are not the same model */
function baseWeights({ run, baseWeights: asked }: ModelRequest): BaseWeights {
  const trained = run === undefined ? undefined : baseWeightsOf(readFrozen(run).config);
  if (asked === undefined || trained === undefined) return asked ?? trained ?? 'f32';
  const roundingOf = (weights: BaseWeights) => (weights === 'nf4' || weights === 'int8' ? weights : 'none');
  if (roundingOf(asked) === roundingOf(trained)) return asked;
  throw new TunesmithError('BASE_WEIGHTS', {
    file: run,
    message: `was trained over ${trained} weights, which ${asked} are not.`,
    fix: 'leave --base-weights out',
  });
}

/** How the base lies in memory: as is asked for; that of a run in float32 where it fits, which is faster and gives the same numbers. */
export function restOf(model: ModelRequest, source: ModelSource): BaseWeights {
  const weights = baseWeights(model);
  if (model.baseWeights !== undefined || weights === 'f32') return weights;
  return fitsWidened(source, process.availableMemory()) ? 'f32' : weights;
}

/** The tokenizer of a model. @throws TOKENIZER_MISSING */
export function tokenizerOf({ source, text }: OpenedText): Tokenizer {
  if (text.tokenizer !== undefined) return text.tokenizer;
  throw new TunesmithError('TOKENIZER_MISSING', { message: 'holds no tokenizer.', file: source.path });
}

/** Reads rows as this model sees them. @throws DATA_* */
export async function rowsFor(
  { source, text, system, roles, map }: OpenedText,
  files: readonly string[],
  answers: 'required' | 'optional',
  labels?: 'optional',
): Promise<LoadedRows> {
  const loaded = await loadRows(files, {
    format: text.format,
    vocabSize: source.config.vocabSize,
    specialTokens: text.tokenizer === undefined ? [] : specialTexts(text.tokenizer),
    allow: text.allow,
    roles: rolesOf(roles),
    map: readPairs('map', map),
    answers,
    labels,
    ...(system === undefined ? {} : { system }),
  });
  assertNoErrors(loaded.findings);
  return loaded;
}

/** An engine with what belongs to a model's adapter. */
export interface OpenedEngine {
  readonly engine: Engine;
  readonly adapter: AdapterHandles | undefined;
  /** The head of a classifier [K, D]. */
  readonly score: Handle | undefined;
}

/** Weights in an engine. */
export interface OpenedWeights extends OpenedEngine {
  readonly base: BaseHandles;
}

/** Starts the engine and loads base and adapter. @throws ADAPTER_MISMATCH, ADAPTER_CONFIG, DEVICE_UNAVAILABLE */
export async function openWeights(
  model: ModelRequest,
  source: ModelSource,
  task: AdapterTask = 'CAUSAL_LM',
): Promise<OpenedWeights> {
  const opened = await openEngine(model, source, task);
  return { ...opened, base: uploadBase(opened.engine, source.config, source.tensors, restOf(model, source)) };
}

/** Starts the engine and loads the adapter; the base is loaded in the precision that is asked for. @throws ADAPTER_MISMATCH, ADAPTER_CONFIG, DEVICE_UNAVAILABLE */
export async function openEngine(
  model: ModelRequest,
  source: ModelSource,
  task: AdapterTask = 'CAUSAL_LM',
): Promise<OpenedEngine> {
  const { adapter: folder, strength } = model;
  const peft = folder === undefined ? undefined : withStrength(openPeft(folder, source.config, task), strength, folder);
  if (peft?.baseHash !== undefined) requireSameBase(peft.baseHash, await baseHash(source), source.path);
  const device = model.compute?.device === 'webgpu' ? 'webgpu' : 'cpu';
  const engine = await openDevice(device, model.compute?.threads ?? availableParallelism());
  try {
    const adapter = peft && uploadAdapter(engine, source, peft);
    const head = task === 'SEQ_CLS' ? (peft?.score ?? source.tensors.get(SCORE_TENSOR)) : undefined;
    return { engine, adapter, score: head && engine.upload({ stored: [head], shape: head.shape }) };
  } catch (error) {
    await engine.close();
    throw error;
  }
}
