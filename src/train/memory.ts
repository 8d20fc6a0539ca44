import { gridLength, planMicroBatches, TARGET_TOKENS } from '../data/index.ts';
import { POOL_BYTES, SESSION_CAP } from '../engine/index.ts';
import { TunesmithError } from '../errors/index.ts';
import {
  forwardProgram,
  type Graph,
  type Keep,
  liveBytes,
  outputTypes,
  type Segment,
  segmentPrograms,
} from '../graph/index.ts';
import type { AdapterSpec } from '../model/adapter.ts';
import { type AdaptedModules, adaptedLinear } from '../model/adapters/index.ts';
import { decoderLayer, linearModules } from '../model/architectures.ts';
import type { Layout } from '../model/attention.ts';
import { baseBytes } from '../model/base-weights.ts';
import { headSlices } from '../model/head-slices.ts';
import { baseLinear } from '../model/linear.ts';
import type { ModelSource } from '../model/source.ts';
import { tokenTensors } from '../model/token-rows.ts';
import { parameterCount } from '../model/weights.ts';
import { sizeOf } from '../tensor/tensor.ts';
import type { RunConfig } from './config.ts';
import type { Dataset } from './dataset.ts';
import { optimizerOptions } from './freeze.ts';
import { type HeadMode, headChunks, headGraph, headSliceGraph } from './head.ts';
import { isOnline, rowsTogether } from './objective.ts';
import { optimizerBytes } from './optimisers/index.ts';
import { rowExamples, unitSizes } from './pretrain/pretraining.ts';
import { rolloutCache } from './rollout-cache.ts';
import { firstTrained, gradientMode, type Trained, trainedBy, trainedShapes } from './trained.ts';

/** What trains on what; the memory of a step depends on nothing else but the layout of its micro-batch. */
export interface Trainee {
  readonly config: RunConfig;
  readonly source: ModelSource;
  /** Undefined where all weights train. */
  readonly spec: AdapterSpec | undefined;
}

/** Bytes of the two processes beside tensors, as measured: code, the runtimes, tokenizer and rows, and what lies free between the engine's blocks. */
const PROCESS_BYTES = 280e6;
/** Where released buffers are pooled, they come in sizes that are somewhat larger than what is asked for. */
const BUFFERS = POOL_BYTES === 0 ? 1 : 1.05;
/** ONNX Runtime orders the nodes of a layer otherwise than we do and has 1.5 to 2.4 times as much alive. */
const REORDERED = 2;
/** What ONNX Runtime makes of a node of a program. */
const NODE_BYTES = 6_000;

/**
 * Bytes that a step needs at its peak, both processes together, computed from the very programs that will run: weights, optimiser state, what
 * the forward pass keeps for the backward, the values that the largest program has alive at once, and the programs themselves.
 */
export function stepBytes(trainee: Trainee, layout: Layout, keep: Keep, layouts = 1): number {
  const { config: model } = trainee.source;
  const trained = trainedOf(trainee);
  const { segment, wanted } = layerOf(trainee, trained, layout);
  const { forward, backward } = segmentPrograms(segment, wanted, keep);
  const layers = model.layers - firstTrained(trained);
  const kept = Object.values(outputTypes(forward)).reduce((n, type) => n + 4 * sizeOf(type.shape), 0);
  const mode = gradientMode(trained, model.tiedEmbeddings && trainee.spec?.tie !== 'cut');
  const working = Math.max(REORDERED * liveBytes(backward), headBytes(trainee, layout.tokens, mode));
  return (
    PROCESS_BYTES +
    stateBytes(trainee) +
    Math.min(SESSION_CAP.bytes, programBytes(forward, layouts) + programBytes(backward, layouts)) +
    // Buffers of one shape wait in the engine while a micro-batch of another is computed; most are smaller than the largest.
    Math.min(POOL_BYTES, ((layouts - 1) * layers * kept) / 2) +
    BUFFERS * layers * kept +
    widenedBytes(trainee) +
    rolloutBytes(trainee, layout.length) +
    working
  );
}

/** What the keys and values of answers take that are drawn between steps. */
function rolloutBytes({ config: { method, train }, source: { config: model } }: Trainee, longest: number): number {
  if (!isOnline(method)) return 0;
  const { group, maxTokens } = method;
  const answers = train.batch * group;
  return rolloutCache(model, { answers, promptTokens: Math.max(1, longest - maxTokens), maxTokens }).bytes;
}

