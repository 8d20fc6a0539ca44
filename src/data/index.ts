export {
  buildMicroBatch,
  defaultEpochs,
  epochOrder,
  gridLength,
  type MicroBatch,
  type MicroBatchOptions,
  type MicroBatchPlan,
  type OrderOptions,
  planMicroBatches,
  type StepRows,
  stepRows,
  stepsPerEpoch,
  totalSteps,
} from './batches.ts';
export { cutDocument, packBlocks } from './blocks.ts';
export {
  assertNoErrors,
  createFindingLog,
  dataError,
  type Finding,
  type FindingGroup,
  type FindingLog,
  formatFindings,
  mergeGroups,
  type Report,
  type Severity,
} from './check.ts';
export { type ColumnMap, readPairs } from './columns.ts';
export { countLabels } from './labels.ts';
export {
  type LengthOptions,
  type OnLong,
  type Prepared,
  type PreparedExample,
  prepareExamples,
  type Render,
} from './length.ts';
export { type LoadedFile, type LoadedRows, type LoadOptions, loadRows, rowKey } from './load.ts';
export type { NormaliseOptions } from './normalise.ts';
export { isDocumentOrData, openRecords, type PlainText, type RecordSource } from './read.ts';
export type { RawRecord } from './records.ts';
export type { Row, RowLabels, RowSource } from './row.ts';
export { type RowShape, SHAPES } from './shapes.ts';
export { type Split, type SplitOptions, splitRows, type Validation } from './split.ts';
export { splitHalves, splitTails, type TailSplit, type TextRow } from './tails.ts';
