export { squares } from './squares.ts';
export {
  CONSTANTS,
  type ConstantName,
  constantsOf,
  OPTIMIZERS,
  type OptimizerConstants,
  type OptimizerName,
  RATES,
  ruleOf,
  takes,
} from './table.ts';
export {
  type GroupState,
  initialGroupState,
  type OptimizerOptions,
  optimizerBytes,
  type UpdateNumbers,
  updateGroup,
} from './update.ts';