/** Bytes that an evaluation needs at its peak: nothing is kept, and the optimiser's state stays where it is. */
export function evaluationBytes(trainee: Trainee, layout: Layout): number {
  const forward = forwardProgram(layerOf(trainee, trainedOf(trainee), layout).segment);
  const working = Math.max(REORDERED * liveBytes(forward), headBytes(trainee, layout.tokens, 'loss'));
  return PROCESS_BYTES + stateBytes(trainee) + programBytes(forward, 1) + widenedBytes(trainee) + working;
}

/**
 * Weights; of what trains the optimiser's state, the sum of the gradients and those of the micro-batch at hand; what a checkpoint reads: the
 * weights, since the state goes through it tensor by tensor.
 */
function stateBytes(trainee: Trainee): number {
  const { config, source, spec } = trainee;
  const shapes = trainedShapes(source.config, trainedOf(trainee), spec);
  const trained = shapes.reduce((n, shape) => n + sizeOf(shape), 0);
  const state = optimizerBytes(shapes, optimizerOptions(config.train).constants);
  const { baseWeights } = config.compute;
  const resting = baseWeights === 'auto' || baseWeights === 'f32' ? undefined : baseBytes(source, baseWeights);
  const base = resting ?? 4 * (parameterCount(source.config) - (spec === undefined ? trained : 0));
  // Of a matrix whose rows train one by one there is a second one, with them in it.
  const second = spec === undefined ? [] : tokenTensors(source.config, spec);
  return (
    base + 4 * trained * (1 + 2 + 1) + state + 4 * second.length * source.config.vocabSize * source.config.hiddenSize
  );
}

/** Of a base at rest, what is widened at once: the largest layer, or beside it the buffer of a slice of the vocabulary. */
function widenedBytes({ config: { compute }, source: { config: model } }: Trainee): number {
  if (compute.baseWeights === 'auto' || compute.baseWeights === 'f32') return 0;
  const layers = Array.from({ length: model.layers }, (_, layer) =>
    linearModules(model, layer).reduce((n, { out, in: width }) => n + 4 * out * width, 0),
  );
  return Math.max(...layers) + 4 * model.hiddenSize * headSlices(model.vocabSize, model.hiddenSize)[0]!;
}

/**
 * Programs like the one for the largest shape, one for each of so many shapes. ONNX Runtime keeps their constants, of which only the causal
 * masks are large; they are quadratic in the length, so that shorter ones have a third of the longest on average.
 */
function programBytes({ nodes }: Graph, layouts: number): number {
  const masks = nodes.reduce((n, node) => n + (node.op === 'causalMask' ? 4 * sizeOf(node.shape) : 0), 0);
  return layouts * NODE_BYTES * nodes.length + (1 + (layouts - 1) / 3) * masks;
}

/** A classifier's head is small beside a layer. */
function headBytes({ config: { method }, source: { config: model } }: Trainee, tokens: number, mode: HeadMode): number {
  if (method.kind === 'classify' || method.kind === 'reward') return 0;
  const [rows = model.vocabSize] = mode === 'gradient-and-weights' ? [] : headSlices(model.vocabSize, model.hiddenSize);
  const chunk = Math.max(...headChunks(tokens, rows));
  if (mode === 'gradient-and-weights' || rows === model.vocabSize) {
    return liveBytes(headGraph({ tokens, config: model, chunk }, mode));
  }
  return liveBytes(headSliceGraph({ chunk, rows, width: model.hiddenSize }, mode));
}

/** One trained decoder layer, and the names of its inputs whose gradients are wanted. */
function layerOf(
  { source, spec }: Trainee,
  trained: Trained,
  layout: Layout,
): { readonly segment: Segment; readonly wanted: string[] } {
  const { config: model } = source;
  const first = trained.layers.findIndex((names) => names.length > 0);
  const layer = Math.max(0, first);
  const adapted: AdaptedModules = spec?.modules[layer] ?? new Map();
  const modules = linearModules(model, layer);
  const dropout = (spec?.dropout ?? 0) > 0;
  const segment: Segment = (g) =>
    decoderLayer(g, g.input('x', [layout.tokens, model.hiddenSize]), {
      config: model,
      layer,
      layout,
      linear: adaptedLinear(g, modules, { adapted, dropout, base: baseLinear(g, modules) }),
    });
  return { segment, wanted: ['x', ...(trained.layers[layer] ?? [])] };
}

