import { gridLength } from '../data/index.ts';
import { TunesmithError } from '../errors/index.ts';
import { createBuilder, type Keep, outputTypes, type Segment, segmentPrograms } from '../graph/index.ts';
import type { AdapterSpec } from '../model/adapter.ts';
import type { Layout } from '../model/attention.ts';
import { layerWeightNames } from '../model/base.ts';
import type { ModelConfig } from '../model/config.ts';
import { llamaLayer, llamaModules } from '../model/llama.ts';
import { type LoraModule, loraLinear } from '../model/lora.ts';
import { adapterTensors } from '../model/peft.ts';
import type { ModelSource } from '../model/source.ts';
import { parameterCount } from '../model/weights.ts';
import { sizeOf } from '../tensor/tensor.ts';
import type { RunConfig } from './config.ts';
import type { Dataset } from './dataset.ts';
import { headChunks } from './head.ts';

/** What the memory of a step depends on. */
export interface StepShape {
  readonly config: ModelConfig;
  /** One trained decoder layer over `tokens` tokens, and the names of its inputs whose gradients are wanted. */
  readonly segment: Segment;
  readonly wanted: readonly string[];
  /** Tokens of the largest micro-batch. */
  readonly tokens: number;
  /** Numbers that train. */
  readonly trained: number;
  readonly weights: 'lora' | 'full';
}

/** Bytes of the process beside tensors: code, the runtime, ONNX Runtime's compiled programs. */
const PROCESS_BYTES = 260e6;

/**
 * Bytes that a step needs at its peak, computed from the very programs that will run: weights, optimiser state, what the forward pass
 * keeps for the backward, and the values of the largest program.
 */
export function stepBytes(shape: StepShape, keep: Keep): number {
  const { config, trained, tokens } = shape;
  const g = segmentPrograms(shape.segment, shape.wanted, keep);
  const kept = Object.values(outputTypes(g.forward)).reduce((n, type) => n + 4 * sizeOf(type.shape), 0);
  const working = Math.max(layerWorkingBytes(shape.segment), headWorkingBytes(shape));
  // Two moments, and two sets of gradients: the sum and the micro-batch at hand.
  const state = 4 * trained * 4;
  return (
    PROCESS_BYTES +
    4 * parameterCount(config) +
    state +
    config.layers * kept +
    working +
    16 * tokens * config.hiddenSize
  );
}

/** Twice the values of a forward pass: the backward holds as many again. ONNX Runtime reuses the memory of dead ones, so this is ample. */
function layerWorkingBytes(segment: Segment): number {
  const g = createBuilder();
  segment(g);
  const values = g.nodes.reduce(
    (n, node) => n + (node.inputs.length === 0 || node.op === 'reshape' ? 0 : 4 * sizeOf(node.shape)),
    0,
  );
  return values;
}

function headWorkingBytes({ config, tokens, weights }: StepShape): number {
  const chunk = Math.max(...headChunks(tokens, config.vocabSize));
  const logits = 3 * 4 * chunk * config.vocabSize;
  return weights === 'full' ? logits + 3 * 4 * config.vocabSize * config.hiddenSize : logits;
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

/** Micro-batches of this size use the CPU well and stay in its cache; larger ones only cost memory. */
const TARGET_TOKENS = 384;
/** Share of the free memory that a run takes where the user gives no budget. */
const SHARE = 0.8;

/** @throws TRAIN_MEMORY if not even the leanest way fits, CLI_OPTION_VALUE for a --memory that is no size */
export function chooseMemory(run: {
  readonly config: RunConfig;
  readonly source: ModelSource;
  readonly spec: AdapterSpec | undefined;
  readonly dataset: Dataset;
  readonly available: number;
}): MemoryPlan {
  const budgetBytes = budgetOf(run.config, run.available);
  const longest = run.dataset.train.reduce((n, { example }) => Math.max(n, example.ids.length), 0);
  const rows = run.config.train.microBatch ?? 1;
  const tokens = Math.max(
    gridLength(longest) * rows,
    Math.min(TARGET_TOKENS, gridLength(longest) * run.config.train.batch),
  );
  const shape = stepShape(run, { tokens, rows: 1, length: tokens, dense: true });
  let leanest = 0;
  for (const keep of ['matmul', 'nothing'] as const) {
    leanest = stepBytes(shape, keep);
    if (leanest <= budgetBytes) return { keep, targetTokens: TARGET_TOKENS, budgetBytes, predictedBytes: leanest };
  }
  const gb = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;
  throw new TunesmithError('TRAIN_MEMORY', {
    message: `the run needs ${gb(leanest)} at least and may use ${gb(budgetBytes)}.`,
    fix: 'lower --max-length or --micro-batch, choose a smaller model, or raise --memory',
  });
}

function budgetOf({ compute }: RunConfig, available: number): number {
  if (compute.memory === undefined) return Math.floor(available * SHARE);
  const bytes = parseBytes(compute.memory);
  if (bytes !== undefined) return bytes;
  throw new TunesmithError('CLI_OPTION_VALUE', {
    message: `--memory "${compute.memory}" is not a size such as 3GB or 800MB.`,
  });
}

function stepShape({ source, spec, config }: Parameters<typeof chooseMemory>[0], layout: Layout): StepShape {
  const { config: model } = source;
  const modules = llamaModules(model);
  const adapted = spec?.modules.find((m) => m.size > 0) ?? new Map<string, LoraModule>();
  const segment: Segment = (g) =>
    llamaLayer(g, g.input('x', [layout.tokens, model.hiddenSize]), {
      config: model,
      layout,
      linear: loraLinear(g, modules, { adapted, dropout: (spec?.dropout ?? 0) > 0 }),
    });
  const names =
    spec === undefined
      ? layerWeightNames(model)
      : [...adapted.keys()].flatMap((m) => [`${m}.lora_A.weight`, `${m}.lora_B.weight`]);
  const trained =
    spec === undefined
      ? parameterCount(model)
      : [...adapterTensors(model, spec).values()].reduce((n, s) => n + sizeOf(s), 0);
  return {
    config: model,
    segment,
    wanted: ['x', ...names],
    tokens: layout.tokens,
    trained,
    weights: config.weights.kind,
  };
}
