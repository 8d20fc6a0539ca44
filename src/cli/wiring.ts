import { availableParallelism, freemem } from 'node:os';
import { version } from '../io/version.ts';
import type { Domain } from './domain.ts';

/**
 * Connects the commands with what they command. Each function imports what it needs when it is called, so that
 * `tunesmith --help` stays quick.
 */
export const domain: Domain = {
  async prepareRun(request) {
    const { prepareRun } = await import('../train/run.ts');
    const around = {
      now: () => new Date(),
      cores: availableParallelism(),
      memoryBytes: Math.min(freemem(), process.availableMemory()),
      version: version(),
    };
    return prepareRun(request, around);
  },
  async *score(model, data, signal) {
    yield* (await import('../evaluate/score.ts')).score(model, data, signal);
  },
  async tokenize(model, input, options) {
    return (await import('../evaluate/answer.ts')).tokenize(model, input, options);
  },
  async openModel(model) {
    return (await import('../evaluate/answer.ts')).openModel(model);
  },
  async *checkEngine(signal) {
    yield* (await import('./self-test.ts')).checkEngine(signal);
  },
};