function trainedOf({ config, source, spec }: Trainee): Trained {
  return trainedBy(source.config, spec, config.weights);
}

/** `3GB`, `500 MB`, `1.5GiB` in bytes; undefined for anything else. */
export function parseBytes(text: string): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*$/i.exec(text);
  if (match === null) return undefined;
  const power = ['', 'k', 'm', 'g', 't'].indexOf(match[2]!.toLowerCase());
  return Math.round(Number(match[1]) * (match[3] === '' ? 1000 : 1024) ** power);
}

/** What the memory budget decides; frozen in config.json. */
export interface MemoryPlan {
  readonly keep: Keep;
  /** Tokens of an automatic micro-batch. */
  readonly targetTokens: number;
  readonly budgetBytes: number;
  readonly predictedBytes: number;
}

/** In a narrow model that is pre-trained a program costs more than its numbers: micro-batches hold about so many tokens times width. */
const NARROW = { numbers: 192 * 1024, most: 1024 };
/** Share of the free memory that a run takes where the user gives no budget. */
const SHARE = 0.8;

/**
 * The longest row that the leanest way allows: nothing kept, one row at a time (or as many as --micro-batch says).
 *
 * @param available bytes that are free
 * @returns tokens, at most the positions of the model
 * @throws TRAIN_MEMORY if not even short rows fit, CLI_OPTION_VALUE for a --memory that is no size
 */
export function longestTrainable(trainee: Trainee, available: number): number {
  const budget = budgetOf(trainee.config, available);
  const { maxPositions } = trainee.source.config;
  const rows = (trainee.config.train.microBatch ?? 1) * rowsTogether(trainee.config.method);
  const needed = (length: number) => {
    const cells = gridLength(length);
    const layouts = rows === 1 ? gridLengths(cells) : STEPS;
    return stepBytes(trainee, { tokens: rows * cells, rows, length: cells, dense: true }, 'nothing', layouts);
  };
  if (needed(maxPositions) <= budget) return maxPositions;
  const shortest = Math.min(maxPositions, gridLength(1));
  const least = needed(shortest);
  if (least > budget) throw tooLittle(least, budget);
  let [fits, fails] = [shortest, maxPositions];
  while (fails - fits > gridLength(1)) {
    const middle = Math.floor((fits + fails) / 2 / gridLength(1)) * gridLength(1);
    const length = Math.max(middle, fits + 1);
    if (needed(length) <= budget) fits = length;
    else fails = length;
  }
  return fits;
}

/** How many lengths a row's grid can have up to this one. */
function gridLengths(longest: number): number {
  let count = 0;
  for (let length = 1; length <= longest; length = gridLength(length) + 1) count++;
  return count;
}

/**
 * Chooses what the forward pass keeps and how many tokens a micro-batch has, for the longest rows that there are.
 *
 * @throws TRAIN_MEMORY if not even the leanest way fits, or a validation row does not, CLI_OPTION_VALUE for a --memory that is no size
 */
export function chooseMemory(
  trainee: Trainee,
  dataset: Pick<Dataset, 'train' | 'select' | 'report' | 'pretraining' | 'aligned' | 'replay'>,
  available: number,
): MemoryPlan {
  const budgetBytes = budgetOf(trainee.config, available);
  const evaluation = requireEvaluation(trainee, dataset, budgetBytes);
  let leanest = Number.POSITIVE_INFINITY;
  for (const { keep, targetTokens } of waysToSave(trainee)) {
    const { largest, layouts } = layoutsFor(trainee.config, dataset, targetTokens);
    const predictedBytes = Math.max(evaluation, stepBytes(trainee, largest, keep, layouts));
    if (predictedBytes <= budgetBytes) return { keep, targetTokens, budgetBytes, predictedBytes };
    leanest = Math.min(leanest, predictedBytes);
  }
  throw tooLittle(leanest, budgetBytes);
}

interface WayToSave {
  readonly keep: Keep;
  readonly targetTokens: number;
}

