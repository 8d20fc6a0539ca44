export {
  type Cache,
  capacityFor,
  createDecoder,
  type Decoder,
  type GenerationSession,
  openStoredBase,
  roundedByFast,
  type StoredBase,
} from './decoder.ts';
export {
  type Continuation,
  checkPrompt,
  type GenerateEvent,
  type GenerateOptions,
  generate,
  openContinuation,
  type ResultEvent,
  type TokenEvent,
} from './generate.ts';
export { argmax, GREEDY, type Sampling, sampleToken } from './sample.ts';
export { createTextStream, type StopReason, type TextStream } from './stop.ts';
