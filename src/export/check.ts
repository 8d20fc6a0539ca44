import { buildMicroBatch, planMicroBatches } from '../data/index.ts';
import type { Engine, Handle } from '../engine/index.ts';
import { generate } from '../generate/index.ts';
import { readStoredRows } from '../io/read-stored.ts';
import type { StoredTensor } from '../io/stored.ts';
import { type AdapterHandles, uploadAdapter } from '../model/adapter-handles.ts';
import { type BaseHandles, placeBase, uploadBase } from '../model/base.ts';
import type { BaseWeights } from '../model/base-forms.ts';
import type { PeftAdapter } from '../model/peft.ts';
import type { ModelSource } from '../model/source.ts';
import { f32, sizeOf } from '../tensor/tensor.ts';
import type { Example } from '../text/index.ts';
import { createNetwork, forwardLogits } from '../train/network.ts';
import { stopsOf } from './companions.ts';
import { compareLogits, type Difference } from './compare.ts';
import { ANSWER_TOKENS, answered } from './golden.ts';
import type { MergedModel } from './merge.ts';
import { programLogits } from './program-check.ts';
import type { ExportJob, ReadBack } from './types.ts';

/** Logits of golden prompts, a matrix [positions, vocab] for each micro-batch. */
export type Logits = readonly Float32Array[];

/** What the model that was trained answers, and the logits with which it does. */
export interface Answers {
  readonly examples: readonly Example[];
  readonly logits: Logits;
}

/** How an export is tried. */
export interface Trial {
  /** How the base lies in memory. */
  readonly rest: BaseWeights;
  readonly threads: number;
  /** Told of each step. */
  readonly onStep: () => void;
}

/** Answers the golden prompts with the model that was trained, and compares its logits with those of merged weights and of what was written. */
export async function compareAnswers(
  engine: Engine,
  job: ExportJob,
  prompts: readonly (readonly number[])[],
  back: ReadBack,
  { rest, threads, onStep }: Trial,
): Promise<{ readonly merged: Difference; readonly exported: Difference }> {
  const { source, adapter } = job;
  const { examples, logits } = await answeredPrompts(engine, source, adapter, prompts, stopsOf(job), rest);
  onStep();
  const compare = async (other: Promise<Logits>) => compareLogits(logits, await other, source.config.vocabSize);
  const merged = await compare(mergedLogits(engine, job.merged, examples));
  onStep();
  return { merged, exported: await compare(readLogits(engine, job, back, { examples, logits }, threads)) };
}

/**
 * Answers the golden prompts greedily with a model as it is stored, with or without an adapter. Its weights are released again.
 *
 * @param stopIds end an answer
 * @param rest how the weights lie in memory
 */
async function answeredPrompts(
  engine: Engine,
  source: ModelSource,
  adapter: PeftAdapter | undefined,
  prompts: readonly (readonly number[])[],
  stopIds: Iterable<number>,
  rest: BaseWeights,
): Promise<Answers> {
  const base = uploadBase(engine, source.config, source.tensors, rest);
  const lora = adapter && uploadAdapter(engine, source, adapter);
  const examples: Example[] = [];
  const how = { tokenizer: { decode: () => '' }, maxTokens: ANSWER_TOKENS, stopIds };
  for await (const event of generate({ engine, base, adapter: lora }, prompts, how)) {
    if (event.type === 'result') examples[event.index] = answered(prompts[event.index] ?? [], event.ids);
  }
  return { examples, logits: await logitsOf(engine, base, lora, examples) };
}

/** Logits of a model as it is stored, with or without an adapter. Its weights are released again. */
export async function storedLogits(
  engine: Engine,
  source: ModelSource,
  adapter: PeftAdapter | undefined,
  examples: readonly Example[],
): Promise<Logits> {
  const base = uploadBase(engine, source.config, source.tensors);
  const lora = adapter && uploadAdapter(engine, source, adapter);
  return logitsOf(engine, base, lora, examples);
}