/** From the fastest to the leanest. */
function waysToSave({ config: { train, method }, source: { config: model } }: Trainee): readonly WayToSave[] {
  const fast = { keep: 'matmul', targetTokens: TARGET_TOKENS } as const;
  const lean = { keep: 'nothing', targetTokens: TARGET_TOKENS } as const;
  if (train.microBatch !== undefined) return [fast, lean];
  const narrow = Math.min(NARROW.most, Math.floor(NARROW.numbers / model.hiddenSize / 64) * 64);
  const isNarrow = method.kind === 'pretrain' && narrow > TARGET_TOKENS;
  return [...(isNarrow ? [{ ...fast, targetTokens: narrow }] : []), fast, lean, { ...lean, targetTokens: 1 }];
}

/** Steps whose micro-batches are looked at: enough to see how many shapes there are. */
const STEPS = 100;

/** The largest micro-batch of a step of the longest rows, and how many shapes micro-batches have. */
function layoutsFor(
  { train }: RunConfig,
  dataset: Pick<Dataset, 'train' | 'pretraining' | 'aligned' | 'replay'>,
  targetTokens: number,
): { readonly largest: Layout; readonly layouts: number } {
  const { replay } = dataset;
  const replayed = replay?.blocks.map((block) => block.map((piece) => replay.examples[piece]!)) ?? [];
  const rowLengths = [...rowExamples(dataset), ...replayed].map((row) => row.map(({ example }) => example.ids.length));
  const options = { pack: train.pack, microBatch: train.microBatch, targetTokens };
  const layoutsOf = (rows: readonly (readonly number[])[]) =>
    layoutsOfStep(rows.flat(), { ...options, together: unitSizes(dataset, rows) });
  const longest = layoutsOf(rowLengths.toSorted((a, b) => sum(b) - sum(a)).slice(0, train.batch));
  const largest = longest.reduce((a, b) => (b.tokens > a.tokens ? b : a));
  const shapes = new Set<string>();
  for (let step = 0; step < Math.min(STEPS, rowLengths.length / train.batch); step++) {
    const rows = rowLengths.slice(step * train.batch, (step + 1) * train.batch);
    for (const layout of layoutsOf(rows)) shapes.add(JSON.stringify(layout));
  }
  return { largest, layouts: Math.min(STEPS, Math.max(1, shapes.size)) };
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

function layoutsOfStep(lengths: readonly number[], options: Parameters<typeof planMicroBatches>[1]): Layout[] {
  return planMicroBatches(lengths, options).map(({ rows, length, tokens }) => ({
    tokens,
    rows: rows.length,
    length,
    dense: tokens === rows.length * length,
  }));
}

/** @returns bytes that evaluating the longest validation row takes, 0 where there are none. @throws TRAIN_MEMORY naming the row */
function requireEvaluation(trainee: Trainee, dataset: Pick<Dataset, 'select' | 'report'>, budget: number): number {
  const held = [...dataset.select, ...dataset.report];
  const longest = held.reduce<(typeof held)[number] | undefined>(
    (a, b) => (a === undefined || b.example.ids.length > a.example.ids.length ? b : a),
    undefined,
  );
  if (longest === undefined) return 0;
  const length = gridLength(longest.example.ids.length);
  const tokens = Math.max(length, Math.min(TARGET_TOKENS, held.length * length));
  const bytes = evaluationBytes(trainee, { tokens, rows: 1, length: tokens, dense: true });
  if (bytes <= budget) return bytes;
  throw new TunesmithError('TRAIN_MEMORY', {
    ...longest.row.source,
    message: `is a validation row of ${longest.example.ids.length} tokens: evaluating it needs ${gigabytes(bytes)}, and the run may use ${gigabytes(budget)}.`,
    fix: 'shorten the row or leave it out, choose a smaller model, or raise --memory',
  });
}

/** Bytes that a run may use. @throws CLI_OPTION_VALUE for a --memory that is no size */
export function budgetOf({ compute }: RunConfig, available: number): number {
  if (compute.memory === undefined) return Math.floor(available * SHARE);
  const bytes = parseBytes(compute.memory);
  if (bytes !== undefined) return bytes;
  throw new TunesmithError('CLI_OPTION_VALUE', {
    message: `--memory "${compute.memory}" is not a size such as 3GB or 800MB.`,
  });
}

function tooLittle(needed: number, budget: number): TunesmithError {
  return new TunesmithError('TRAIN_MEMORY', {
    message: `the run needs ${gigabytes(needed)} at least and may use ${gigabytes(budget)}.`,
    fix: 'lower --max-length or --micro-batch, choose a smaller model, or raise --memory',
  });
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
