// The public list: everything that is here keeps its name and meaning within a major version. At most 40 names.

// configuration
export { CATALOGUE, type ErrorCode, TunesmithError } from './errors/index.ts';
// answering and scoring
export { openModel } from './evaluate/answer.ts';
export { score } from './evaluate/score.ts';
export type { GenerateEvent, ModelRequest, ModelSession, Prompt, Sampling, ScoreEvent } from './evaluate/types.ts';
export { type CachedModel, type ModelSource, type PullEvent, type PullOptions, pullModel } from './io/cache.ts';
export { KNOWN_MODELS, type KnownModel, knownModel } from './model/catalogue.ts';
// runs
export { type ModelReference, resolveModel } from './registry/models.ts';
export { listRuns, type RunDetails, type RunReference, type RunSummary, resolveRun, showRun } from './registry/runs.ts';
export { type TrainOptions, train } from './registry/train.ts';
// text
export type { Message, Role, Tool, ToolCall } from './text/messages.ts';
export { defineRun, RunConfig, type RunConfigInput } from './train/config.ts';
export type { TrainEvent } from './train/events.ts';
export type { TrainPlan } from './train/plan.ts';