/** Logits of what was written. */
async function readLogits(
  engine: Engine,
  { source }: ExportJob,
  { model }: ReadBack,
  { examples, logits }: Answers,
  threads: number,
): Promise<Logits> {
  if (model.kind === 'weights') return storedLogits(engine, model.source, model.adapter, examples);
  const order = microBatches(examples).flatMap(({ rows }) => rows.map((row) => examples[row]!));
  return programLogits(model.path, threads, source.config, order, logits);
}

/** Logits of merged weights, before they are rounded to what a file holds. */
async function mergedLogits(engine: Engine, model: MergedModel, examples: readonly Example[]): Promise<Logits> {
  return logitsOf(engine, await uploadMerged(engine, model), undefined, examples);
}

/** Loads merged weights into an engine. */
export async function uploadMerged(engine: Engine, model: MergedModel): Promise<BaseHandles> {
  const handles = new Map<string, Handle>();
  for (const [name, shape] of model.shapes) {
    const stored = model.source.tensors.get(name);
    if (model.isChanged(name) || stored === undefined) {
      handles.set(name, engine.upload(f32(model.rows(name, 0, shape[0] ?? 1), shape)));
      // What is queued for the engine's process is held twice.
      await engine.sync();
    } else handles.set(name, engine.upload({ stored: [stored], shape }));
  }
  return placeBase(model.source.config, (name) => {
    const handle = handles.get(name);
    if (handle === undefined) throw new Error(`internal: no merged tensor ${name}`);
    return handle;
  });
}

async function logitsOf(
  engine: Engine,
  base: BaseHandles,
  adapter: AdapterHandles | undefined,
  examples: readonly Example[],
): Promise<Logits> {
  const { vocabSize } = base.config;
  const net = createNetwork({ engine, base, adapter });
  const logits: Float32Array[] = [];
  for (const plan of microBatches(examples)) {
    const batch = buildMicroBatch(examples, plan);
    const handles = forwardLogits(net, batch);
    let left = batch.lossTokens;
    for (const handle of handles) {
      const { data } = await engine.read(handle);
      const rows = Math.min(left, handle.shape[0] ?? 0);
      logits.push((data as Float32Array).slice(0, rows * vocabSize));
      left -= rows;
    }
    engine.release(...handles);
  }
  releaseAll(engine, base, adapter);
  await engine.sync();
  return logits;
}

function microBatches(examples: readonly Example[]): ReturnType<typeof planMicroBatches> {
  return planMicroBatches(
    examples.map((e) => e.ids.length),
    { pack: true },
  );
}

function releaseAll(engine: Engine, base: BaseHandles, adapter: AdapterHandles | undefined): void {
  const layers = [...base.layers, ...(adapter?.layers ?? [])].flatMap((layer) => Object.values(layer));
  engine.release(...new Map([...Object.values(base.outer), ...layers].map((handle) => [handle.id, handle])).values());
}

/** A tensor and how far its values in the file are from the merged ones: root mean square of the difference over that of the values. */
export interface TensorError {
  readonly tensor: string;
  readonly relativeError: number;
}

/** The tensor of a file that is furthest from what was to be written. */
export function worstTensor(model: MergedModel, written: ReadonlyMap<string, StoredTensor>): TensorError | undefined {
  let worst: TensorError | undefined;
  for (const [tensor, shape] of model.shapes) {
    const relativeError = tensorError(model, tensor, shape, written.get(tensor));
    // NaN is worse than any number.
    if (worst === undefined || !(relativeError <= worst.relativeError)) worst = { tensor, relativeError };
  }
  return worst;
}

function tensorError(
  model: MergedModel,
  name: string,
  shape: readonly number[],
  stored: StoredTensor | undefined,
): number {
  if (stored === undefined) return Number.NaN;
  const rows = shape[0] ?? 1;
  const step = Math.max(1, Math.floor(2 ** 20 / sizeOf(shape.slice(1))));
  let squares = 0;
  let errors = 0;
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first);
    const wanted = model.rows(name, first, count);
    const got = readStoredRows(stored, first, count);
    for (let i = 0; i < wanted.length; i++) {
      squares += wanted[i]! ** 2;
      errors += (wanted[i]! - got[i]!) ** 2;
    }
  }
  return errors === 0 ? 0 : Math.sqrt(errors / squares);
}
