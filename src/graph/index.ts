export { backward } from './backward.ts';
export {
  type Builder,
  type CachedAttention,
  type CachedAttentionResult,
  createBuilder,
  finishGraph,
  type RowCopies,
  type RowMove,
} from './builder.ts';
export {
  type Graph,
  inPlaceOutputs,
  inputTypes,
  type Node,
  outputTypes,
  type TensorType,
  type Value,
} from './graph.ts';
export { liveBytes } from './live.ts';
export type { Emitter, OnnxAttrs, Op, QuantizedNames, ReadStored, RefTensor, Vjp } from './op.ts';
export { OPS, type OpAttrs, type OpName } from './ops/index.ts';
export { KEPT_CODES, type StoredMatrix } from './ops/quantized.ts';
export {
  type Beside,
  forwardProgram,
  type Keep,
  type Segment,
  type SegmentPrograms,
  segmentPrograms,
} from './segment.ts';
export { sameShape } from './shapes.ts';
