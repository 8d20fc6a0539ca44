import { describe, expect, it } from 'vitest';
import { DEFAULT_MODEL, KNOWN_MODELS, knownModel, nearestKnown, pinOf } from './catalogue.ts';
import { parseHfConfig } from './config.ts';
import { parameterCount } from './weights.ts';

describe('KNOWN_MODELS', () => {
  it.each(KNOWN_MODELS.map((model) => [model.id, model] as const))(
    '%s has the parameters that its shape gives',
    (id, model) => {
      expect(parameterCount(parseHfConfig(model.config, id))).toBe(model.parameters);
    },
  );

  it('names each model once, by a short name and by its hub id, in any case', () => {
    expect(new Set(KNOWN_MODELS.map(({ id }) => id)).size).toBe(KNOWN_MODELS.length);
    for (const model of KNOWN_MODELS) {
      expect(knownModel(model.id.toUpperCase())).toBe(model);
      expect(knownModel(model.hubId)).toBe(model);
    }
    expect(knownModel(DEFAULT_MODEL)).toBe(KNOWN_MODELS[0]);
  });

  it('says which sources are pinned by a hash and which are not', () => {
    const pins = KNOWN_MODELS.flatMap(({ sources }) => sources.map(pinOf));
    expect(pins.filter((pin) => /^sha256 [0-9a-f]{64}$/.test(pin)).length).toBe(1);
    expect(pins.filter((pin) => pin.startsWith('unpinned, verified')).length).toBe(KNOWN_MODELS.length);
  });
});

describe('nearestKnown', () => {
  it.each([
    ['smollm2-135m-instuct', ['smollm2-135m-instruct']],
    ['SomeOne/SmolLM2-360M-Instruct', ['smollm2-360m-instruct']],
    ['smolm2-360', ['smollm2-360m-instruct']],
    ['xy', []],
    ['completely-different', []],
  ])('takes %s for %j', (name, ids) => {
    expect(nearestKnown(name)).toEqual(ids);
  });
});
