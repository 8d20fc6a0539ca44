import type { Domain } from './domain.ts';

/**
 * Connects the commands with what they command. Each function imports what it needs when it is called, so that
 * `tunesmith --help` stays quick.
 */
export const domain: Domain = {
  async prepareRun(request, onActivity) {
    const { prepareRun, surroundings } = await import('../train/run.ts');
    const { alignment } = await import('../align/open.ts');
    const { verifiers } = await import('../evaluate/verifiers.ts');
    const { abilities } = await import('../evaluate/abilities.ts');
    return prepareRun(
      request,
      surroundings(),
      onActivity,
      alignment(verifiers({ judgeKey: process.env.TUNESMITH_JUDGE_KEY })),
      abilities,
    );
  },
  async *score(model, data, signal, reading) {
    yield* (await import('../evaluate/score.ts')).score(model, data, signal, reading);
  },
  async tokenize(model, input, options) {
    return (await import('../evaluate/answer.ts')).tokenize(model, input, options);
  },
  async openModel(model) {
    return (await import('../evaluate/answer.ts')).openModel(model);
  },
  async openClassifier(model) {
    return (await import('../evaluate/classification.ts')).openClassifier(model);
  },
  async *evaluate(request, signal) {
    yield* (await import('../evaluate/evaluation.ts')).evaluate(request, signal);
  },
  async *checkEngine(signal) {
    yield* (await import('./self-test.ts')).checkEngine(signal);
  },
};
