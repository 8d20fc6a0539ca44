export { gridLength, type MicroBatchOptions, type MicroBatchPlan, planMicroBatches, TARGET_TOKENS } from './batches.ts';
export { cutDocument, packBlocks } from './blocks.ts';
export { type ColumnMap, isKnownColumn, readPairs } from './columns.ts';
export {
  type FileFormat,
  type ReadEvents,
  type ReadOptions,
  type ReadProgress,
  type ReadRow,
  readRows,
} from './convert.ts';
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
} from './findings.ts';
export { type Content, FORMAT_NAMES, FORMATS, type Format } from './formats/content.ts';
export { contentRow } from './formats/content-row.ts';
export { type Written, writeContent } from './formats/write-content.ts';
export { type JoinCounts, type Joined, type JoinOptions, joinMessages } from './join.ts';
export { countLabels } from './labels.ts';
export { buildMicroBatch, type MicroBatch, type SoftTargets, targetsByRow, tokenAt } from './layout.ts';
export {
  type LengthOptions,
  type OnLong,
  type Prepared,
  type PreparedExample,
  prepareExamples,
  type Render,
  withoutOldestTurns,
} from './length.ts';
export { type LoadedFile, type LoadedRows, type LoadOptions, loadRows, rowKey } from './load.ts';
export { type MixPlan, mixCounts, mixOrder, mixTimes } from './mix.ts';
export type { NormaliseOptions } from './normalise.ts';
export {
  defaultEpochs,
  epochOrder,
  type OrderOptions,
  type StepRows,
  stepRows,
  stepsPerEpoch,
  totalSteps,
} from './order.ts';
export { isDocumentOrData, openRecords, type PlainText, type RecordSource } from './read.ts';
export type { RawRecord } from './records.ts';
export type { Row, RowLabels, RowSource } from './row.ts';
export { type Fields, type RowShape, SHAPES } from './shapes.ts';
export {
  assignParts,
  type Groups,
  openGroups,
  type Split,
  type SplitOptions,
  splitRows,
  type Validation,
} from './split.ts';
export { collectStats, type DataStats, type Spread, type StatsCollector, type TokenStats } from './stats.ts';
export { STRIPS, type Strip } from './strip-mail.ts';
export { splitHalves, splitTails, type TailSplit, type TextRow } from './tails.ts';
export { openRecordWriter, type RecordWriter } from './write.ts';
