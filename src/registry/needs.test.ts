import { describe, expect, it } from 'vitest';
import { KNOWN_MODELS, knownModel } from '../model/catalogue.ts';
import { modelNeeds } from './needs.ts';

describe('modelNeeds', () => {
  it.each(KNOWN_MODELS.map((model) => [model.id, model] as const))(
    '%s needs its weights and more to run, and more again to tune',
    (_id, model) => {
      const { run, tune } = modelNeeds(model);
      expect(run).toBeGreaterThan(4 * model.parameters);
      expect(tune).toBeGreaterThan(run);
      expect(tune).toBeLessThan(12 * model.parameters + 2e9);
    },
  );

  it('follows the shape of the model', () => {
    const model = knownModel('smollm2-135m-instruct');
    if (model === undefined) throw new Error('the default model is known');
    const wider = { ...model, config: { ...model.config, intermediate_size: 3072 } };
    expect(modelNeeds(wider).run).toBeGreaterThan(modelNeeds(model).run);
    expect(modelNeeds(wider).tune).toBeGreaterThan(modelNeeds(model).tune);
  });
});
