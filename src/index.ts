// The public list: everything that is here keeps its name and meaning within a major version. At most 40 names: types that only come
// out of these functions are left out, since TypeScript infers them. In one call each: train, score, openModel, openClassifier. Models and runs: findModel,
// KNOWN_MODELS, listRuns, resolveRun, showRun. The rest is what a training loop of one's own is made of; recipes/ shows it in order.
export { rewardsOf } from './align/reward/session.ts';
export { openOrt } from './engine/index.ts';
export { type ErrorCode, TunesmithError } from './errors/index.ts';
export { openModel } from './evaluate/answer.ts';
export { openClassifier } from './evaluate/classification.ts';
export { score } from './evaluate/score.ts';
export type { ModelRequest, ModelSession, Prompt, Sampling } from './evaluate/types.ts';
export { KNOWN_MODELS } from './model/catalogue.ts';
export { openModelSource } from './model/source.ts';
export { findModel } from './registry/find.ts';
export { listRuns, resolveRun, showRun } from './registry/runs.ts';
export { type RunEvent as TrainEvent, type TrainInput, type TrainOptions, train } from './registry/train.ts';
export { type Message, openText, renderExamples } from './text/index.ts';
export { defineRun, RunConfig, type RunConfigInput } from './train/config.ts';
export { drawAnswers } from './train/draw-answers.ts';
export { meanLoss } from './train/evaluate-loss.ts';
export { microBatches } from './train/loop.ts';
export { createLora, saveAdapter } from './train/lora-network.ts';
export { microStep, weighedMicroStep } from './train/network.ts';
export { applyUpdate, gradientNorm, initialState, meanOfStep, reduce, type StepSums } from './train/step.ts';
