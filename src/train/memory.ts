import { createBuilder, type Keep, outputTypes, type Segment, segmentPrograms } from '../graph/index.ts';
import type { ModelConfig } from '../model/config.ts';
import { parameterCount } from '../model/weights.ts';
import { sizeOf } from '../tensor/tensor.ts';
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
  // Gradients, two moments; while one group is updated its new values stand beside the old.
  const state = 4 * trained * (shape.weights === 'full' ? 3 : 4);
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
